"""`gpuctl flavor plan`: hosts are used up, nodes are not crossed; shown on generated hosts and on known ones."""

from __future__ import annotations

import json

import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from gpuctl.flavors.catalogue import entries_of  # noqa: E402
from gpuctl.flavors.division import CPU_STEP, RAM_STEP, catalogue, divide, left_over, share_of  # noqa: E402
from gpuctl.flavors.errors import BadCatalogue  # noqa: E402
from gpuctl.flavors.hosts import Host, Node, Sizes, host_of  # noqa: E402

MODELS = ("10de:2330", "10de:1b80", "1002:740f")
gpus = st.dictionaries(st.sampled_from(MODELS), st.integers(1, 8), max_size=2).map(
    lambda found: tuple(sorted(found.items()))
)


@st.composite
def hosts(draw):
    """A host whose nodes are alike, as sockets are, with cards anywhere."""
    cpus, ram = draw(st.integers(32, 256)), draw(st.integers(64 * 1024, 2**21))
    nodes = tuple(Node(cpus, ram, draw(gpus)) for _ in range(draw(st.integers(1, 4))))
    hypothesis.assume(any(node.cards for node in nodes))
    return Host("h", nodes)


def possible(host):
    """The share, unless the host is too small for its cards."""
    try:
        return share_of(host)
    except BadCatalogue:
        hypothesis.reject()


@given(hosts())
def test_as_many_of_a_flavor_as_there_are_cards_for_fit(host):
    possible(host)
    for piece in divide([host]):
        cards = sum(node.of(piece.model) for node in host.nodes)
        assert cards % piece.count == 0
        copies = cards // piece.count
        assert copies * piece.cpus <= host.total("cpus")
        assert copies * piece.ram <= host.total("ram")


@given(hosts())
def test_any_flavor_of_one_node_fits_into_every_node_that_has_the_cards(host):
    possible(host)
    for piece in divide([host]):
        if piece.nodes == 1:
            for node in host.nodes:
                copies, rest = divmod(node.of(piece.model), piece.count)
                assert rest == 0  # no card is left without a flavor
                assert copies * piece.cpus <= node.cpus
                assert copies * piece.ram <= node.ram


@given(hosts())
def test_a_flavor_of_several_nodes_is_whole_nodes(host):
    possible(host)
    for piece in divide([host]):
        if piece.nodes > 1:
            each = {node.of(piece.model) for node in host.nodes}
            assert each == {piece.count // piece.nodes}
            assert len(host.nodes) % piece.nodes == 0


@given(hosts())
def test_nothing_is_left_over_that_another_step_could_use(host):
    share = possible(host)
    left = left_over(host, share)
    for node, (cpus, ram) in zip(host.nodes if share.local else [host], left):
        assert 0 <= cpus < node.cards * (CPU_STEP + 1)
        assert 0 <= ram < node.cards * (RAM_STEP + 1)


@given(hosts())
def test_no_node_without_cards_is_stranded(host):
    share = possible(host)
    if any(not node.cards for node in host.nodes):
        assert not share.local
        assert all(piece.nodes == 0 for piece in divide([host]))


@given(st.lists(hosts(), min_size=1, max_size=3))
def test_the_smallest_host_sets_the_size(several):
    for host in several:
        possible(host)
    for piece in divide(several):
        for host in several:
            if piece.model in host.models:
                assert piece.share.cpus <= share_of(host).cpus
                assert piece.share.ram <= share_of(host).ram


@given(hosts())
def test_the_catalogue_is_valid(host):
    possible(host)
    document = catalogue(divide([host]), name="x", prefix="gpu.", disk=10, aliases={"10de:2330": "mine"})
    entries = entries_of(json.loads(json.dumps(document)))
    assert {gpu.alias for entry in entries for gpu in entry.gpus} <= {"mine", "gtx1080", "mi210"}


def facts(*nodes, model="10de:2330", **system):
    vendor, device = model.split(":")
    return {
        "gpus": [
            {"vendor_id": vendor, "device_id": device, "numa_node": node, "nova_device_type": "type-PCI"}
            for node in nodes
        ],
        "system": system,
    }


def test_a_known_host():
    host = host_of(facts(0, 0, 0, 0, 1, 1, 1, 1), Sizes(208, 2 * 1024 * 1024, None, 16, 131072), "h")
    share = share_of(host)
    assert (share.cpus, share.ram // 1024, share.local) == (24, 240, True)
    assert [(piece.count, piece.nodes) for piece in divide([host])] == [(1, 1), (2, 1), (4, 1), (8, 2)]
    assert left_over(host, share) == [(0, 0), (0, 0)]


def test_all_cards_on_one_of_two_sockets():
    host = host_of(facts(0, 0), Sizes(64, 262144, 2), "h")
    assert [(piece.count, piece.nodes, piece.cpus) for piece in divide([host])] == [(1, 0, 32), (2, 0, 64)]


def test_what_the_facts_say_of_numa_is_believed():
    numa = [{"node": 0, "cpus": 64, "memory_mib": 131072}, {"node": 1, "cpus": 64, "memory_mib": 131072}]
    assert host_of(facts(0, 1, numa=numa), Sizes(), "h").nodes[1] == Node(64, 131072, (("10de:2330", 1),))


def test_virtual_functions_are_no_cards():
    one = facts(0, 0)
    one["gpus"][1]["nova_device_type"] = "type-VF"
    assert host_of(one, Sizes(8, 65536), "h").cards == 1


@pytest.mark.parametrize(
    ("document", "sizes", "said"),
    [
        (facts(0), Sizes(), "--cpus"),
        (facts(), Sizes(8, 8192), "no GPU"),
        (facts(0, 5), Sizes(8, 8192, 2), "beyond 2"),
    ],
)
def test_what_cannot_be_divided_is_told(document, sizes, said):
    with pytest.raises(BadCatalogue) as caught:
        host_of(document, sizes, "h")
    assert said in f"{caught.value.brief} {caught.value.resolution}"


def test_three_cards_are_not_sold_in_twos():
    host = host_of(facts(0, 0, 0), Sizes(48, 196608), "h")
    assert [piece.count for piece in divide([host])] == [1, 3]


def test_the_command(gpuctl, tmp_path):
    file = tmp_path / "gpu17.json"
    file.write_text(json.dumps({"schema": "gpuctl.host.facts/1", "host": "gpu17", **facts(0, 1, model="10de:1b80")}))
    code, out, _ = gpuctl("plan", "--facts", file, "--cpus", 36, "--ram", "72GiB", "-f", "json")
    document = json.loads(out)
    assert code == 0
    assert document["hosts"][0]["share"] == {"cpus": 16, "ram": 32768, "local": True}
    assert [(one["name"], one["vcpus"], one["hide_kvm"]) for one in document["catalogue"]["flavors"]] == [
        ("gpu.gtx1080.1", 16, True),
        ("gpu.gtx1080.2", 32, True),
    ]
    code, out, _ = gpuctl(
        "plan", "--facts", file, "--cpus", 36, "--ram", "72GiB", "-f", "yaml", "--alias", "10de:1b80=nvidia"
    )
    (tmp_path / "c.yaml").write_text(out)
    assert "alias: nvidia" in out
    assert gpuctl("apply", tmp_path / "c.yaml", "--yes")[0] == 0
    assert gpuctl("plan", "--facts", file, "--cpus", 36, "--ram", "72QB")[0] == 2
    (tmp_path / "gpu17.json").write_text("{}")
    assert gpuctl("plan", "--facts", file)[0] == 2


def test_one_facts_option_takes_all_files_behind_it(gpuctl, tmp_path):
    """`--facts gpu*.json`, as a shell writes it out; like `nova configure`."""
    files = [tmp_path / f"gpu{number}.json" for number in (1, 2)]
    for file in files:
        file.write_text(json.dumps({"schema": "gpuctl.host.facts/1", "host": file.stem, **facts(0, 1)}))
    code, out, err = gpuctl("plan", "--facts", *files, "--cpus", 36, "--ram", "72GiB", "-f", "json")
    assert code == 0, err
    assert [one["host"] for one in json.loads(out)["hosts"]] == ["gpu1", "gpu2"]


def test_a_file_of_many_hosts_as_fleet_facts_writes_it(gpuctl, tmp_path):
    file = tmp_path / "rack7.jsonl"
    lines = [json.dumps({"schema": "gpuctl.host.facts/1", "host": name, **facts(0, 1)}) for name in ("gpu1", "gpu2")]
    file.write_text("\n".join(lines))
    code, out, err = gpuctl("plan", "--facts", file, "--cpus", 36, "--ram", "72GiB", "-f", "json")
    assert code == 0, err
    assert [one["host"] for one in json.loads(out)["hosts"]] == ["gpu1", "gpu2"]
    file.write_text("")
    assert gpuctl("plan", "--facts", file)[0] == 2

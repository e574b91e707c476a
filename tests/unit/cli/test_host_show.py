"""`gpuctl host show`: real hosts' trees drawn, narrow and plain, and nothing on them twice or left out."""

from __future__ import annotations

import json
import pathlib

import pytest

click = pytest.importorskip("click")

from gpuctl.cli.main import main  # noqa: E402
from gpuctl.output.host_tree import ASCII, host_tree  # noqa: E402
from gpuctl_host.facts.reader import read_facts  # noqa: E402
from gpuctl_host.facts.render import facts_document  # noqa: E402
from gpuctl_host.host import Host  # noqa: E402
from tests.cases import loader  # noqa: E402

HOSTS = sorted(pathlib.Path(loader.__file__).with_name("hosts").glob("*.yaml"))


def facts_of(name: str, folder: pathlib.Path) -> dict:
    path = next(item for item in HOSTS if item.stem == name)
    loader.build(loader.load(path), folder)
    return facts_document(read_facts(Host(str(folder)), ("any",)))


def drawn(document: dict, *pen) -> list[str]:
    return click.unstyle(host_tree(document, *pen)).splitlines()


@pytest.mark.parametrize("name", [path.stem for path in HOSTS])
def test_every_card_and_function_is_drawn_once_and_fits(name, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    document = facts_of(name, tmp_path)
    lines = drawn(document)
    starts = [line.lstrip("│├└─ ").split("  ")[0] for line in lines]
    wanted = [item["address"] for gpu in document["gpus"] for item in (gpu, *gpu["functions"])]
    assert [item for item in wanted if starts.count(item) != 1] == []
    assert [line for line in lines if len(line) > 72] == []


def test_a_group_hangs_where_its_members_part_and_bridges_in_a_row_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert drawn(facts_of("rx570-haswell-nodedev-root-port-in-group", tmp_path), ASCII) == [
        "this host  Linux unknown, IOMMU on",
        "|- NUMA node unknown",
        "|  `- bus 0000:00 > 0000:00:01.0 (group 1)",
        "|     `- group 1",
        "|        `- 0000:01:00.0  AMD Ellesmere [Radeon RX 470/480/570/580]  1002:67df  vfio-pci",
        "|           `- 0000:01:00.1  audio  1002:aaf0  vfio-pci",
        "`- who holds the cards is not known here: it takes the live host, and root",
    ]


def test_two_cards_of_one_group_are_in_one_group(tmp_path):
    document = facts_of("z370-2080ti-2060-same-group-wrong-ids", tmp_path)
    lines = drawn(document)
    groups = [line for line in lines if "─ group" in line]
    assert len(document["gpus"]) > len(groups) == len({gpu["iommu_group"] for gpu in document["gpus"]})


def test_holders_numa_and_hostile_words(tmp_path):
    document = facts_of("rx570-haswell-nodedev-root-port-in-group", tmp_path)
    document["system"]["numa"] = [{"node": 1, "cpus": 48, "memory_mib": 262144}]
    document["host"] = "evil\x1b]0;x\x07"
    document["gpus"][0].update(numa_node=1, holders_known=True, holders=[{"kind": "domain", "name": "vm\x1b[2J1"}])
    text = host_tree(document)
    assert "NUMA node 1  48 CPUs, 256 GiB" in click.unstyle(text)
    assert "held by domain vm?[2J1" in click.unstyle(text)
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text


def test_facts_of_an_older_gpuctl_are_drawn_too(tmp_path):
    document = facts_of("hgx-h200-nvswitch-group114", tmp_path)
    del document["bridges"]
    for card in (*document["gpus"], *document["nvswitches"]):
        card.pop("numa_node", None)
        for part in (*card.get("functions", ()), *card.get("group_peers", ())):
            part.pop("path", None)
    for switch in document["nvswitches"]:
        switch.pop("path")
    assert all(gpu["address"] in "\n".join(drawn(document)) for gpu in document["gpus"])


def test_a_saved_document_is_drawn_by_the_command(tmp_path, capsys):
    file = tmp_path / "facts.json"
    file.write_text(json.dumps(facts_of("rx570-haswell-nodedev-root-port-in-group", tmp_path / "tree")))
    assert main(["host", "show", "--ascii", "--facts", str(file)]) == 0
    assert "`- 0000:01:00.1  audio" in capsys.readouterr().out
    for broken in ('{"schema": "gpuctl.host.check/1"}', '{"schema": "gpuctl.host.facts/1", "gpus": [7]}', "{", "[]"):
        file.write_text(broken)
        assert main(["host", "show", "--facts", str(file)]) == 2
        assert "gpuctl host facts -f json" in capsys.readouterr().err


def test_a_tree_without_gpus_says_so(tmp_path, capsys):
    (tmp_path / "sys").mkdir()
    assert main(["host", "show", "--root", str(tmp_path)]) == 0
    assert "no GPU of the selected vendors" in capsys.readouterr().out

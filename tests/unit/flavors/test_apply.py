"""`gpuctl flavor apply`, as a user meets it, on a cloud in memory."""

from __future__ import annotations

import pytest

from tests.sim.front import PROJECTS
from tests.sim.nova import NovaSim

R, T = PROJECTS["research"], PROJECTS["teaching"]


def states(document):
    return {row["name"]: (row["action"], row["state"]) for row in document["flavors"]}


def test_from_nothing_and_again(apply, cloud, catalogue):
    code, document = apply(catalogue)
    assert code == 0
    assert set(states(document).values()) == {("create", "done")}
    flavor = cloud.named("gpu.2")[0]
    assert flavor.specs == {
        "pci_passthrough:alias": "gtx1080:2",
        "hw:hide_hypervisor_id": "true",
        "gpuctl:catalogue": "farm",
        "note": "two",
    }
    assert (flavor.access, flavor.public, flavor.body["ram"]) == ({R, T}, False, 32768)
    cloud.asked.clear()
    before = cloud.snapshot()
    code, document = apply(catalogue)
    assert (code, document["changed"]) == (0, False)
    assert cloud.snapshot() == before
    assert cloud.writes() == []
    assert cloud.exposed == []


def test_requests_are_counted(apply, cloud, catalogue):
    plain = catalogue.replace(", access: [research]", "").replace(", access: [research, teaching]", "")
    apply(plain)
    sent = [one for one in cloud.asked if "/compute/" in one[1]]
    assert len(sent) == 3 * 2 + 3  # two a flavor; the version, the listing before and the one after
    cloud.asked.clear()
    apply(plain)
    assert len([one for one in cloud.asked if "/compute/" in one[1]]) == 2


def test_extra_specs_are_validated_by_nova_itself(apply, cloud, catalogue):
    apply(catalogue)
    assert {version for method, path, version in cloud.writes() if "extra_specs" in path} == {"2.86"}
    apply(catalogue.replace("hide_kvm: true", "address_bits: host"))
    assert {version for method, path, version in cloud.writes() if "extra_specs" in path} == {"2.86", "2.85"}


def test_drift_is_repaired_and_stale_specs_go(apply, cloud, catalogue):
    apply(catalogue)
    flavor = cloud.named("gpu.1")[0]
    flavor.specs.update({"pci_passthrough:alias": "wrong:1", "stale": "1"})
    del flavor.specs["hw:hide_hypervisor_id"]
    flavor.access = {T}
    code, document = apply(catalogue)
    assert code == 0
    assert states(document)["gpu.1"] == ("repair", "done")
    assert {one["field"] for one in document["flavors"][0]["differences"]} == {
        "extra_specs.pci_passthrough:alias",
        "extra_specs.stale",
        "extra_specs.hw:hide_hypervisor_id",
        "access",
    }
    assert flavor.specs == {
        "pci_passthrough:alias": "gtx1080:1",
        "hw:hide_hypervisor_id": "true",
        "gpuctl:catalogue": "farm",
    }
    assert flavor.access == {R}


def test_access_that_the_catalogue_does_not_speak_of_is_left(apply, cloud, catalogue):
    apply(catalogue)
    cloud.named("gpu.4")[0].access = {T}
    assert apply(catalogue)[1]["changed"] is False
    assert cloud.named("gpu.4")[0].access == {T}


def test_what_nova_cannot_change_is_replaced_only_when_told(apply, cloud, catalogue):
    apply(catalogue)
    old = cloud.named("gpu.4")[0]
    old.access = {T}
    cloud.servers = [{"id": "s", "flavor": old.body["id"]}] * 3
    bigger = catalogue.replace("64 GiB", "60 GiB")
    code, document = apply(bigger)
    row = document["flavors"][2]
    assert (code, row["action"], row["state"], row["needs_replacing"], row["servers"]) == (
        5,
        "replace",
        "waiting",
        ["ram"],
        3,
    )
    assert cloud.named("gpu.4")[0].body["ram"] == 65536
    code, document = apply(bigger, "--replace")
    new = cloud.named("gpu.4")[0]
    assert (code, document["flavors"][2]["state"]) == (0, "done")
    assert (new.body["id"], new.body["ram"], new.access) == (old.body["id"], 61440, {T})
    assert cloud.exposed == []


def test_a_replacement_that_fails_puts_the_old_one_back(apply, cloud, catalogue):
    apply(catalogue)
    before = cloud.snapshot()
    cloud.fail("POST", "/flavors$", 400)
    code, document = apply(catalogue.replace("16 GiB", "15 GiB"), "--replace")
    assert (code, states(document)["gpu.1"]) == (5, ("replace", "failed"))
    assert cloud.snapshot() == before


def test_only_what_the_catalogue_owns_is_pruned(apply, cloud, catalogue):
    apply(catalogue)
    cloud.add("by-hand", specs={"pci_passthrough:alias": "x:1"})
    cloud.add("other", specs={"gpuctl:catalogue": "other"})
    less = catalogue[: catalogue.index("  - {name: gpu.4")]
    assert apply(less)[1]["changed"] is False
    code, document = apply(less, "--prune")
    assert (code, states(document)["gpu.4"]) == (0, ("prune", "done"))
    assert set(cloud.snapshot()) == {"gpu.1", "gpu.2", "by-hand", "other"}


def test_an_empty_catalogue_prunes_its_own(apply, cloud, catalogue):
    apply(catalogue)
    assert apply("schema: gpuctl.flavor.catalogue/1\ncatalogue: farm\nflavors: []\n", "--prune")[0] == 0
    assert cloud.flavors == {}


def test_a_catalogue_without_a_name_prunes_nothing(apply, cloud, catalogue):
    apply(catalogue)
    code, err = apply("schema: gpuctl.flavor.catalogue/1\nflavors: []\n", "--prune")
    assert (code, len(cloud.flavors)) == (2, 3)
    assert "owns nothing" in err


def test_dry_run_shows_the_difference_and_touches_nothing(gpuctl, cloud, catalogue, tmp_path):
    (tmp_path / "c.yaml").write_text(catalogue)
    cloud.add("gpu.1", vcpus=3, specs={"stale": "1"})
    code, out, _ = gpuctl("apply", tmp_path / "c.yaml", "--dry-run", "--prune")
    assert code == 0
    assert "- vcpus: 3" in out
    assert "+ vcpus: 4" in out
    assert "- extra_specs.stale: 1" in out
    assert "taken over" in out
    assert cloud.writes() == []


def test_without_a_terminal_it_wants_yes(gpuctl, cloud, catalogue, tmp_path):
    (tmp_path / "c.yaml").write_text(catalogue)
    code, out, err = gpuctl("apply", tmp_path / "c.yaml")
    assert (code, out) == (2, "")
    assert "--yes" in err
    assert cloud.flavors == {}


def test_another_catalogues_flavor_is_not_touched(apply, cloud, catalogue):
    cloud.add("gpu.1", specs={"gpuctl:catalogue": "other"})
    before = cloud.snapshot()["gpu.1"]
    code, document = apply(catalogue)
    assert (code, states(document)["gpu.1"]) == (5, ("conflict", "failed"))
    assert cloud.snapshot()["gpu.1"] == before


def test_a_public_flavor_with_gpus_is_refused_unless_its_moment_is_accepted(apply, cloud):
    text = "schema: gpuctl.flavor.catalogue/1\nflavors: [{name: g, vcpus: 1, ram: 1024, disk: 1, public: true%s}]\n"
    gpus = ", gpus: [{alias: x, count: 1}]"
    code, err = apply(text % gpus)
    assert (code, cloud.flavors) == (3, {})
    assert "--accept-public-window" in err
    assert apply(text % gpus, "--accept-public-window")[0] == 0
    assert cloud.named("g")[0].public
    cloud.flavors.clear()
    assert apply(text % "")[0] == 0  # nothing to lose in a flavor without GPUs


def test_nova_refuses_what_it_alone_knows_and_nothing_is_left(apply, cloud, catalogue):
    code, document = apply(
        catalogue.replace("note: two", '"hw:watchdog_action": poweroff')
    )  # the simulator does not know it
    rows = {row["name"]: row for row in document["flavors"]}
    assert (code, rows["gpu.2"]["state"]) == (5, "failed")
    assert "does not appear to be a valid extra spec" in rows["gpu.2"]["error"]["details"]
    assert set(cloud.snapshot()) == {"gpu.1", "gpu.4"}


def test_an_unknown_project_is_told_before_anything_is_made(apply, cloud, catalogue):
    code, err = apply(catalogue.replace("teaching", "nosuch"))
    assert (code, cloud.flavors) == (1, {})
    assert "nosuch" in err


@pytest.mark.parametrize(
    ("newest", "hidden"),
    [("2.60", None), ("2.79", "hide_hypervisor_id"), ("2.87", "hide_hypervisor_id"), ("2.88", "hw:hide_hypervisor_id")],
)
def test_older_clouds(apply, cloud, catalogue, newest, hidden):
    cloud.newest = newest
    code, document = apply(catalogue)
    assert code == 0, document
    specs = cloud.named("gpu.1")[0].specs
    assert [key for key in specs if "hide" in key] == ([hidden] if hidden else [])
    assert apply(catalogue)[1]["changed"] is False


def test_a_listing_of_several_pages(apply, cloud, catalogue):
    cloud.page = 2
    for number in range(5):
        cloud.add(f"x{number}")
    assert apply(catalogue)[0] == 0
    assert apply(catalogue)[1]["changed"] is False
    assert len(cloud.flavors) == 8


def test_eight_at_a_time(apply, cloud):
    cloud.delay = 0.01
    rows = "".join(
        f"  - {{name: g{n}, vcpus: 1, ram: 1024, disk: 1, gpus: [{{alias: x, count: 1}}]}}\n" for n in range(40)
    )
    assert apply("schema: gpuctl.flavor.catalogue/1\ncatalogue: c\nflavors:\n" + rows)[0] == 0
    assert 4 <= cloud.busiest <= 8


def test_nobody_there(gpuctl, cloud, monkeypatch, tmp_path):
    monkeypatch.setenv("OS_CLOUD", "nosuch")
    assert gpuctl("list")[0] == 2
    gone = NovaSim()
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(gone.clouds_yaml(tmp_path)))
    monkeypatch.setenv("OS_CLOUD", "sim")
    gone._server.server_close()
    code, _, err = gpuctl("list")
    assert code == 6, err

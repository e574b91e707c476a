"""Every call site times every fault: never two flavors of a name, never a wrong one, never one that is open without its GPU."""

from __future__ import annotations

import pytest

from tests.sim.front import PROJECTS

R, T = PROJECTS["research"], PROJECTS["teaching"]
CATALOGUE = f"""
schema: gpuctl.flavor.catalogue/1
catalogue: farm
defaults: {{vcpus: 2, disk: 10}}
flavors:
  - {{name: new, ram: 2048, gpus: [{{alias: x, count: 1}}], access: [{R}, {T}], address_bits: host}}
  - {{name: drifted, ram: 2048, gpus: [{{alias: x, count: 1}}], access: [{R}], description: right}}
  - {{name: bigger, ram: 4096, gpus: [{{alias: x, count: 2}}], access: [{T}]}}
"""
OWN = {"gpuctl:catalogue": "farm"}
WANTED = {
    "new": (2048, {**OWN, "pci_passthrough:alias": "x:1", "hw:maxphysaddr_mode": "passthrough"}, {R, T}),
    "drifted": (2048, {**OWN, "pci_passthrough:alias": "x:1"}, {R}),
    "bigger": (4096, {**OWN, "pci_passthrough:alias": "x:2"}, {T}),
}
SITES = {
    "version": ("GET", "/compute/v2.1/$", 0),
    "first listing": ("GET", "/flavors/detail", 0),
    "last listing": ("GET", "/flavors/detail", 1),
    "count servers": ("GET", "/servers", 0),
    "create": ("POST", "/flavors$", 0),
    "create the second": ("POST", "/flavors$", 1),
    "first specs": ("POST", "/os-extra_specs$", 0),
    "second specs": ("POST", "/os-extra_specs$", 1),
    "third specs": ("POST", "/os-extra_specs$", 2),
    "last specs": ("POST", "/os-extra_specs$", 3),
    "remove a spec": ("DELETE", "/os-extra_specs/stale", 0),
    "describe": ("PUT", "/flavors/id-drifted$", 0),
    "delete": ("DELETE", "/flavors/[^/]*$", 0),
    "delete the second": ("DELETE", "/flavors/[^/]*$", 1),
    "read one": ("GET", "/flavors/id-bigger$", 0),
    "read access": ("GET", "/os-flavor-access$", 0),
    "read access last": ("GET", "/os-flavor-access$", 3),
    "grant": ("POST", "/action$", 0),
    "grant the third": ("POST", "/action$", 2),
}
PASSING = [401, 413, 429, 500, 502, 503, "reset-before", "reset-after", "504-after"]
LASTING = [*PASSING, 400, 403, 404, 409]


def marked(faults, quick):
    """The faults, all but one marked slow: the whole matrix takes a minute, and `make test` has it."""
    return [pytest.param(one, marks=() if one == quick else pytest.mark.slow) for one in faults]


@pytest.fixture
def drifted(cloud):
    """A cloud in which every kind of work is to be done."""
    cloud.add(
        "drifted", specs={**OWN, "pci_passthrough:alias": "y:1", "stale": "1"}, access=(R, T), description="wrong"
    )
    cloud.add("bigger", specs={**OWN, "pci_passthrough:alias": "x:2"}, access=(T,))
    cloud.add("gone", specs={**OWN, "pci_passthrough:alias": "x:9"}, access=(T,))
    cloud.add("by-hand", specs={"pci_passthrough:alias": "x:9"}, access=(T,))
    return cloud


def is_right(cloud):
    """Whether the cloud is what the catalogue says, and nothing else was touched."""
    found = {one.body["name"]: (one.body["ram"], one.specs, one.access) for one in cloud.flavors.values()}
    return found.pop("by-hand") == (2048, {"pci_passthrough:alias": "x:9"}, {T}) and found == WANTED


def check(cloud, code, document):
    """What holds whatever went wrong."""
    names = [one.body["name"] for one in cloud.flavors.values()]
    assert len(names) == len(set(names))
    assert cloud.exposed == []
    if code == 0:
        assert is_right(cloud), cloud.snapshot()
    if isinstance(document, dict):
        for row in document["flavors"]:
            if row["state"] == "done" and row["action"] != "prune":
                flavor = cloud.named(row["name"])[0]
                assert (flavor.body["ram"], flavor.specs, flavor.access) == WANTED[row["name"]]


def test_without_a_fault(apply, drifted):
    code, document = apply(CATALOGUE, "--prune", "--replace")
    check(drifted, code, document)
    assert code == 0


@pytest.mark.parametrize("fault", marked(PASSING, "reset-after"))
@pytest.mark.parametrize("site", SITES)
def test_a_fault_that_passes_is_survived(apply, drifted, pauses, site, fault):
    method, path, skip = SITES[site]
    drifted.fail(method, path, fault, skip=skip, retry_after=7 if fault == 429 else None)
    code, document = apply(CATALOGUE, "--prune", "--replace")
    assert drifted.fired
    check(drifted, code, document)
    assert code == 0, document
    if fault == 429:
        assert 7.0 in pauses


@pytest.mark.parametrize("fault", marked(LASTING, 403))
@pytest.mark.parametrize("site", SITES)
def test_a_fault_that_lasts_is_told_and_the_next_run_finishes(apply, drifted, site, fault):
    method, path, skip = SITES[site]
    drifted.fail(method, path, fault, skip=skip, times=10**6)
    code, document = apply(CATALOGUE, "--prune", "--replace")
    assert drifted.fired
    check(drifted, code, document)
    drifted.faults.clear()
    code, document = apply(CATALOGUE, "--prune", "--replace")
    check(drifted, code, document)
    assert code == 0, document


def test_a_long_retry_after_is_not_waited_for(apply, drifted, pauses):
    drifted.fail("GET", "/flavors/detail", 429, retry_after=3600, times=9)
    code, err = apply(CATALOGUE)
    assert (code, pauses) == (1, [])
    assert "429" in err


@pytest.mark.parametrize(("fault", "code"), [(401, 6), (403, 6), (500, 1)])
def test_who_may_not_is_told_so(apply, drifted, fault, code):
    drifted.fail("*", "/flavors", fault, times=99)
    said, err = apply(CATALOGUE)
    assert said == code
    assert "what to do:" in err


def test_after_a_refusal_that_meets_everything_the_rest_is_not_tried(apply, cloud):
    rows = "".join(
        f"  - {{name: g{n}, vcpus: 1, ram: 1024, disk: 1, gpus: [{{alias: x, count: 1}}]}}\n" for n in range(60)
    )
    cloud.fail("POST", "/flavors$", 403, times=99)
    code, document = apply("schema: gpuctl.flavor.catalogue/1\ncatalogue: c\nflavors:\n" + rows)
    assert code == 6
    assert sum(1 for one in cloud.writes() if one[0] == "POST") <= 16
    assert {row["state"] for row in document["flavors"]} == {"failed", "not-tried"}


def test_somebody_else_makes_the_same_name_meanwhile(apply, cloud):
    """Between the listing and the create: theirs is left alone, and the message says so."""
    text = "schema: gpuctl.flavor.catalogue/1\nflavors: [{name: g, vcpus: 2, ram: 2048, disk: 10, gpus: [{alias: x, count: 1}]}]\n"
    theirs = {}
    create = cloud._create

    def beaten(body, version):
        theirs.update(flavor=cloud.add("g", specs={"pci_passthrough:alias": "theirs:1"}))
        return create(body, version)

    cloud._create = beaten
    code, document = apply(text)
    assert code == 1
    assert "already exists" in document["flavors"][0]["error"]["details"]
    assert cloud.named("g") == [theirs["flavor"]]


def test_a_half_made_flavor_that_cannot_be_removed_is_named(apply, cloud, catalogue):
    cloud.fail("POST", "/os-extra_specs", 400, times=9)
    cloud.fail("DELETE", "/flavors/", 500, times=99)
    code, document = apply(catalogue)
    assert code != 0
    for row in document["flavors"]:
        (half,) = cloud.named(row["name"])
        assert half.body["id"] in row["error"]["brief"]
        assert "administrators alone" in row["error"]["details"]
        assert not half.access
    cloud.faults.clear()
    assert apply(catalogue)[0] == 0  # the next run finishes what is there
    assert len(cloud.flavors) == 3


def test_what_nova_stored_is_looked_at_not_what_it_echoed(apply, cloud, catalogue):
    cloud._validate = lambda specs, version: specs.pop("pci_passthrough:alias", None)
    code, document = apply(catalogue)
    assert code == 1
    assert {row["state"] for row in document["flavors"]} == {"failed"}
    assert cloud.flavors == {}
    assert cloud.exposed == []


def test_interrupted_it_finishes_what_it_began(gpuctl, cloud, catalogue, tmp_path, monkeypatch):
    """Ctrl-C: no flavor is left without its extra specs, none is open before it was read back, the next run does the rest."""
    from gpuctl.output.progress import Progress

    def interrupt(self, event):
        raise KeyboardInterrupt

    rows = "".join(
        f"  - {{name: g{n}, vcpus: 1, ram: 1024, gpus: [{{alias: x, count: 1}}], access: [{R}]}}\n" for n in range(40)
    )
    (tmp_path / "c.yaml").write_text(catalogue + rows)
    cloud.delay = 0.005
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "show", interrupt)
        assert gpuctl("apply", tmp_path / "c.yaml", "--yes")[0] == 130
    assert 0 < len(cloud.flavors) < 43
    for flavor in cloud.flavors.values():
        assert flavor.specs["pci_passthrough:alias"]
        assert not flavor.access
    assert gpuctl("apply", tmp_path / "c.yaml", "--yes")[0] == 0
    assert len(cloud.flavors) == 43
    assert cloud.exposed == []

"""The report's reading, counting and comparing; what it looks like is tests/e2e/test_report_page.py."""

from __future__ import annotations

import json

import pytest

click = pytest.importorskip("click")

from gpuctl.cli.fleet_report import command  # noqa: E402
from gpuctl.fleet import runs  # noqa: E402
from gpuctl.fleet.report.changes import news  # noqa: E402
from gpuctl.fleet.report.digest import by_group, findings, models  # noqa: E402
from gpuctl.fleet.report.model import Card, HostState, Problem, Snapshot  # noqa: E402
from gpuctl.fleet.report.page import render  # noqa: E402
from gpuctl.fleet.report.reading import NotADocument, host_state, read_files  # noqa: E402
from gpuctl.fleet.report.saved import read_saved  # noqa: E402
from tests.unit.report.fleet import check, facts, fleet  # noqa: E402


def snapshot(count: int) -> Snapshot:
    return Snapshot({name: host_state(name, documents) for name, documents in fleet(count).items()})


def test_states_are_what_was_said_and_no_more():
    assert host_state("a", [check("a")]).state == "ready"
    assert host_state("a", [check("a", (2,))]).state == "warned"
    assert host_state("a", [check("a", (0, 2))]).state == "not-ready"
    assert host_state("a", [facts("a")]).state == "unknown"
    assert host_state("a", [check("a")], error={"brief": "no route"}).state == "failed"


def test_an_answer_of_another_form_is_one_hosts_trouble():
    broken = check("a")
    del broken["findings"][0]["status"]
    state = host_state("a", [broken])
    assert state.state == "failed"
    assert "KeyError" in state.problems[0].evidence
    junk = facts("a")
    junk["gpus"][0].update(numa_node="<b>", iommu_group=[], driver=7)
    card = host_state("a", [junk]).cards[0]
    assert (card.numa, card.group, card.driver) == (None, None, "7")


def test_equal_findings_are_told_once_with_every_host():
    told = findings(snapshot(100))
    by_id = {item.id: item for item in told}
    assert list(by_id["iommu-enabled"].hosts) == ["gpu17.dc1", "gpu34.dc1", "gpu51.dc1", "gpu68.dc1", "gpu85.dc1"]
    assert [item.status for item in told] == ["fail", "fail", "warn", "warn"]


def test_findings_that_differ_by_address_alone_are_equal():
    def host(name: str, *addresses: str) -> HostState:
        return HostState(name, "not-ready", problems=tuple(
            Problem("gpu-driver", "fail", at, f"{at} of {name} is on nouveau", "", f"see {at}") for at in addresses))  # fmt: skip

    one, two = host("n1", "0000:42:00.0", "0000:84:00.0"), host("n2", "0001:01:00.0")
    (finding,) = findings(Snapshot({"n1": one, "n2": two}))
    assert finding.hosts == {"n1": 2, "n2": 1}
    assert finding.title == "(address) of (host) is on nouveau"
    (alone,) = findings(Snapshot({"n2": two}))
    assert alone.title == "0001:01:00.0 of n2 is on nouveau"


def test_a_host_stands_in_its_smallest_group_that_is_not_its_own():
    def host(name: str, *groups: str) -> HostState:
        return HostState(name, "ready", groups)

    hosts = [
        host("a1", "all", "gpu", "rack9", "canary"),
        host("a2", "gpu", "rack9"),
        host("a3", "gpu", "rack10"),
        host("a4", "gpu", "rack10"),
        host("a5", "all"),
    ]
    placed = {group: [item.name for item in found] for group, found in by_group(hosts).items()}
    assert placed == {"rack9": ["a1", "a2"], "rack10": ["a3", "a4"], "no group": ["a5"]}
    assert list(placed) == ["rack9", "rack10", "no group"]


def test_cards_are_counted_by_model_numa_and_group():
    (model,) = [item for item in models(snapshot(40)) if "H100" in item.name]
    assert (model.cards, model.hosts, model.numa) == (320, 40, {0: 160, 1: 160})
    assert (model.alone, model.shared, model.without_group) == (319, 1, 0)
    assert model.drivers == {"vfio-pci": 320}


def test_news_between_two_runs():
    def host(
        state: str, kernel: str = "6.1", *, model: str = "H100", alone: bool = True, wrong: tuple[str, ...] = ()
    ) -> HostState:
        cards = (Card("0000:41:00.0", model, 0, 7, "vfio-pci", alone, ready=True),)
        return HostState(
            "",
            state,
            kernel=kernel,
            cards=cards,
            problems=tuple(Problem(item, "warn", "host", item, "", "") for item in wrong),
        )

    before = Snapshot(
        {
            "gone": host("ready"),
            "n1": host("ready"),
            "n2": host("warned", wrong=("drift",)),
            "n3": host("ready"),
            "n4": host("ready"),
        }
    )
    now = Snapshot({
        "new": host("ready"),
        "n1": host("warned", "6.5", wrong=("drift",)),
        "n2": host("ready", model="H200"),
        "n3": host("ready", alone=False),
        "n4": HostState("", "failed"),
    })  # fmt: skip
    assert news(before, now) == [
        ("ready before, now not answering", ["n4"]),
        ("new in the run", ["new"]),
        ("no longer in the run", ["gone"]),
        ("ready before, now ready with warnings", ["n1"]),
        ("ready with warnings before, now ready", ["n2"]),
        ("H100 at 0000:41:00.0 shares its IOMMU group now", ["n3"]),
        ("card swapped at 0000:41:00.0: H100 before, now H200", ["n2"]),
        ("kernel 6.1 before, now 6.5", ["n1"]),
        ("drift: warns, and did not before", ["n1"]),
        ("drift: in order again", ["n2"]),
    ]
    assert news(now, now) == []


def test_the_same_input_makes_the_same_page():
    assert render(snapshot(30)) == render(snapshot(30))


def test_files_in_every_form_and_hosts_that_have_no_name(tmp_path):
    (tmp_path / "both.json").write_text(json.dumps([facts("n1"), check("n1")]))
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(check(name)) + "\n" for name in ("n2", "n3")))
    (tmp_path / "n4.json").write_text(json.dumps({**facts("x"), "host": None}))
    found = read_files([str(path) for path in sorted(tmp_path.iterdir())])
    assert {name: host.state for name, host in found.hosts.items()} == {
        "n1": "ready",
        "n2": "ready",
        "n3": "ready",
        "n4": "unknown",
    }
    assert found.at == "2026-11-21T10:00:00Z"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"schema": "other/1"}', b"\xff\xfe"])
def test_what_is_no_document_is_said_to_be_none(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if text == "":
        assert read_files([str(path)]).hosts == {}
        return
    with pytest.raises(NotADocument) as error:
        read_files([str(path)])
    assert "gpuctl host check -f json" in error.value.resolution


def test_the_command_writes_a_page_or_says_why_not(tmp_path):
    runner = pytest.importorskip("click.testing").CliRunner()
    source, target = tmp_path / "n1.json", tmp_path / "report.html"
    source.write_text(json.dumps(check("n1", (0,))))
    done = runner.invoke(
        command, ["--from", str(source), "--before", str(source), "-o", str(target)], standalone_mode=False
    )
    assert (done.return_value, done.exception) == (0, None)
    assert "Nothing changed." in target.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    wrong = runner.invoke(
        command, ["--from", str(source), "-o", str(tmp_path / "no/where.html")], standalone_mode=False
    )
    assert "cannot be written" in str(wrong.exception)


def keep(monkeypatch, tmp_path, ident: str, hosts: dict[str, list[dict]]) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    writer = runs.Writer(
        {"schema": "gpuctl.fleet.check/1", "run": ident, "started_at": f"at {ident}"}, runs.place() / f"{ident}.json.gz"
    )
    for name, documents in hosts.items():
        by_kind = {item["schema"].split(".")[2].split("/")[0]: item for item in documents}
        error = (
            None
            if documents
            else {
                "code": "unreachable",
                "brief": "no route",
                "details": "",
                "resolution": "see that it runs",
                "exit_code": 6,
            }
        )
        writer.add({"host": name, "groups": ["rack1"], "state": "x", "seconds": 1, "check": by_kind.get("check"),
                    "facts": by_kind.get("facts"), "error": error})  # fmt: skip
    writer.finish({"finished_at": "", "counts": {}})


def test_a_kept_run_is_compared_with_the_last_that_asked_the_same_hosts(monkeypatch, tmp_path):
    keep(monkeypatch, tmp_path, "20261101T000000Z-aaaa", {"n1": [check("n1", (0,))], "n2": [check("n2")]})
    keep(monkeypatch, tmp_path, "20261102T000000Z-bbbb", {"other": [check("other")]})
    (runs.place() / "20261103T000000Z-cccc.json.gz").write_bytes(b"not gzip")
    keep(monkeypatch, tmp_path, "20261104T000000Z-dddd", {"n1": [facts("n1"), check("n1")], "n2": []})
    now, before = read_saved(None)
    assert (now.run, before.run) == ("20261104T000000Z-dddd", "20261101T000000Z-aaaa")
    assert {name: (host.state, host.groups) for name, host in now.hosts.items()} == {
        "n1": ("ready", ("rack1",)),
        "n2": ("failed", ("rack1",)),
    }
    assert ("not ready before, now ready", ["n1"]) in news(before, now)
    assert read_saved("20261102")[1] is None
    for wrong in ("2026110", "x", "20261103"):
        with pytest.raises(runs.NoRun):
            read_saved(wrong)


def test_a_printed_fleet_check_can_be_drawn_too(tmp_path):
    entry = {"host": "n1", "groups": [], "check": check("n1", (2,)), "facts": None, "error": None}
    (tmp_path / "run.json").write_text(json.dumps({"schema": "gpuctl.fleet.check/1", "hosts": [entry]}))
    assert read_files([str(tmp_path / "run.json")]).hosts["n1"].state == "warned"

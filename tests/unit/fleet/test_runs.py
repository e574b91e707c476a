"""A run from its answers to its file, its summary and its forms; without any network."""

from __future__ import annotations

import copy
import csv
import json
import xml.etree.ElementTree as ET

import click
import pytest
import yaml

from gpuctl.cli.main import main
from gpuctl.fleet import ask as asking
from gpuctl.fleet import runs
from gpuctl.fleet.runner import Outcome, Target, ask_all
from gpuctl.output import fleet_forms, fleet_tables
from gpuctl.remote.errors import HostKeyChanged, NoPython, TimedOut


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/gpuctl/fleet/runs"


def finding(name, status="fail", subject="host", title="it is <off> & so"):
    return {
        "id": name,
        "status": status,
        "subject": subject,
        "title": title,
        "evidence": "read\nthere",
        "fix": "turn, it on",
        "doc": "x",
    }


def document(host, *findings):
    ready = not any(item["status"] == "fail" for item in findings)
    facts = {
        "schema": "gpuctl.host.facts/1",
        "host": host,
        "gpus": [],
        "kernel": {"release": "6.1"},
        "iommu": {"enabled": True},
    }
    return {
        "schema": "gpuctl.host.check/1",
        "host": host,
        "ready": ready,
        "gpus": [],
        "findings": list(findings),
        "facts": facts,
    }


def a_run(monkeypatch, answers, *, check=True):
    """A run with these answers: host -> document or error."""

    def all_of(targets, request, **_):
        for target in targets:
            answer = copy.deepcopy(answers[target.host])
            error = answer if isinstance(answer, Exception) else None
            yield Outcome(target, 0.5, None if error else answer, error)

    monkeypatch.setattr(asking, "ask_all", all_of)
    targets = [Target(host, ("gpu",), lambda: None) for host in answers]
    return asking.ask(asking.Question(check=check), targets, lambda *_: None)


MIXED = {
    **{f"gpu{number:02}": document(f"gpu{number:02}", finding("iommu-enabled")) for number in range(1, 18)},
    "gpu18": document("gpu18", finding("x", "pass"), finding("boot-vga", "warn", "0000:42:00.0"), finding("y", "skip")),
    "gpu19": HostKeyChanged("gpu19: it showed another key than the known one", resolution="compare"),
}


def text_of(run, form):
    return "".join(fleet_forms.pieces(run, form))


def test_equal_findings_are_one_line(monkeypatch):
    run, _ = a_run(monkeypatch, MIXED)
    table = click.unstyle(fleet_tables.check_summary(run, verbose=False))
    assert "17 hosts: iommu-enabled  fails" in table
    assert "gpu[01-17]" in table
    assert "1 host: host-key-changed  it showed another key" in table
    assert "19 hosts: 1 ready, 17 not ready, 1 could not be asked" in table
    assert "odd ones out: gpu18 (the other 17 are alike)" in table


def test_the_kept_file_is_the_printed_document_with_facts(monkeypatch, state):
    run, _ = a_run(monkeypatch, MIXED)
    (kept,) = runs.kept()
    assert kept.parent == state
    assert kept.stat().st_mode & 0o777 == 0o600
    again = runs.open_run(kept)
    assert (again.head, again.tail) == (run.head, run.tail)
    hosts = list(again.hosts())
    assert [entry["facts"]["host"] for entry in hosts[:18]] == [entry["host"] for entry in hosts[:18]]
    printed = json.loads(text_of(run, "json"))
    for entry in hosts:
        del entry["facts"]
    assert printed["hosts"] == hosts
    assert printed["counts"] == {"hosts": 19, "ready": 1, "not_ready": 17, "failed": 1}
    assert printed["schema"] == "gpuctl.fleet.check/1"
    assert yaml.safe_load(text_of(run, "yaml")) == printed
    assert [json.loads(line)["host"] for line in text_of(run, "jsonl").splitlines()] == [
        name for name in MIXED if name != "gpu19"
    ]


def test_what_changed_since_the_last_run_is_told(monkeypatch):
    assert (
        a_run(monkeypatch, {"a": document("a"), "b": document("b", finding("drift", "warn"))})[0].tail["changes"]
        is None
    )
    first = runs.kept()[0].name.removesuffix(".json.gz")
    monkeypatch.setattr(runs, "new_id", lambda: "29990101T000000Z-0000")
    run, _ = a_run(monkeypatch, {"a": document("a", finding("iommu-enabled")), "b": document("b"), "c": document("c")})
    assert run.tail["changes"] == {
        "since": first,
        "hosts": [
            {"host": "a", "before": "ready", "after": "not-ready", "came": ["iommu-enabled"], "went": []},
            {"host": "b", "before": "ready", "after": "ready", "came": [], "went": ["drift"]},
            {"host": "c", "before": None, "after": "ready", "came": [], "went": []},
        ],
    }
    table = click.unstyle(fleet_tables.check_summary(run, verbose=False))
    assert "a: ready -> not-ready  + iommu-enabled" in table


@pytest.mark.parametrize(
    ("answers", "code", "nagios"),
    [
        ({"a": document("a")}, 0, 0),
        ({"a": document("a", finding("drift", "warn"))}, 0, 1),
        ({"a": document("a", finding("x")), "b": document("b")}, 1, 2),
        ({"a": document("a"), "b": TimedOut("b: no answer")}, 5, 2),
        ({"a": TimedOut("a: no answer"), "b": HostKeyChanged("b: no")}, 6, 3),
        ({"a": NoPython("a: none")}, 1, 3),
        ({"a": NoPython("a: none"), "b": TimedOut("b: no answer")}, 1, 3),
    ],
)
def test_exit_codes(monkeypatch, answers, code, nagios):
    run, summary = a_run(monkeypatch, answers)
    assert summary.exit_code() == code
    line, said = fleet_forms.nagios(run)
    assert said == nagios
    assert line.count("|") == 1


def test_csv_has_a_row_for_every_host(monkeypatch):
    run, _ = a_run(monkeypatch, {**MIXED, "well": document("well")})
    rows = list(csv.DictReader(text_of(run, "csv").splitlines(keepends=True)))
    assert {row["host"] for row in rows} == {*MIXED, "well"}
    assert [row["id"] for row in rows if row["host"] in ("gpu01", "gpu18", "gpu19", "well")] == [
        "iommu-enabled",
        "boot-vga",
        "host-key-changed",
        "",
    ]
    assert rows[0]["fix"] == "turn, it on"


def test_junit_is_xml_whatever_a_title_says(monkeypatch):
    run, _ = a_run(
        monkeypatch,
        {"a": document("a", finding("x", title='<&">\x00'), finding("y", "skip")), "b": TimedOut("b: <no>")},
    )
    root = ET.fromstring(text_of(run, "junit"))  # noqa: S314 - ours
    suites = {suite.get("name"): suite.attrib for suite in root}
    assert suites["a"]["failures"] == suites["a"]["skipped"] == suites["b"]["errors"] == "1"


def test_prometheus_has_every_host_once(monkeypatch):
    run, _ = a_run(monkeypatch, MIXED)
    lines = text_of(run, "prom").splitlines()
    assert 'gpuctl_fleet_host_up{host="gpu19"} 0' in lines
    assert 'gpuctl_fleet_host_ready{host="gpu18"} 1' in lines
    assert 'gpuctl_fleet_findings{host="gpu01",id="iommu-enabled",status="fail"} 1' in lines
    assert not [line for line in lines if line.startswith("gpuctl_fleet_host_ready") and "gpu19" in line]


def test_facts_are_not_kept_but_printed(monkeypatch):
    facts = document("a")["facts"]
    run, summary = a_run(monkeypatch, {"a": facts, "b": TimedOut("b: no answer in 5 s")}, check=False)
    assert runs.kept() == []
    assert json.loads(text_of(run, "jsonl")) == facts
    assert json.loads(text_of(run, "json"))["counts"] == {"hosts": 2, "read": 1, "failed": 1}
    assert summary.exit_code() == 5
    table = click.unstyle(fleet_tables.facts_summary(run))
    assert "no answer in 5 s" in table
    assert "no GPU; IOMMU on; 6.1" in table


def test_no_more_than_so_many_runs_are_kept(monkeypatch, state):
    monkeypatch.setattr(runs, "KEPT", 2)
    for number in range(4):
        monkeypatch.setattr(runs, "new_id", lambda number=number: f"2999010{number}T000000Z-0000")
        a_run(monkeypatch, {"a": document("a")})
    assert [path.name[:8] for path in runs.kept()] == ["29990102", "29990103"]
    assert len(list(state.iterdir())) == 2


def test_a_run_that_is_interrupted_leaves_no_file(monkeypatch, state):
    def all_of(targets, request, **_):
        yield Outcome(targets[0], 0.1, document("a"))
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "ask_all", all_of)
    with pytest.raises(KeyboardInterrupt):
        asking.ask(asking.Question(check=True), [Target("a", (), lambda: None)], lambda *_: None)
    assert list(state.iterdir()) == []


def test_a_broken_file_is_said_to_be(state, capsys):
    state.mkdir(parents=True)
    (state / "20260101T000000Z-0000.json.gz").write_bytes(b"nonsense")
    assert main(["fleet", "check", "--last"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_without_an_inventory_nothing_is_asked(capsys):
    assert main(["fleet", "check"]) == 2
    assert "-i INVENTORY" in capsys.readouterr().err


def test_a_defect_costs_one_host(monkeypatch):
    def broken():
        raise ZeroDivisionError("x")

    def settled():
        raise TimedOut("b: no answer")

    targets = [Target("a", (), broken), Target("b", (), settled)]
    heard = []
    outcomes = {out.target.host: out for out in ask_all(targets, {}, forks=2, timeout=1, debug=heard.append)}
    assert outcomes["a"].error.code == "unforeseen"
    assert outcomes["b"].error.code == "timed-out"
    assert "ZeroDivisionError" in heard[0]


def test_the_hosts_half_sends_the_facts_that_it_judged(tmp_path):
    from gpuctl_host import entry

    heard = []
    (tmp_path / "root").mkdir()
    entry.serve({"command": "check", "facts": True, "root": str(tmp_path / "root")}, heard.append)
    assert heard[-1]["document"]["facts"]["schema"] == "gpuctl.host.facts/1"

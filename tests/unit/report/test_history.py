"""The operator's audit trail, in a folder of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

click = pytest.importorskip("click")

from gpuctl.cli.fleet_history import command  # noqa: E402
from gpuctl.fleet.history import AuditFailed, Event, hide, place, read, record  # noqa: E402


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def event(run: str, **more) -> Event:
    return Event(
        "fleet prepare", "done", run=run, subjects=("n1", "n2"), changes={"n1": ("file /etc/gpuctl/cards",)}, **more
    )


def test_an_event_is_a_line_that_only_its_owner_reads(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ann")
    path = record(event("r1"), argv=["gpuctl", "fleet", "prepare"])
    line = json.loads(path.read_text())
    assert (line["schema"], line["run"], line["subjects"], line["sudo_user"]) == (
        "gpuctl.audit/1",
        "r1",
        ["n1", "n2"],
        "ann",
    )
    assert {"at", "who", "from", "version", "argv", "changes", "result"} <= set(line)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_torn_line_spoils_no_other():
    record(event("r1"))
    with place().open("ab") as stream:
        stream.write(b'{"run": "torn')
    record(event("r2"))
    entries, bad = read()
    assert ([entry["run"] for entry in entries], bad) == (["r1", "r2"], 1)


def test_writers_at_once_lose_nothing():
    code = "from gpuctl.fleet.history import *\nfor n in range(50): record(Event('v', 'done', run=f'{__import__(\"os\").getpid()}-{n}'))"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    entries, bad = read()
    assert (len({entry["run"] for entry in entries}), bad) == (150, 0)


@pytest.mark.parametrize(
    "words",
    [
        ["--nova-db", "mysql://nova:CANARY@db/nova"],
        ["--nova-db=mysql://nova:CAN/ARY@x@db/nova"],
        ["--os-password", "CANARY"],
        ["--os-password=CANARY"],
        ["-e", "ansible_become_password=CANARY"],
        ["-e", '{"ansible_password": "CANARY"}'],
    ],
)
def test_no_password_comes_into_the_trail(words):
    record(event("r1"), argv=["gpuctl", *words, "kept"])
    text = place().read_text()
    assert "CANARY" not in text
    assert "ARY" not in text
    assert "kept" in text


def test_what_is_no_password_stays():
    words = ["gpuctl", "fleet", "prepare", "-i", "hosts.yaml", "--limit", "rack1", "https://cloud:5000/v3"]
    assert hide(words) == words


def test_a_folder_that_cannot_be_written_is_said(state):
    state.write_text("a file")
    with pytest.raises(AuditFailed) as error:
        record(event("r1"))
    assert "XDG_STATE_HOME" in error.value.resolution


def test_the_command_shows_all_or_one(tmp_path):
    runner = pytest.importorskip("click.testing").CliRunner()
    assert "Nothing was run" in runner.invoke(command, [], standalone_mode=False).stdout
    record(event("r1"), argv=["gpuctl", "fleet", "prepare"])
    record(event("x2"))
    assert [
        run["run"] for run in json.loads(runner.invoke(command, ["-f", "json"], standalone_mode=False).stdout)["runs"]
    ] == ["r1", "x2"]
    one = runner.invoke(command, ["--run", "r1"], standalone_mode=False).stdout
    assert "file /etc/gpuctl/cards" in one
    assert "nothing changed on: n2" in one
    assert "x2" not in one
    assert "no run zz" in str(runner.invoke(command, ["--run", "zz"], standalone_mode=False).exception)

"""`gpuctl instance migrate` as it is typed: exit codes, what goes to stdout, consent."""

from __future__ import annotations

import json

import pytest

from gpuctl.cli.main import main
from tests.unit.moves.engine.kit import QUICK


@pytest.fixture
def gpuctl(rig, monkeypatch, capsys):
    monkeypatch.setenv("OS_CLOUD", "sim")
    monkeypatch.setattr("gpuctl.moves.migrate.Pace", lambda: QUICK)
    rig.sim.boot("guest", "gpu-a")

    def run(*words):
        code = main(["instance", "migrate", *words, "--settle", "0.15"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_json_is_the_result_alone(gpuctl, rig):
    code, out, err = gpuctl("guest", "--yes", "-f", "json")
    document = json.loads(out)
    assert code == 0
    assert err == ""
    assert document["schema"] == "gpuctl.instance.migrate/1"
    (result,) = document["results"]
    assert (result["from"], result["strategy"], result["state"]) == ("gpu-a", "cold", "done")
    assert [one["step"] for one in result["steps"]] == ["migrate", "proof", "confirm", "check"]
    assert all(one["at"].endswith("Z") and one["seconds"] >= 0 for one in result["steps"])
    assert rig.sim.broken() == []


def test_a_dry_run_touches_nothing(gpuctl, rig):
    code, out, _ = gpuctl("guest", "--dry-run")
    assert code == 0
    assert "cold" in out
    assert "why: " in out
    assert rig.sim.writes() == []
    assert not (rig.folder / "state/gpuctl/audit.jsonl").exists()


def test_without_a_terminal_and_without_yes(gpuctl, rig):
    code, _, err = gpuctl("guest")
    assert code == 2
    assert "--yes" in err
    assert rig.sim.writes() == []


def test_a_guard_stops_all_of_them(gpuctl, rig):
    rig.sim.boot("locked", "gpu-a", locked=True)
    code, out, _ = gpuctl("guest", "locked", "--yes", "-f", "json")
    assert code == 3
    states = {one["name"]: one["state"] for one in json.loads(out)["results"]}
    assert states == {"guest": "planned", "locked": "refused"}
    assert rig.sim.writes() == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nosuch", "--yes"), 2),
        (("guest", "--host", "nosuch", "--yes"), 2),
        (("guest", "--host", "gpu-a", "--yes"), 3),
        (("guest", "--strategy", "legacy", "--yes"), 3),
        (("guest", "--timeout", "soon"), 2),
        (("guest", "--timeout", "nosuch=5"), 2),
    ],
)
def test_exit_codes_of_what_is_refused(gpuctl, rig, words, code):
    assert gpuctl(*words)[0] == code
    assert rig.sim.writes() == []


def test_a_failure_and_the_next_command(gpuctl, rig):
    rig.sim.inject("gpu-b", "finish_migration")
    code, out, _ = gpuctl("guest", "--host", "gpu-b", "--yes")
    assert code == 1
    assert "gpuctl instance recover" in out


def test_left_unconfirmed_as_asked_is_no_failure(gpuctl, rig):
    assert gpuctl("guest", "--no-confirm", "--yes")[0] == 0
    code, out, _ = gpuctl("guest", "--dry-run")
    assert code == 0
    assert "goes on" in out
    assert gpuctl("guest", "--yes")[0] == 0
    assert rig.sim.broken() == []


def test_some_done_and_some_not(gpuctl, rig):
    rig.sim.boot("other", "gpu-a", "h100:1")
    rig.sim.inject("gpu-b", "finish_migration", server="other")
    assert gpuctl("guest", "other", "--host", "gpu-b", "--yes")[0] == 5


def test_the_audit_trail_has_it(gpuctl, rig):
    gpuctl("guest", "--yes")
    (line,) = (rig.folder / "state/gpuctl/audit.jsonl").read_text().splitlines()
    said = json.loads(line)
    assert said["verb"] == "instance migrate"
    assert said["result"] == "done"


def test_by_name_and_id_it_is_one_server(gpuctl, rig):
    server = rig.sim.server("guest")
    _, out, _ = gpuctl("guest", server.id, "--yes", "-f", "json")
    assert len(json.loads(out)["results"]) == 1

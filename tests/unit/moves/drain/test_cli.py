"""The command: what it prints where, and its exit codes."""

from __future__ import annotations

import json

import pytest

from gpuctl.cli.main import main
from gpuctl.moves.drain.record import path_of


@pytest.fixture
def rig(rig_of, monkeypatch):
    from gpuctl.moves.drain import run
    from tests.unit.moves.engine.kit import QUICK

    monkeypatch.setattr(run, "Pace", lambda: QUICK)
    made = rig_of(tracking=True)
    made.hosts(2)
    made.servers(2, volumes=1)
    return made


def asked(capsys, *words):
    code = main(["instance", "drain", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_plan_as_json_and_nothing_is_touched(rig, capsys):
    code, out, err = asked(capsys, "gpu-0", "--dry-run", "-f", "json")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert (said["schema"], said["state"], said["host"]) == ("gpuctl.instance.drain/1", "planned", "gpu-0")
    assert {one["state"] for one in said["results"]} == {"planned"}
    assert {(one["from"], one["to"]) for one in said["results"]} == {("gpu-0", "gpu-1")}
    assert not rig.sim.hosts["gpu-0"].disabled
    assert not path_of("sim", "gpu-0").parent.exists()


def test_done(rig, capsys):
    code, out, err = asked(capsys, "gpu-0", "--yes", "-f", "json")
    said = json.loads(out)
    assert (code, err, said["state"], said["empty"], said["left"]) == (0, "", "done", True, [])
    assert all(one["seconds"] > 0 for one in said["results"])
    assert said["service"]["before"] == {"enabled": True, "reason": None, "forced_down": False}


def test_the_tables(rig, capsys):
    _, out, _ = asked(capsys, "gpu-0", "--dry-run")
    assert "gpu-0-vm-0" in out
    assert "how long is not known" in out
    code, out, _ = asked(capsys, "gpu-0", "--yes")
    assert code == 0
    assert "no GPU server is on gpu-0 any more" in out
    assert "--enable gpu-0" in out


def test_without_a_terminal_nobody_can_agree(rig, capsys):
    code, _, err = asked(capsys, "gpu-0")
    assert code == 2
    assert "no terminal to ask on" in err
    assert not rig.sim.hosts["gpu-0"].disabled


def test_refused(rig, capsys):
    rig.sim.set_server("gpu-0-vm-0", locked=True)
    code, out, _ = asked(capsys, "gpu-0", "--yes")
    assert code == 3
    assert "ask who locked it" in out
    assert "nothing was touched" in out


@pytest.mark.parametrize("words", [
    ("--max-fail", "x"), ("--confirmed-dead", "gpu-0"), ("--evacuate", "--strategy", "cold"), ("--parallel", "0"),
])  # fmt: skip
def test_wrong_usage(rig, capsys, words):
    assert asked(capsys, "gpu-0", *words)[0] == 2


def test_no_such_host(rig, capsys):
    code, _, err = asked(capsys, "nowhere")
    assert code == 2
    assert "no compute host 'nowhere'" in err


def test_evacuate_says_what_is_at_stake(rig, capsys):
    rig.sim.stop_compute("gpu-0", machine=True)
    code, _, err = asked(capsys, "gpu-0", "--evacuate")
    assert code == 3
    assert "power the machine off" in err
    code, out, _ = asked(capsys, "gpu-0", "--evacuate", "--confirmed-dead", "gpu-0", "--dry-run")
    assert code == 0
    assert "Make sure that it is powered off" in out
    code, out, _ = asked(capsys, "gpu-0", "--evacuate", "--confirmed-dead", "gpu-0", "--yes")
    assert code == 0
    assert "Do not start, stop or hard reboot" in out

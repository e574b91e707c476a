"""The record of a host's drains."""

from __future__ import annotations

import pytest

from gpuctl.moves.drain.brakes import Brakes
from gpuctl.moves.drain.prepare import unended
from gpuctl.moves.drain.record import Past, Record, path_of, read
from gpuctl.moves.drain.record import past as past_of
from gpuctl.moves.errors import Busy
from gpuctl.moves.journal import JournalFailed


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_what_is_written_is_read(state):
    with Record.open("sim", "gpu-a") as record:
        record.write("begin", "r1", user="me", evacuate=False, servers={"s": "vm"})
        record.write("service", "r1", before={"enabled": True, "reason": None, "forced_down": False})
        record.write(
            "service", "r1", before={"enabled": False, "reason": "gpuctl drain r1 by me", "forced_down": False}
        )
        record.write("end", "r1", exit_code=5)
    (one,) = read(path_of("sim", "gpu-a"))
    assert (one.run, one.servers, one.ended, one.over) == ("r1", {"s": "vm"}, 5, False)
    assert one.before.enabled  # as it was before it was ever touched


def test_a_line_that_a_kill_cut_off(state):
    with Record.open("sim", "gpu-a") as record:
        record.write("begin", "r1", user="me", evacuate=False, servers={})
    with path_of("sim", "gpu-a").open("a") as file:
        file.write('{"v": 1, "kind": "en')
    with Record.open("sim", "gpu-a") as record:
        record.write("end", "r1", exit_code=0)
        assert [one.over for one in record.past()] == [True]


@pytest.mark.parametrize("host", ["../../etc/passwd", "..", "a/b", "", "gpu-a\n"])
def test_a_hosts_name_is_one_part_of_a_path(state, host):
    path = path_of("sim", host)
    assert path.parent == state / "gpuctl/drains/sim"
    assert not path.name.startswith(".")


def past(run, ended, **more):
    return Past(run, "me", False, {}, None, ended, **more)


def test_drains_since_the_last_one_that_ended_well():
    assert unended([]) == []
    runs = [past("1", 5), past("2", 0), past("3", 5), past("4", None)]
    assert [one.run for one in unended(runs)] == ["3", "4"]
    assert unended([past("1", 5), past("2", 5, enabled=True)]) == []


def test_brakes_count_and_the_third_press_is_as_ever():
    brakes = Brakes()
    assert (brakes.slow, brakes.stop) == (False, False)
    brakes._press(2, None)
    assert (brakes.slow, brakes.stop) == (True, False)
    brakes._press(2, None)
    assert brakes.stop
    with pytest.raises(KeyboardInterrupt):
        brakes._press(2, None)


def test_what_cannot_be_understood_is_no_drain_that_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Record.open("sim", "gpu-a") as record:
        record.path.write_text('{"v": 1, "kind": "begin", "run": "r"}\n')
        with pytest.raises(JournalFailed, match="not known"):
            record.past()


def test_a_line_of_a_newer_gpuctl_is_not_passed_over(state):
    with Record.open("sim", "gpu-a") as record:
        record.write("begin", "r1", user="me", evacuate=False, servers={})
    with path_of("sim", "gpu-a").open("a") as file:
        file.write('{"v": 2, "kind": "begin", "run": "r2"}\n')
    with pytest.raises(JournalFailed, match="not known") as error:
        past_of("sim", "gpu-a")
    assert "form 2" in error.value.details


def test_a_record_that_cannot_be_opened_is_one_error(state):
    path_of("sim", "gpu-a").mkdir(parents=True)
    with pytest.raises(JournalFailed):
        past_of("sim", "gpu-a")
    with pytest.raises(JournalFailed):
        Record.open("sim", "gpu-a")
    path_of("sim", "gpu-a").rmdir()
    Record.open("sim", "gpu-a").close()  # the failure before left no lock behind


def test_while_somebody_drains_a_look_names_him(state):
    with Record.open("sim", "gpu-a"), pytest.raises(Busy, match=r"pid \d+"):
        past_of("sim", "gpu-a")
    assert past_of("sim", "gpu-a") == []

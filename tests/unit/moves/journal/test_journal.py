"""The journal: on disk before anything is asked, whole lines only, one holder, and never what is, only what was meant."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from gpuctl.moves.errors import Busy
from gpuctl.moves.journal import Journal, JournalFailed, folder, peek, refuse_busy
from gpuctl.moves.model import Fault
from gpuctl.moves.move import LOST, TAKEN, Move, Options, Sent, Track, dump_move, load_move
from tests.unit.moves.ways.kit import server

SERVER = server(fault=Fault("old", "x"), volumes=("v",), groups=("g",))
MOVE = Move("m1", SERVER, "gpu-a", "gpu-b", "cold", "why", Options(deadlines={"move": 5.0}, live_aliases=("a",)))
TRACK = Track(MOVE, frozenset({1, 2}), frozenset({"req-0"}))
SENT = Sent("migrate", 100.0)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def written(*acts):
    with Journal.open("sim", SERVER.id) as journal:
        for act, *args in acts:
            getattr(journal, act)(*args)
    return peek("sim", SERVER.id)


def test_a_move_comes_back_as_it_was():
    assert load_move(json.loads(json.dumps(dump_move(MOVE)))) == MOVE


def test_what_a_later_version_wrote_is_left_out():
    said = json.loads(json.dumps(dump_move(MOVE)))
    said["novel"] = said["server"]["novel"] = said["options"]["novel"] = 1
    assert load_move(said) == MOVE


def test_begun_and_nothing_intended_is_nothing_to_go_on_with():
    assert written(("begin", TRACK)) is None


def test_an_intent_without_an_answer():
    found = written(("begin", TRACK), ("intent", TRACK, SENT))
    assert found == replace(TRACK, sent=(SENT,), resumed=True)
    assert found.sent[0].outcome == "asked"


def test_answers_are_put_to_the_newest_request_of_their_name():
    answered = replace(SENT, outcome=LOST)
    second = Sent("migrate", 200.0)
    done = replace(second, outcome=TAKEN, request="req-9")
    found = written(
        ("begin", TRACK),
        ("intent", TRACK, SENT),
        ("answer", TRACK, answered),
        ("intent", TRACK, second),
        ("answer", TRACK, done),
    )
    assert found.sent == (answered, done)


@pytest.mark.parametrize("state", ["done", "failed", "refused"])
def test_ended(state):
    assert written(("begin", TRACK), ("intent", TRACK, SENT), ("end", TRACK, state, "")) is None


@pytest.mark.parametrize("state", ["unfinished", "interrupted", "unknown"])
def test_what_may_go_on(state):
    assert written(("begin", TRACK), ("intent", TRACK, SENT), ("end", TRACK, state, "")).move == MOVE


def test_a_proof_is_never_in_it():
    found = written(("begin", replace(TRACK, proof=object(), checked=())), ("intent", TRACK, SENT))
    assert found.proof is None
    assert found.checked is None


def test_every_line_may_be_cut_anywhere():
    written(("begin", TRACK), ("intent", TRACK, SENT))
    path = folder("sim") / f"{SERVER.id}.jsonl"
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        # Cut within the intent it was not on disk, so it was never asked for; all of it but its end may have been.
        assert (peek("sim", SERVER.id) is None) == (cut < len(whole) - 1)
        found = written(("begin", TRACK), ("intent", TRACK, replace(SENT, at=7.0)))
        assert found.sent == (replace(SENT, at=7.0),)


def test_the_other_is_named():
    with Journal.open("sim", SERVER.id):
        with pytest.raises(Busy, match=f"pid {os.getpid()}") as caught:
            Journal.open("sim", SERVER.id)
        assert caught.value.exit_code == 75
    Journal.open("sim", SERVER.id).close()


def test_it_is_on_disk_before_intent_returns(monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (fsync(file), synced.append(os.fstat(file).st_size)))
    with Journal.open("sim", SERVER.id) as journal:
        journal.begin(TRACK)
        journal.intent(TRACK, SENT)
        assert synced[-1] == journal.path.stat().st_size


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/etc", "a\nb", ""])
def test_a_clouds_name_is_one_folder(name, state):
    assert folder(name).parent == state / "gpuctl/moves"
    assert folder(name).name not in {"", ".", ".."}


def test_a_folder_that_cannot_be_written(state):
    (state / "gpuctl").write_text("a file")
    with pytest.raises(JournalFailed, match="cannot be opened"):
        Journal.open("sim", SERVER.id)


@pytest.mark.parametrize(
    "line",
    [
        '{"v": 2, "kind": "begin", "id": "m"}',
        '{"v": 1, "kind": "begin", "id": "m"}',
        '{"v": 1, "kind": "begin", "id": "m", "move": {}, "known": [], "requests": []}',
        '{"v": 1}',
        '{"v": "x"}',
    ],
)
def test_what_cannot_be_understood_is_no_closed_move(line):
    written(("begin", TRACK), ("intent", TRACK, SENT))
    path = folder("sim") / f"{SERVER.id}.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(JournalFailed, match="not known"):
        peek("sim", SERVER.id)


def test_a_look_whether_it_is_free(state):
    refuse_busy("sim", SERVER.id)
    assert list(state.iterdir()) == []
    with Journal.open("sim", SERVER.id), pytest.raises(Busy, match=f"pid {os.getpid()}"):
        refuse_busy("sim", SERVER.id)
    refuse_busy("sim", SERVER.id)
    Journal.open("sim", SERVER.id).close()


def test_what_could_not_be_opened_is_not_kept_locked(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("gpuctl.own_state.open_lines", lambda path: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(JournalFailed, match="cannot be opened"):
            Journal.open("sim", SERVER.id)
    Journal.open("sim", SERVER.id).close()

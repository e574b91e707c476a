"""What the journals of earlier moves tell."""

from __future__ import annotations

import json

from gpuctl.moves.drain.estimate import Estimate, Measured, copied, history, measured
from gpuctl.moves.journal import Journal, folder
from gpuctl.moves.move import Move, Sent, Track
from tests.unit.moves.ways.kit import server


def test_reads_what_the_journals_of_moves_say(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history("sim") == Estimate()
    track = Track(Move("m", server(), "gpu-a", "gpu-b", "cold"), sent=(Sent("migrate", 0.0),))
    with Journal.open("sim", server().id) as journal:
        journal.begin(track)
        journal.end(track, "done", "")
        journal.begin(track)
        journal.end(track, "failed", "")
    (folder("sim") / "other.jsonl").write_text('not json\n{"v": 1, "kind": "end", "state": "done", "id": "x"}\n')
    (one,) = history("sim").measured
    assert (one.strategy, one.gib) == ("cold", 20)
    assert 0 <= one.seconds < 60


def lines(*kinds):
    move = {"id": "m", "server": None, "source": "a", "to": "b", "strategy": "cold"}
    from gpuctl.moves.move import dump_move

    move = dump_move(Move("m", server(), "a", "b", "cold"))
    for minute, (kind, more) in enumerate(kinds):
        said = {"kind": kind, "id": "m", "at": f"2026-01-01T00:{minute:02}:00.000Z", "move": move, **more}
        yield json.loads(json.dumps(said))


def test_seconds_are_from_the_first_request_to_the_end():
    assert [one.seconds for one in measured(lines(("begin", {}), ("intent", {}), ("end", {"state": "done"})))] == [
        120.0
    ]


def test_a_move_that_was_taken_up_tells_nothing():
    assert not list(measured(lines(("begin", {}), ("options", {}), ("end", {"state": "done"}))))
    assert not list(measured(lines(("begin", {}), ("end", {"state": "interrupted"}), ("end", {"state": "done"}))))


def test_size_matters_where_it_did():
    known = Estimate(tuple(Measured("cold", gib, 30.0 + 2 * gib) for gib in (10, 20, 40)))
    assert round(known.seconds("cold", server(root_gib=100))) == 230
    assert known.seconds("shelve", server()) is None
    flat = Estimate(tuple(Measured("cold", gib, 60.0 - gib) for gib in (10, 20, 40)))
    assert flat.seconds("cold", server(root_gib=100)) == 40.0
    assert Estimate((Measured("cold", 1, 5.0),)).seconds("cold", server(root_gib=900)) == 5.0


def test_never_less_than_the_quickest():
    steep = Estimate(tuple(Measured("cold", gib, float(gib)) for gib in (10, 20, 40)))
    assert steep.seconds("cold", server(root_gib=0)) == 10.0


def test_what_is_copied():
    local = server(root_gib=10, ephemeral_gib=5)
    volume = server(root_gib=10, ephemeral_gib=5, image=None)
    assert [copied(way, local) for way in ("cold", "shelve", "live")] == [15, 10, 0]
    assert [copied(way, volume) for way in ("cold", "shelve", "live")] == [5, 0, 0]

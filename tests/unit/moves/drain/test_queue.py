"""The queue alone: caps, the share of failures, what a look again changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuctl.moves.drain.caps import Caps, Job
from gpuctl.moves.drain.queue import DrainQueue
from gpuctl.moves.drain.settings import BadShare, MaxFail
from gpuctl.moves.move import Move, Sent, Track
from gpuctl.moves.result import Result
from tests.unit.moves.ways.kit import server

TWO, FIRST = Caps(2, None, 2), MaxFail()


def move(name, to="gpu-b"):
    return Move(name, server(id=name, name=name), "gpu-a", to, "cold")


def queue(count=6, *, caps=TWO, max_fail=FIRST, **more):
    return DrainQueue([Job(move(f"s{n}"), "gpu-a", "gpu-b", 1.0) for n in range(count)], caps, max_fail, count, **more)


def ended(name, state):
    return Result(name, name, "gpu-a", "gpu-b", "cold", state)


def ids(moves):
    return [one.server.id for one in moves]


def test_hands_out_within_its_caps():
    one = queue()
    first = one.ready([])
    assert ids(first) == ["s0", "s1"]
    assert one.ready(first) == []
    one.ended(ended("s0", "done"))
    assert ids(one.ready(first[1:])) == ["s2"]


def test_one_failure_stops_all_that_waits():
    one = queue()
    first = one.ready([])
    one.ended(ended("s0", "failed"))
    assert one.ready(first[1:]) == []
    assert "1 of 6" in one.stopped
    assert len(one.waiting) == 4


@pytest.mark.parametrize(("text", "failed", "stops"), [
    ("1", 1, True), ("2", 1, False), ("2", 2, True), ("50%", 3, False), ("50%", 4, True), ("0%", 1, True), ("100%", 6, False),
])  # fmt: skip
def test_when_it_is_enough(text, failed, stops):
    one = queue(max_fail=MaxFail.of(text), caps=Caps(6, None, 6))
    one.ready([])
    for number in range(failed):
        one.ended(ended(f"s{number}", "failed"))
    assert bool(one.stopped) is stops


@pytest.mark.parametrize("text", ["0", "-1", "101%", "x", "", "1.5", "%"])
def test_what_is_no_share(text):
    with pytest.raises(BadShare):
        MaxFail.of(text)


def test_an_unfinished_move_counts_as_one_that_did_not_make_it():
    for state in ("unfinished", "unknown", "refused", "interrupted"):
        one = queue()
        one.ready([])
        one.ended(ended("s0", state))
        assert one.stopped, state


def test_the_brake_lets_what_runs_end():
    pressed = []
    one = queue(brake=lambda: bool(pressed))
    first = one.ready([])
    pressed.append(1)
    assert one.ready(first) == []
    one.ended(ended("s0", "done"))
    assert one.ready(first[1:]) == []
    assert one.stopped.startswith("interrupted")


def test_the_brake_stops_nothing_where_nothing_waits():
    pressed = []
    one = queue(2, brake=lambda: bool(pressed))
    first = one.ready([])
    pressed.append(1)
    assert one.ready(first) == []
    assert not one.stopped


class Eye:
    def __init__(self, *, gone=(), lost=()):
        self.lost, self.names = lost, gone

    def gone(self, result):
        return result.server in self.names

    def fresh(self, waiting, running):
        kept = [one for one in waiting if one.what.server.id not in self.lost]
        return kept, [ended(one.what.server.id, "refused") for one in waiting if one not in kept]


def test_a_server_that_left_by_itself_is_no_failure():
    one = queue(eye=Eye(gone={"s0"}))
    first = one.ready([])
    one.ended(ended("s0", "refused"))
    assert not one.stopped
    assert one.gone == {"s0"}
    assert ids(one.ready(first[1:])) == ["s2"]


def test_after_a_failure_one_looks_before_the_next_start():
    one = queue(eye=Eye(lost={"s2", "s3"}), max_fail=MaxFail(9), every=1e9)
    first = one.ready([])
    one.ended(ended("s0", "failed"))
    assert ids(one.ready(first[1:])) == ["s4"]
    assert [result.server for result in one.results] == ["s2", "s3"]
    assert one.failed == 3


def test_what_a_look_refuses_may_be_enough():
    one = queue(eye=Eye(lost={"s2"}), max_fail=MaxFail(2), every=0.0)
    first = one.ready([])
    one.ended(ended("s0", "failed"))
    assert one.ready(first[1:]) == []
    assert one.stopped


def test_better_estimates_change_the_order():
    one = queue(4, caps=Caps(1, None, 1))
    one.weigh(lambda each: float(each.server.id[1:]))
    assert ids(one.ready([])) == ["s3"]
    assert 0 < one.left() <= 6.0


def test_what_was_taken_up_and_never_asked_for_is_planned_anew():
    class Anew(Eye):
        def anew(self, lost, kept, running):
            return [*kept, *(Job(move("s0", "gpu-c"), "gpu-a", "gpu-c", 1.0) for _ in lost)], []

    track = Track(move("s0"), sent=(Sent("migrate", 0.0),))
    one = DrainQueue([Job(track, "gpu-a", "gpu-b", 9.0)], TWO, FIRST, 1, eye=Anew())
    assert one.ready([]) == [track]
    one.ended(replace(ended("s0", "failed"), not_taken=True))
    assert not one.stopped
    (again,) = one.ready([])
    assert (again.server.id, again.to) == ("s0", "gpu-c")
    one.ended(replace(ended("s0", "failed"), not_taken=True))  # asked for in this run: not tried again by itself
    assert one.stopped

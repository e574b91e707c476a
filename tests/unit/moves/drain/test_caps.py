"""Who starts when."""

from __future__ import annotations

import itertools
import random

from gpuctl.moves.drain.caps import Caps, Job, longest_first, makespan, pick


def job(name, seconds=1.0, to="b", source="a"):
    return Job(name, source, to, seconds)


def names(jobs):
    return [one.what for one in jobs]


def test_the_longest_go_first():
    assert names(longest_first([job("s", 1), job("l", 9), job("m", 5)])) == ["l", "m", "s"]


def test_a_full_host_lets_the_next_one_by():
    waiting = [job("1", to="b"), job("2", to="b"), job("3", to="c"), job("4", to="c")]
    assert names(pick(waiting, [], Caps(3, None, 1))) == ["1", "3"]
    assert names(pick(waiting, [job("0", to="b")], Caps(3, None, 1))) == ["3"]


def test_a_source_has_its_own_cap():
    waiting = [job("1", to="b"), job("2", to="c"), job("3", to="d", source="z")]
    assert names(pick(waiting, [], Caps(3, 1, 3))) == ["1", "3"]


def test_where_nova_chooses_no_host_is_counted():
    assert names(pick([job(str(n), to=None) for n in range(5)], [], Caps(4, None, 1))) == ["0", "1", "2", "3"]


def test_nothing_starts_beyond_the_whole():
    assert pick([job("1")], [job("0", to="c")], Caps(1, None, 4)) == []


def test_makespan_of_those_that_run_is_what_is_left_of_them():
    caps = Caps(2, None, 2)
    assert makespan([], [job("1", 3), job("2", 5)], caps) == 5
    assert makespan([job("3", 4)], [job("1", 3), job("2", 5)], caps) == 7
    assert makespan([], [], caps) == 0


def test_longest_first_is_within_a_third_of_the_best():
    # Graham 1969: 4/3 - 1/(3m) of the best schedule; the best is found by trying all.
    rng = random.Random(3)
    for _ in range(60):
        seconds = [rng.randint(1, 20) for _ in range(rng.randint(1, 7))]
        machines = rng.randint(1, 3)
        best = min(
            max(sum(s for s, at in zip(seconds, on) if at == m) for m in range(machines))
            for on in itertools.product(range(machines), repeat=len(seconds))
        )
        jobs = longest_first([job(str(n), s) for n, s in enumerate(seconds)])
        found = makespan(jobs, [], Caps(machines, None, 9))
        assert best <= found <= best * (4 / 3 - 1 / (3 * machines)) + 1e-9

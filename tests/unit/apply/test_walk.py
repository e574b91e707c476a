"""The way back through a file's past."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuctl_host.changes.past import Image
from gpuctl_host.changes.restore import parse_put_back, show_put_back
from gpuctl_host.changes.walk import Point, Way, walk_back


def image(name, mode=0o644):
    return None if name is None else Image(name.encode().hex().ljust(64, "0"), len(name), mode, 0, 0)


A, B, C, D, X = (image(name) for name in "abcdx")
names = st.sampled_from([None, "a", "b", "c", "d", "e"])


def test_one_run():
    assert walk_back([Point(A, B)], B) == Way(A)
    assert walk_back([Point(A, B)], A) == Way(A)
    assert walk_back([Point(A, B)], X) == Way(X, broken=True, saved=A)
    assert walk_back([Point(None, B)], X) == Way(None, broken=True, saved=X)
    assert walk_back([Point(None, B)], None) == Way(None)
    assert walk_back([Point(A, B)], None) == Way(None, broken=True, saved=A)


def test_somebody_else_between_two_runs():
    assert walk_back([Point(A, B), Point(C, D)], D) == Way(C, broken=True, saved=A)
    assert walk_back([Point(None, B), Point(C, D)], D) == Way(None, broken=True, saved=C)


def test_a_restore_that_was_killed_before_a_second_prepare():
    assert walk_back([Point(A, B), Point(A, C)], C) == Way(A)


def test_a_mode_alone():
    loose = image("a", 0o600)
    assert walk_back([Point(image("a"), loose)], loose) == Way(image("a"))


@given(states=st.lists(names, min_size=2, max_size=7), at=st.integers(0, 6))
def test_without_anybody_else_it_always_ends_at_the_beginning(states, at):
    """Runs that follow one another; present is any state on the way, as a killed restore may leave it."""
    points = [Point(image(here), image(there)) for here, there in zip(states, states[1:])]
    way = walk_back(points, image(states[min(at, len(states) - 1)]))
    assert way == Way(image(states[0]))


@given(pairs=st.lists(st.tuples(names, names), min_size=1, max_size=5), present=names)
def test_nothing_of_somebody_elses_is_lost(pairs, present):
    points = [Point(image(here), image(there)) for here, there in pairs]
    way = walk_back(points, image(present))
    first = points[0].before
    if not way.broken:
        assert way.goal == first
    elif first is None:
        assert way.goal is None
    else:
        assert way.saved == first


@given(
    st.none()
    | st.builds(
        Image,
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.integers(0, 10**12),
        st.integers(0, 0o7777),
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.booleans(),
    )
)
def test_a_before_image_in_a_plan_is_read_as_it_was_written(item):
    assert parse_put_back(show_put_back(item)) == item

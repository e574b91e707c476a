"""What tests/work.py counts, and that it rings."""

from __future__ import annotations

import contextlib

import pytest

from tests.work import Endless, an_end, calls


def test_the_same_work_is_the_same_number_and_more_is_more():
    once, again, more = (calls(lambda count=count: [str.strip(" ") for _ in range(count)]) for count in (100, 100, 200))
    assert (once, more) == (again, once + 100)


def test_what_does_not_end_is_ended():
    with pytest.raises(Endless, match=r"after 0\.05 s of CPU: this"), an_end(0.05, "this"):
        while True:
            with contextlib.suppress(Exception):
                sum(range(1000))


def test_what_ends_is_left_alone():
    with an_end(5, "this"):
        pass

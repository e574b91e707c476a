"""Connections are closed when their time is up, and not otherwise. No test here says how fast."""

from __future__ import annotations

import threading

from gpuctl.remote.road import Deadline
from gpuctl.remote.watch import closing_at


class Line:
    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


def test_what_hangs_is_closed_though_others_have_more_time():
    patient, hanging = Line(), Line()
    with closing_at(patient, Deadline(600)), closing_at(hanging, Deadline(0.05)):
        assert hanging.closed.wait(30)
        assert not patient.closed.is_set()


def test_one_that_hangs_in_closing_does_not_hold_up_the_next():
    release, other = threading.Event(), Line()

    class Stuck(Line):
        def close(self):
            super().close()
            release.wait(30)

    stuck = Stuck()
    with closing_at(stuck, Deadline(0.02)), closing_at(other, Deadline(0.05)):
        assert stuck.closed.wait(30)
        assert other.closed.wait(30)
    release.set()


def test_what_is_done_in_time_is_left_alone():
    done, later = Line(), Line()
    with closing_at(done, Deadline(0.05)):
        pass
    with closing_at(later, Deadline(0.2)):
        assert later.closed.wait(30)  # the watch has gone past the first one's time
    assert not done.closed.is_set()

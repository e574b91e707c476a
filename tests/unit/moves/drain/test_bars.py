"""Bars on a terminal, and silence elsewhere."""

from __future__ import annotations

import io
import os
import sys

import pytest

from gpuctl.moves.drain.run import Tally
from gpuctl.output.bars import Bar, Bars, cut, duration, line
from gpuctl.output.drain_tables import foot


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal_of(monkeypatch):
    # Made in the test itself: pytest's own capture puts sys.stderr back between a fixture and its test.
    return lambda: _terminal(monkeypatch)


def _terminal(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr("gpuctl.output.bars._EVERY", 0.0)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((40, 6)))
    return shown


def test_lines_are_rewritten_in_place_and_gone_at_the_end(terminal_of):
    terminal = terminal_of()
    with Bars() as bars:
        bars.show([Bar("a", "copy", 0.5, 3), Bar("b", "copy", None, 3)], "foot")
        bars.show([Bar("a", "copy", 0.9, 4)], "foot")
    text = terminal.getvalue()
    assert "\033[3F\033[J" in text
    assert text.endswith("\033[2F\033[J")


def test_never_wider_or_higher_than_the_terminal(terminal_of):
    terminal = terminal_of()
    with Bars() as bars:
        bars.show([Bar("服务器" * 20, "copy\n\033[2J", 0.5, 3)] * 50, "foot " * 50)
    drawn = terminal.getvalue().split("\033[J")[1].splitlines()
    assert len(drawn) <= 6
    assert "\033" not in "".join(drawn[:5])


def test_silent_where_stderr_is_no_terminal(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with Bars() as bars:
        bars.show([Bar("a", "copy", 0.5, 3)], "foot")
    assert shown.getvalue() == ""


def test_a_bar():
    assert line(Bar("a", "copy", 0.5, 65)) == f"{'█' * 10}{'░' * 10} a  copy (1 min 5 s)"
    assert line(Bar("a", "copy", 7.0, 0)).startswith("█" * 20 + " a")
    assert cut("abc", 2) == "ab"


@pytest.mark.parametrize(("seconds", "said"), [
    (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (-3, "0 s"),
])  # fmt: skip
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_the_line_below():
    assert (
        foot(Tally(8, 2, 1, 4, 1, 90.0, None, ""))
        == "2 of 8 done, 4 under way, 1 to go, 1 failed, about 1 min 30 s left"
    )
    assert foot(Tally(8, 2, 0, 0, 0, None, None, "enough")) == "2 of 8 done, 0 under way, 0 to go; enough"

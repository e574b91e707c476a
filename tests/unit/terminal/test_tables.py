"""Tables, lines and bars on a terminal that is narrow, poor or gone; and the screen that the other tests look at."""

from __future__ import annotations

import io

import click
import pytest

from gpuctl.output.bars import Bars, drawn
from gpuctl.output.progress import Progress
from gpuctl.output.table import cells, columns, fold
from tests.unit.terminal.screen import Screen

HEADER = ("SERVER", "CARDS", "FROM", "TO", "WAY", "ESTIMATE", "WHY")
ROW = (
    "train-0",
    "1",
    "gpu17",
    "gpu18",
    "shelve",
    "~3 s",
    "Placement tracks cards: a cold move would leave two allocations",
)


class Poor(io.StringIO):
    """A terminal's stderr."""

    encoding = "utf-8"

    def isatty(self):
        return True


def terminal(monkeypatch):
    """Stderr is one; called in the test itself, for pytest puts its own there before each."""
    monkeypatch.setenv("TERM", "xterm")
    stderr = Poor()
    monkeypatch.setattr("sys.stderr", stderr)
    return stderr


@pytest.mark.parametrize("wide", [24, 39, 40, 45, 46, 47, 63, 64, 65, 80, 100, 139])
def test_no_line_is_longer_than_the_terminal_and_no_cell_is_lost(wide, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(wide))
    text = columns([ROW, ROW], HEADER)
    assert max(map(cells, text.splitlines())) <= wide
    words = text.replace("\n", " ").split()
    for cell in (*HEADER[1:], *ROW):  # the first one's name goes without saying
        assert [one for one in cell.split() if one in text] == cell.split()
    assert words.count("gpu18") == 2


def test_a_wide_terminal_has_a_row_a_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert columns([ROW], HEADER).splitlines()[1] == ("train-0  1      gpu17  gpu18  shelve  ~3 s      " + ROW[-1])


def test_with_little_room_the_last_cell_goes_below_the_others(monkeypatch):
    monkeypatch.setenv("COLUMNS", "64")
    assert columns([ROW]).splitlines() == [
        "train-0  1  gpu17  gpu18  shelve  ~3 s",
        "    Placement tracks cards: a cold move would leave two",
        "    allocations",
    ]  # fmt: skip


def test_with_none_each_cell_has_a_line_and_its_name(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    header = ("NAME", "EMPTY", "LONG", "WHY")
    assert click.unstyle(columns([("a", "", "b" * 28, "so")], header)).splitlines() == [
        "a", "    LONG", "      " + "b" * 28, "    WHY so",
    ]  # fmt: skip


def test_folded_lines_keep_their_indent_and_what_is_copied_stays_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setattr("sys.stdout", Poor())
    statement = "            UPDATE migrations SET status='failed' WHERE id = 1;"
    assert fold(f"    why: one two three four\n{statement}\nshort\n").split("\n") == [
        "    why: one two three", "      four", statement, "short", "",
    ]  # fmt: skip


def test_what_goes_to_a_pipe_is_not_folded(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    assert fold("word " * 100) == "word " * 100


@pytest.mark.parametrize("wide", [20, 40, 81])
def test_a_line_of_progress_leaves_room_for_what_the_terminal_echoes(wide, monkeypatch):
    stderr = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(wide))
    screen = Screen(wide)
    with Progress() as progress:
        progress.show({"text": "do generated initramfs " * 20, "done": 6, "total": 8})
        stderr.write("^C")
    screen.feed(stderr.getvalue())
    assert screen.text == ""
    assert len(screen.rows) == 1


def test_a_terminal_that_has_gone_does_not_end_the_work(monkeypatch):
    stderr = terminal(monkeypatch)

    def gone(_text):
        raise OSError(5, "Input/output error")

    with Progress() as progress, Bars() as bars:
        progress.show({"text": "a"})
        stderr.write = gone
        progress.show({"text": "b"})
        bars.show([], "foot")
        progress.show({"text": "c"})


def test_a_dumb_terminal_is_not_drawn_on(monkeypatch):
    stderr = terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with Progress() as progress, Bars() as bars:
        progress.show({"text": "a"})
        bars.show([], "foot")
        bars.say("something")
    assert stderr.getvalue() == ""


def test_bars_are_drawn_with_what_there_is(monkeypatch):
    stderr = terminal(monkeypatch)
    assert drawn(0.5, 4) == "██░░"
    stderr.encoding = "latin-1"
    assert drawn(0.5, 4) == "##--"
    assert drawn(None, 4) == "...."


def test_the_screen_shows_what_a_terminal_would():
    screen = Screen(5)
    screen.feed("abcdefg\r\nh\033[1mi\033[0m\r\n\033[2F\033[Jx\ry\033[?25l\033[3q")
    assert screen.text == "abcde\ny"
    assert not screen.shown
    assert screen.strange == ["CSI 3q"]

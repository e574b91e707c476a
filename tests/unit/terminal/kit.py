"""A person at a real terminal: a pseudo terminal, the command as a process that owns it, and what the screen then shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

from tests.unit.terminal.screen import Screen

ROOT = Path(__file__).resolve().parents[3]
CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\n"
KEPT = ("PATH", "LANG", "TMPDIR")


class Session:
    """gpuctl at a terminal of so many columns.

    Args:
        words: of the command line.
        env: beside PATH, LANG and TERM, all that the process has.
        scene: of scenes.py, what it then runs in; "real" is the console script alone.
        columns: the terminal's width.
        stdin, stdout, stderr: "tty", "pipe" (read to its end), "head" (a pipe whose reader has gone), "closed" or a path.
    """

    def __init__(
        self, *words: str, env: dict[str, str], scene: str = "real", columns: int = 100,
        stdin: str = "tty", stdout: str = "tty", stderr: str = "tty",
    ) -> None:  # fmt: skip
        self.screen = Screen(columns)
        self.raw = ""
        self._from = 0
        self._piped: dict[str, int] = {}
        self._got: dict[str, bytes] = {}
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        own = {name: os.environ[name] for name in KEPT if name in os.environ}
        env = {**own, "TERM": "xterm-256color", "TERMINAL": os.ttyname(slave), **env}
        used = [self._open(name, how, slave) for name, how in zip("012", (stdin, stdout, stderr), strict=True)]
        closed = "".join(
            f" {name}>&-" for name, how in zip("012", (stdin, stdout, stderr), strict=True) if how == "closed"
        )
        argv = [sys.executable, "-m", "tests.unit.terminal.child", scene, *words]
        if closed:
            argv = ["sh", "-c", f'exec "$@"{closed}', "sh", *argv]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, env=env, start_new_session=True, stdin=used[0], stdout=used[1], stderr=used[2]
        )
        for one in {*used, slave}:
            os.close(one)

    def _open(self, name: str, how: str, slave: int) -> int:
        if how in ("tty", "closed"):
            return os.dup(slave)
        if how in ("pipe", "head"):
            end, other = os.pipe() if name != "0" else os.pipe()[::-1]
            if how == "pipe":
                self._piped[name] = end
                self._got[name] = b""
            else:
                os.close(end)
            return other
        return os.open(how, os.O_RDWR)

    # ------------------------------------------------------------ the person

    def type(self, text: str) -> Self:
        """Press these keys; a lone surrogate is a byte that is no text."""
        self._from = len(self.raw)
        os.write(self._master, text.encode(errors="surrogateescape"))
        return self

    def until(self, text: str, seconds: float = 60.0) -> Self:
        """Look at what comes after the last key until a text is there."""
        end = time.monotonic() + seconds
        while text not in self.raw[self._from :]:
            assert time.monotonic() < end, f"no {text!r}:\n{self.screen.text}"
            assert self._read(0.1) or self.process.poll() is None, f"it ended without {text!r}:\n{self.screen.text}"
        return self

    def end(self, seconds: float = 60.0) -> int:
        """Wait until it ends; return its exit status."""
        limit = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < limit, f"it does not end:\n{self.screen.text}"
            self._read(0.05)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        """Take in what there is; say whether there was any."""
        ends = {self._master: "", **{end: name for name, end in self._piped.items() if name != "0"}}
        ready, _, _ = select.select(list(ends), [], [], seconds)
        some = False
        for one in ready:
            try:
                data = os.read(one, 65536)
            except OSError:  # EIO: the process has gone
                data = b""
            if not data:
                if one != self._master:
                    os.close(self._piped.pop(ends[one]))
                continue
            some = True
            if one == self._master:
                text = data.decode("utf-8", "replace")
                self.raw += text
                self.screen.feed(text)
            else:
                self._got[ends[one]] += data
        return some

    def hang_up(self) -> None:
        """The terminal goes away, as that of an SSH session that is lost."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDWR)

    # ------------------------------------------------------------ what there is to see

    @property
    def out(self) -> str:
        """What came through stdout's pipe."""
        return self._got["1"].decode()

    @property
    def err(self) -> str:
        """What came through stderr's pipe."""
        return self._got["2"].decode()

    @property
    def text(self) -> str:
        """The screen."""
        return self.screen.text

    @property
    def words(self) -> str:
        """The screen's words, wherever its lines were broken."""
        return self.text.replace("\n", "").replace(" ", "")

    def tidy(self) -> None:
        """Nothing that a person should not see: no traceback, no bar, no strange code, the cursor there."""
        everything = self.text + "".join(data.decode() for data in self._got.values())
        for word in ("Traceback", "unforeseen", "Exception ignored"):
            assert word not in everything, everything
        assert not any(char in self.text for char in "█░"), f"a bar was left:\n{self.text}"
        assert self.screen.strange == [], self.screen.strange
        assert self.screen.shown
        for data in self._got.values():
            assert b"\x1b" not in data, data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for one in (self._master, *self._piped.values()):
            os.close(one)

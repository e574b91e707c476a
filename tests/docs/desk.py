"""Where a page's command lines are typed: a folder of their own, with no cloud and nobody at a terminal."""

from __future__ import annotations

import contextlib
import glob
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuctl.cli.main import main

CLOUDS = ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_REGION_NAME", "GPUCTL_NOVA_DB")
#: Absolute paths that pages name are below the world's folder instead.
ABSOLUTE = ("/etc/nova/", "/var/lib/node_exporter/", "/root/")
#: Every command that asks, and what says beforehand what a person answers: yes, and with `recover` to the confirmation too.
ASKS = dict.fromkeys(
    (
        ("host", "prepare"), ("host", "restore"), ("host", "watch", "install"), ("host", "watch", "remove"),
        ("flavor", "apply"), ("flavor", "create"), ("instance", "migrate"), ("instance", "drain"),
        ("instance", "leftovers", "quarantine"), ("instance", "leftovers", "restore"), ("instance", "leftovers", "purge"),
        ("fleet", "trust"), ("fleet", "prepare"), ("fleet", "restore"), ("up",),
    ),
    ("--yes",),
) | {("instance", "recover"): ("--yes", "--accept", "confirm")}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """What one command line gave."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str


class Desk:
    """The folder, and how a command is typed there.

    Attributes:
        folder: of this world; what is typed is typed in its ``work``.
        stack: ends what a scene began.
        patch: pytest's monkeypatch.
        obj: what the command line is embedded with.
        run_id: of the run that pages name.
    """

    def __init__(self, folder: Path, monkeypatch: Any, stack: contextlib.ExitStack) -> None:
        self.folder, self.stack, self.patch = folder, stack, monkeypatch
        self.obj: dict[str, Any] = {}
        self.run_id = ""
        for name, value in {"HOME": "home", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}.items():  # fmt: skip
            (folder / value).mkdir()
            monkeypatch.setenv(name, str(folder / value))
        for name in CLOUDS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("COLUMNS", "160")
        (folder / "work").mkdir()
        monkeypatch.chdir(folder / "work")

    # ------------------------------------------------------------ typing

    def line(self, words: tuple[str, ...]) -> list[str]:
        """The words as this world has them: globs expanded as a shell does, /etc/nova below the folder, real run ids."""
        typed: list[str] = []
        for word in words[1:]:
            mark = "@" if word.startswith("@") else ""
            path = word.removeprefix("@")
            if path.startswith(ABSOLUTE):
                typed.append(f"{mark}{self.folder}{path}")
            elif "*" in word and not word.startswith("-") and "--limit" not in typed[-1:]:
                found = sorted(glob.glob(word))
                assert found, f"no file is like {word}"
                typed += found
            elif typed[-1:] == ["--run"]:
                assert self.run_id, "this world has no run"
                typed.append(self.run_id)
            else:
                typed.append(word)
        if "--dry-run" not in typed:
            typed += next((more for begins, more in ASKS.items() if tuple(typed[: len(begins)]) == begins), ())
        return typed

    def type(self, *words: str) -> Ran:
        """The command ran in this process; nobody is at a terminal."""
        line = self.line(words)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(line, obj=dict(self.obj))
        return Ran(tuple(line), code, out.getvalue(), err.getvalue())

    def did(self, text: str, *codes: int) -> Ran:
        """A command that a scene rests on."""
        ran = self.type("gpuctl", *text.split())
        assert ran.code in (codes or (0,)), ran
        return ran

    def keep(self, name: str, text: str, *codes: int) -> Path:
        """A command's output is in a file of the working folder."""
        path = Path(name)
        path.write_text(self.did(text, *codes).out)
        return path

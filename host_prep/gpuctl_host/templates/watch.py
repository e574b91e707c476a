"""The watch: the host's half as one file, a service that checks, a timer that starts it."""

from __future__ import annotations

import json
import posixpath

from gpuctl_host import __version__
from gpuctl_host.facts.model import FileState
from gpuctl_host.templates import render_script

ARCHIVE = "/usr/local/lib/gpuctl/gpuctl-host.pyz"
UNITS = "/etc/systemd/system"
SERVICE, TIMER = "gpuctl-host-check.service", "gpuctl-host-check.timer"
WANTED = f"{UNITS}/timers.target.wants/{TIMER}"
PATHS = (ARCHIVE, f"{UNITS}/{SERVICE}", f"{UNITS}/{TIMER}", WANTED)
TEXTFILE = "gpuctl.prom"


def watch_files(archive: bytes, *, python: str, vendors: tuple[str, ...], folder: str | None) -> dict[str, FileState]:
    """Return the watch's files by path, in the order in which they are written.

    Args:
        archive: the content of gpuctl-host.pyz.
        python: the interpreter that runs it.
        vendors: whose GPUs are watched.
        folder: node_exporter's textfile folder; None: no metrics are written.
    """
    request: dict[str, object] = {"command": "watch", "action": "run", "plain": True, "vendors": list(vendors)}
    if folder is not None:
        request["textfile"] = posixpath.join(folder, TEXTFILE)
    command = f"{python} -I {ARCHIVE} {_quoted(json.dumps(request))}"
    words = {
        "@OWNER@": f"Written by gpuctl {__version__}. Do not edit: `gpuctl host watch install` writes it, "
        "`gpuctl host watch remove` removes it.",
        "@ARCHIVE@": ARCHIVE,
        "@COMMAND@": command,
        "@HOME@": "read-only" if in_a_home(python) else "yes",
        "@WRITES@": f"ReadWritePaths=-{_escaped(folder)}" if folder is not None else "# Nothing is written.",
    }
    return {
        ARCHIVE: FileState(archive, 0o755),
        f"{UNITS}/{SERVICE}": FileState(_filled(SERVICE, words)),
        f"{UNITS}/{TIMER}": FileState(_filled(TIMER, words)),
        WANTED: FileState(f"{UNITS}/{TIMER}".encode(), 0o777, is_link=True),
    }


def in_a_home(path: str) -> bool:
    """Say whether ProtectHome=yes would hide this from the service."""
    return path.startswith(("/root/", "/home/", "/run/user/"))


def request_of(service: str) -> dict[str, object]:
    """Return the request that an installed service makes; empty if it cannot be read off."""
    line = next((item for item in service.splitlines() if item.startswith("ExecStart=")), "")
    text = line.partition(" '")[2].rpartition("'")[0].replace("\\\\", "\\").replace("%%", "%").replace("$$", "$")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _filled(name: str, words: dict[str, str]) -> bytes:
    text = render_script(name)
    for word, value in words.items():
        text = text.replace(word, value)
    return text.encode()


def _quoted(text: str) -> str:
    """One word for systemd: in single quotes, its own signs doubled (systemd.service(5), Command lines)."""
    return "'" + _escaped(text).replace("$", "$$") + "'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "%%")

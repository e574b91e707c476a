"""What an event of Ansible says of a host: its state, what changed, what to do."""

from __future__ import annotations

import re
from typing import Any

from gpuctl.fleet.run_state import CHECKED, DONE, FAILED, PLANNED, REBOOT_NEEDED, REFUSED, UNREACHABLE, HostState

Event = dict[str, Any]
_KINDS = {"runner_on_ok", "runner_on_failed", "runner_on_unreachable"}
_REBOOT = ("ansible.builtin.reboot", "reboot", "ansible.legacy.reboot")
# (what ssh or Ansible says, state, what to do); the first that fits
_KNOWN = (
    (
        r"host key verification failed|remote host identification has changed|host key .* changed",
        UNREACHABLE,
        "its host key is not the one that is known: find out why, then `gpuctl fleet trust` shows both",
    ),
    (r"permission denied|authentication fail", UNREACHABLE, "this user or key is not let in: try `ssh` to it by hand"),
    (r"could not resolve|name or service not known", UNREACHABLE, "its name has no address: mend the inventory or DNS"),
    (r"no space left|disk quota exceeded", FAILED, "make room on it (df), then run this again"),
    (r"read-only file system", FAILED, "a file system of it is read-only: see its kernel log"),
    (r"timed out|timeout|no route|connection refused|closed by|reset by|lost connection|unreachable|broken pipe",
     UNREACHABLE, "it does not answer: see its power, network and console, then run this again"),
    (r"missing (sudo|become) password|a password is required|incorrect (sudo|become) password|privilege escalation",
     FAILED, "it wants a password to become root: --ask-become-pass"),
    (r"python.*not found|no python|interpreter|needs python",
     FAILED, "it needs Python 3.9 or newer: install it, or set ansible_python_interpreter"),
)  # fmt: skip
_AGAIN = "mend what it says, then run this again"


def answer(event: Event, *, check_mode: bool) -> HostState | None:
    """Return what a host's event settles, or None where it settles nothing (a start, a skipped task).

    Args:
        event: of ansible-runner.
        check_mode: whether this was only a plan.
    """
    if event.get("event") not in _KINDS:
        return None
    data = event["event_data"]
    action, result = str(data.get("task_action") or data.get("resolved_action") or ""), data.get("res") or {}
    host = str(data["host"])
    if event["event"] == "runner_on_ok":
        return _good(host, action, result, check_mode=check_mode)
    said = _said(result)
    if action in _REBOOT:
        resolution = "look at its console: it did not come back in time"
        return HostState(host, FAILED, what=said, resolution=resolution)
    if event["event"] == "runner_on_unreachable":
        state, resolution = _known(said) or (UNREACHABLE, "it does not answer: try `ssh` to it by hand")
        return HostState(host, state, what=said, resolution=resolution)
    own = str(result.get("resolution") or "")
    state, resolution = _known(said) or (FAILED, own or _AGAIN)
    if result.get("refused"):
        state, resolution = REFUSED, own or _AGAIN
    elif "exit_code" in result:
        # The host's half speaks: it is reachable, whatever words are in its message.
        state, resolution = FAILED, own or resolution
    return HostState(
        host,
        state,
        what=said,
        resolution=resolution,
        changes=_changes(result),
        run=str(result.get("run") or ""),
        findings=tuple(result.get("findings") or result.get("refusals") or ()),
    )


def _good(host: str, action: str, result: dict[str, Any], *, check_mode: bool) -> HostState | None:
    if action == "gpuctl.host.check":
        return HostState(host, CHECKED, findings=tuple(result.get("findings") or ()))
    if action not in ("gpuctl.host.prepare", "gpuctl.host.restore"):
        return None
    reboot = bool(result.get("reboot_required"))
    state = PLANNED if check_mode else REBOOT_NEEDED if reboot else DONE
    return HostState(
        host,
        state,
        what="; ".join(result.get("reboot_reasons") or ()) if reboot else "",
        resolution="reboot it: --reboot does, in batches, and checks it again" if state == REBOOT_NEEDED else "",
        changes=_changes(result),
        run=str(result.get("run") or ""),
        reboot=reboot,
        fingerprint=str(result.get("fingerprint") or ""),
        diff="".join(str(one.get("prepared") or "") for one in _diffs(result)),
    )


def _diffs(result: dict[str, Any]) -> list[dict[str, Any]]:
    diff = result.get("diff")
    return [one for one in diff if isinstance(one, dict)] if isinstance(diff, list) else []


def _changes(result: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple(result.get("changes") or ())


def _said(result: dict[str, Any]) -> str:
    """The message in one line: ssh's own words, without Ansible's around them."""
    text = str(result.get("msg") or result.get("module_stderr") or result.get("stderr") or "no reason was given")
    text = re.sub(
        r"^(Task failed: |Module failed: |Action failed: |Failed to connect to the host via ssh: )+", "", text
    )
    lines = [line.strip() for line in text.splitlines() if line.strip(" @\t")]
    return " ".join(lines)[:600]


def _known(said: str) -> tuple[str, str] | None:
    for pattern, state, resolution in _KNOWN:
        if re.search(pattern, said, re.IGNORECASE):
            return state, resolution
    return None

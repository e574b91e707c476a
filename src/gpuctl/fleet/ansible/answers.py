"""What an event of Ansible says of a host: its state, what changed, what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gpuctl.fleet.run_state import CHECKED, DONE, FAILED, PLANNED, REBOOT_NEEDED, REFUSED, UNREACHABLE, HostState
from gpuctl.remote.untrusted import plain_value

if TYPE_CHECKING:
    from collections.abc import Sequence

Event = dict[str, Any]
_KINDS = {"runner_on_ok", "runner_on_failed", "runner_on_unreachable"}
_REBOOT = ("ansible.builtin.reboot", "reboot", "ansible.legacy.reboot")
# (what ssh or Ansible says, state, what to do); the first that fits
_KNOWN = (
    (r"no space left|disk quota exceeded", FAILED, "make room on it (df), then run this again"),
    (r"read-only file system", FAILED, "a file system of it is read-only: see its kernel log"),
    (r"failed to create temporary directory",
     FAILED, "it is reached, but Ansible's folder there cannot be made: set ansible_remote_tmp"),
    (
        r"host key verification failed|remote host identification has changed|host key .* changed",
        UNREACHABLE,
        "its host key is not the one that is known: find out why, then `gpuctl fleet trust` shows both",
    ),
    (r"permission denied|authentication fail", UNREACHABLE, "this user or key is not let in: try `ssh` to it by hand"),
    (r"could not resolve|name or service not known", UNREACHABLE, "its name has no address: mend the inventory or DNS"),
    (r"timed out|timeout|no route|connection refused|closed by|reset by|lost connection|unreachable|broken pipe",
     UNREACHABLE, "it does not answer: see its power, network and console, then run this again"),
    (r"missing (sudo|become) password|a password is required|incorrect (sudo|become) password|privilege escalation",
     FAILED, "it wants a password to become root: --ask-become-pass"),
    (r"python.*not found|no python|interpreter|needs python|minimum of python",
     FAILED, "it needs Python 3.9 or newer: install it, or set ansible_python_interpreter"),
)  # fmt: skip
_CHECK = "gpuctl.host.check"
_CHANGE, _FINDING = (
    ("kind", "target", "reason", "risk", "state"),
    ("id", "status", "subject", "title", "evidence", "fix"),
)
_MANY, _LONGEST, _RUN = 20_000, 600, 64
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
    action, result = str(data.get("task_action") or data.get("resolved_action") or ""), _result(data.get("res"))
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
    own = _line(result.get("resolution"))
    state, resolution = _known(said) or (FAILED, own or _AGAIN)
    if result.get("refused") is True:
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
        run=str(result.get("run") or "")[:_RUN],
        findings=_dicts(result.get("findings") or result.get("refusals"), _FINDING),
        check=_checked(result) if action == _CHECK else None,
    )


def _good(host: str, action: str, result: dict[str, Any], *, check_mode: bool) -> HostState | None:
    if action == _CHECK:
        return HostState(host, CHECKED, findings=_dicts(result.get("findings"), _FINDING), check=_checked(result))
    if action not in ("gpuctl.host.prepare", "gpuctl.host.restore"):
        return None
    reboot = bool(result.get("reboot_required"))
    state = PLANNED if check_mode else REBOOT_NEEDED if reboot else DONE
    return HostState(
        host,
        state,
        what="; ".join(_texts(result.get("reboot_reasons"))) if reboot else "",
        resolution="reboot it: --reboot does, in batches, and checks it again" if state == REBOOT_NEEDED else "",
        changes=_changes(result),
        run=str(result.get("run") or "")[:_RUN],
        reboot=reboot,
        fingerprint=_line(result.get("fingerprint")),
        diff="".join(str(one.get("prepared") or "") for one in _diffs(result)),
    )


def _diffs(result: dict[str, Any]) -> list[dict[str, Any]]:
    diff = result.get("diff")
    return [one for one in diff if isinstance(one, dict)] if isinstance(diff, list) else []


def _changes(result: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    found = _dicts(result.get("changes"), _CHANGE)
    ends = [{key: None if one.get(key) is None else str(one[key]) for key in ("before", "after")} for one in found]
    return tuple({**one, **more} for one, more in zip(found, ends, strict=True))


def _checked(result: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a check said beside its findings, or None where it did not come to that."""
    if not isinstance(result.get("ready"), bool):
        return None
    gpus = [{**gpu, "ready": gpu.get("ready") is True} for gpu in _dicts(result.get("gpus"), ("address", "name"))]
    return {"ready": result["ready"], "gpus": gpus}


# A host that was taken over says what it likes: nothing of it may stop the run, or act on the operator's terminal.


def _result(said: object) -> dict[str, Any]:
    try:
        result = plain_value(said)
    except RecursionError:
        result = None
    return result if isinstance(result, dict) else {"msg": "its answer makes no sense"}


def _dicts(said: object, keys: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Return the members of a list that are mappings, with every one of these keys a text."""
    found = [one for one in said[:_MANY] if isinstance(one, dict)] if isinstance(said, list) else []
    return tuple({**one, **{key: str(one.get(key) or "") for key in keys}} for one in found)


def _texts(said: object) -> list[str]:
    return [_line(one) for one in said[:_MANY]] if isinstance(said, list) else []


def _line(said: object) -> str:
    return " ".join(str(said or "").split())[:_LONGEST]


def _said(result: dict[str, Any]) -> str:
    """The message in one line: ssh's own words, without Ansible's around them."""
    text = str(result.get("msg") or result.get("module_stderr") or result.get("stderr") or "no reason was given")
    text = re.sub(
        r"^(Task failed: |Module failed: |Action failed: |Failed to connect to the host via ssh: )+", "", text
    )
    lines = [line.strip() for line in text.splitlines() if line.strip(" @\t")]
    return " ".join(lines)[:_LONGEST]


def _known(said: str) -> tuple[str, str] | None:
    for pattern, state, resolution in _KNOWN:
        if re.search(pattern, said, re.IGNORECASE):
            return state, resolution
    return None

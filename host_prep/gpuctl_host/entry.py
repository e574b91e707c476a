"""The one way in: a request (a JSON object) goes in, events (JSON objects) come out. CLI, SSH and Ansible all use it.

Request keys: ``command`` (facts, check, prepare, restore, watch, history,
capture, instances, leftovers, version) and, by command:

    root        "/" (default) or a tree with the same paths
    vendors     ["10de"] (default), more ids, or ["any"]
    strict      check: warn fails too
    facts       check: the document has the facts that were judged too, under "facts"
    nagios      check: the document is {"line"}, the exit code Nagios' own
    prometheus  check: the document is {"text"}, metrics
    action      watch: "install", "remove" (phase and fingerprint as prepare), "status" (default) or "run"
    archive, folder     watch install: gpuctl-host.pyz (by default the one that runs), node_exporter's textfile folder
    textfile, plain     watch run: the file for the metrics; print the line alone, not as JSON
    gpus, audio, nvswitch, phase, fingerprint, reboot     prepare: phase is "plan", "recover" or "apply";
                the fingerprint is that of the plan that was agreed to
    run, phase, fingerprint                               restore
    run         history: show this run's diff
    file, private                                         capture
    instances_path, uuids                                 instances, leftovers
    phase ("plan", "quarantine", "restore" or "purge"), kinds, proof, destination_shares, nova_host, older_than_s,
                fingerprint                               leftovers

Events: {"event": "progress", "text", "done", "total"}, then exactly one of {"event": "result", "document", "exit_code"}
and {"event": "error", "code", "brief", "details", "resolution", "exit_code"}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gpuctl_host import __version__
from gpuctl_host.errors import GpuctlError, UsageError
from gpuctl_host.host import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

Emit = Callable[[dict[str, Any]], None]
Answer = tuple[dict[str, Any], int]  # the document and the exit code

_COMMON = {"command": str, "root": str, "vendors": list, "debug": bool}
_PHASED = {"phase": str, "fingerprint": str}
_NOVA: dict[str, type] = {"instances_path": str, "uuids": list}
_KEYS: dict[str, dict[str, type]] = {
    "version": {},
    "facts": {},
    "check": {"strict": bool, "facts": bool, "nagios": bool, "prometheus": bool},
    "prepare": {"gpus": list, "audio": str, "nvswitch": str, "reboot": bool, **_PHASED},
    "restore": {"run": str, **_PHASED},
    "watch": {"action": str, "archive": str, "folder": str, "textfile": str, "plain": bool, **_PHASED},
    "history": {"run": str},
    "capture": {"file": str, "private": bool},
    "instances": _NOVA,
    "leftovers": {
        "kinds": list,
        "proof": dict,
        "destination_shares": dict,
        "nova_host": str,
        "older_than_s": int,
        **_NOVA,
        **_PHASED,
    },
}


def serve(request: Mapping[str, Any], emit: Emit, *, host: Host | None = None) -> int:
    """Answer one request with events and return the exit code; no exception leaves but those of a debug request.

    Args:
        request: see the module.
        emit: is called with every event.
        host: the host to work on; by default the one of the request's root.
    """
    try:
        document, code = _answer(dict(request), emit, host)
    except GpuctlError as error:
        emit(_error(error.code, error.brief, error.details, error.resolution, error.exit_code))
        if request.get("debug") is True:
            raise
        return error.exit_code
    except KeyboardInterrupt:
        emit(_error("interrupted", "interrupted", "", "gpuctl host history says what was done", 130))
        return 130
    except Exception as error:
        if request.get("debug") is True:
            raise
        brief = f"unforeseen {type(error).__name__}: {error}"
        emit(_error("internal", brief, _where(error), "run it again with --debug and report what it prints", 1))
        return 1
    emit({"event": "result", "document": document, "exit_code": code})
    return code


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace is not None else ""


def _error(code: str, brief: str, details: str, resolution: str, exit_code: int) -> dict[str, Any]:
    return {
        "event": "error",
        "code": code,
        "brief": brief,
        "details": details,
        "resolution": resolution,
        "exit_code": exit_code,
    }


def _answer(request: dict[str, Any], emit: Emit, host: Host | None) -> Answer:
    command = request.get("command")
    if not isinstance(command, str) or command not in _KEYS:
        raise UsageError(f"unknown command {command!r}", resolution=f"one of {', '.join(sorted(_KEYS))}")
    _validate(request, {**_COMMON, **_KEYS[command]})
    if command == "version":
        return {"version": __version__}, 0
    host = host or _open(request.get("root") or "/")
    vendors = tuple(request.get("vendors") or ("10de",))
    # Each verb's rooms are imported when they are needed: a check must not pay for what only prepare uses.
    if command in ("instances", "leftovers"):
        from gpuctl_host.verbs import leftovers

        return leftovers.answer(command, host, request, emit)
    if command in ("facts", "check", "capture"):
        from gpuctl_host.verbs import look

        return look.answer(command, host, vendors, request, emit)
    if command == "watch":
        from gpuctl_host.verbs import watch

        return watch.answer(host, vendors, request, emit)
    from gpuctl_host.verbs import change

    return change.answer(command, host, vendors, request, emit)


def _validate(request: dict[str, Any], allowed: dict[str, type]) -> None:
    for key, value in request.items():
        if key not in allowed:
            raise UsageError(
                f"unknown key {key!r} in a {request['command']} request",
                resolution=f"known: {', '.join(sorted(allowed))}",
            )
        if value is not None and not isinstance(value, allowed[key]):
            raise UsageError(f"{key} is a {type(value).__name__}", resolution=f"give a {allowed[key].__name__}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise UsageError(f"{key} holds something that is no text", resolution="give a list of texts")
    for vendor in request.get("vendors") or ():
        hexadecimal = len(vendor) == 4 and all(digit in "0123456789abcdef" for digit in vendor)
        if vendor != "any" and not hexadecimal:
            raise UsageError(
                f"{vendor!r} is no PCI vendor id",
                resolution="four lower-case hex digits without 0x: 10de (NVIDIA), 1002 (AMD), 8086 (Intel); or any",
            )


def _open(root: str) -> Host:
    host = Host(root)
    if not host.is_dir("/"):
        raise UsageError(
            f"--root {root} is no folder", resolution="give a tree with a host's paths, such as an unpacked capture"
        )
    return host

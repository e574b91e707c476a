"""watch: the check that a timer starts. Installed and removed through the journal, so that nothing is left behind."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from gpuctl_host.apply.executor import apply_plan
from gpuctl_host.apply.journal import read_runs
from gpuctl_host.apply.outcome import Meta, site_of
from gpuctl_host.apply.restore import apply_restore, plan_restore
from gpuctl_host.changes.render import plan_document
from gpuctl_host.changes.watch import VERB, plan_watch
from gpuctl_host.data import changed
from gpuctl_host.errors import GpuctlError, StalePlan, UsageError
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.templates.watch import PATHS, SERVICE, TIMER, UNITS, in_a_home, request_of, watch_files
from gpuctl_host.tools import systemctl
from gpuctl_host.verbs.change import APPLY, PLAN, REFUSED, run_document, teller

if TYPE_CHECKING:
    from gpuctl_host.apply.outcome import Outcome
    from gpuctl_host.changes.model import Plan
    from gpuctl_host.entry import Answer, Emit
    from gpuctl_host.facts.model import Facts, FileState
    from gpuctl_host.host import Host

SCHEMA = "gpuctl.host.watch/1"
INSTALL, REMOVE, STATUS, RUN = "install", "remove", "status", "run"
# Debian's prometheus-node-exporter, then what the exporter's own documentation uses
FOLDERS = ("/var/lib/prometheus/node-exporter", "/var/lib/node_exporter/textfile_collector", "/var/lib/node_exporter")
_FOLDER = re.compile(r"/[\w.+@-]+(/[\w.+@-]+)*")


def answer(host: Host, vendors: tuple[str, ...], request: dict[str, Any], emit: Emit) -> Answer:
    """Answer one watch request."""
    action = request.get("action") or STATUS
    if action == RUN:
        return _run(host, vendors, request)
    if action == STATUS:
        return _status(host)
    phase = request.get("phase") or PLAN
    if action not in (INSTALL, REMOVE) or phase not in (PLAN, APPLY):
        raise UsageError(
            f"watch cannot {action!r}, phase {phase!r}",
            resolution=f"{INSTALL}, {REMOVE}, {STATUS} or {RUN}; {PLAN} or {APPLY}",
        )
    facts = read_facts(host, ("any",), deep=True) if action == REMOVE else read_facts(host, vendors)
    plan = _plan(action, host, facts, vendors, request)
    if phase == PLAN or plan.refusals:
        return plan_document(plan, facts), REFUSED if plan.refusals else 0
    if request.get("fingerprint") != plan.fingerprint:
        raise StalePlan(
            "the host has changed since the plan was made; nothing was touched", resolution="run the same command again"
        )
    before = watched(host)
    outcome, notes = _apply(action, host, facts, plan, vendors, request, emit)
    problems = _started(host) if action == INSTALL and outcome.error is None else ()
    if action == REMOVE:
        problems = forget(host, before)
    code = outcome.exit_code or (1 if problems else 0)
    document = run_document(plan, outcome, problems, code)
    return {**document, "notes": [*notes, *document["notes"]], "host": facts.host}, code


# ---------------------------------------------------------------- install and remove


def _plan(action: str, host: Host, facts: Facts, vendors: tuple[str, ...], request: dict[str, Any]) -> Plan:
    if action == REMOVE:
        run = standing(host)
        if run is None:
            raise UsageError("there is no watch on this host to be removed", resolution="gpuctl host watch status")
        return plan_restore(host, facts, run)
    files = site_of(host).files
    wanted = watch_files(
        _archive(request.get("archive")), python=_python(host), vendors=vendors, folder=_folder(host, request)
    )
    present: dict[str, FileState | None] = {path: files.state(path) for path in wanted}
    return plan_watch(facts, wanted, present, systemd=not host.live or host.is_dir("/run/systemd/system"))


def _apply(
    action: str,
    host: Host,
    facts: Facts,
    plan: Plan,
    vendors: tuple[str, ...],
    request: dict[str, Any],
    emit: Emit,
) -> tuple[Outcome, list[str]]:
    meta, tell = Meta.of_process(sys.argv), teller(emit)
    if action == REMOVE:
        return apply_restore(host, plan, meta=meta, run=standing(host), progress=tell), []
    notes: list[str] = []
    old = standing(host)
    if old is not None and plan.changes:  # so that one restore takes the watch back, whatever it was before
        everyone = read_facts(host, ("any",), deep=True)
        outcome = apply_restore(host, plan_restore(host, everyone, old), meta=meta, run=old, progress=tell)
        if outcome.error is not None or outcome.problems:
            return outcome, notes
        notes.append(f"the watch of run {old} was taken back first")
        plan = changed(_plan(INSTALL, host, facts, vendors, request), notes=())
    return apply_plan(host, plan, meta=meta, progress=tell), notes


def standing(host: Host) -> str | None:
    """Return the id of the run that installed the watch, if it still stands."""
    return next((run.id for run in reversed(read_runs(host)) if run.verb == VERB and run.is_active), None)


def _archive(path: str | None) -> bytes:
    """The host's half as one file: the one that was named, or the one that runs."""
    place = path or sys.argv[0]
    try:
        with open(place, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}") from error
    if b"gpuctl_host/" not in data or not data.startswith(b"#!"):
        raise UsageError(
            f"{place} is not gpuctl-host.pyz",
            resolution="name it as `archive`, or send the request to gpuctl-host.pyz itself",
        )
    return data


_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 9))"


def _python(host: Host) -> str:
    """The interpreter for the service: the distribution's own name for the one that runs, which upgrades keep.

    One in a home folder (pyenv's, uv's) may go with its user: the distribution's own is taken, if it is new enough.
    """
    import os

    mine = os.path.realpath(sys.executable) if sys.executable else ""
    common = host.which("python3")
    if common is not None and (not host.live or host.resolve(common) == mine):
        return common
    if common is not None and in_a_home(mine) and not host.run([common, "-I", "-c", _NEW_ENOUGH], timeout=9).returncode:
        return common
    return mine or "/usr/bin/python3"


def _folder(host: Host, request: dict[str, Any]) -> str | None:
    wanted = request.get("folder")
    if wanted is not None and not _FOLDER.fullmatch(wanted):
        raise UsageError(f"{wanted!r} is no folder for metrics", resolution="give an absolute path of plain characters")
    return wanted or next((folder for folder in FOLDERS if host.is_dir(folder)), None)


def _started(host: Host) -> tuple[str, ...]:
    """The timer runs; return what is wrong if not."""
    if not host.live:
        return ()
    try:
        systemctl.reload(host)
        systemctl.start(host, TIMER)
    except GpuctlError as error:
        return (f"{error.brief}: run systemctl daemon-reload; systemctl start {TIMER}",)
    return () if systemctl.is_active(host, TIMER) else (f"{TIMER} is not active: see systemctl status {TIMER}",)


def watched(host: Host) -> str | None:
    """Return the installed service's text, or None where there is none."""
    return host.read(f"{UNITS}/{SERVICE}", 1 << 16)


def forget(host: Host, service: str | None) -> tuple[str, ...]:
    """After the watch's files are gone: its timer is stopped and its metrics are gone; return what is not so.

    Args:
        host: the host.
        service: watched() before they went; None: there was none.
    """
    if service is None or watched(host) is not None:
        return ()
    problems = []
    if host.live:  # first of all: a check that runs would write the metrics once more
        try:
            systemctl.stop(host, TIMER)
            systemctl.stop(host, SERVICE)
            systemctl.forget_failure(host, SERVICE)
            systemctl.reload(host)
        except GpuctlError as error:
            problems.append(f"{error.brief}: run systemctl stop {TIMER} {SERVICE}; systemctl daemon-reload")
    textfile = request_of(service).get("textfile")
    try:
        if isinstance(textfile, str) and textfile.startswith("/") and textfile.endswith(".prom"):
            site_of(host).files.remove(textfile)
    except GpuctlError as error:
        problems.append(f"the last metrics are left: {error.brief}")
    return tuple(problems)


# ---------------------------------------------------------------- status and run


def _status(host: Host) -> Answer:
    there = [path for path in PATHS if host.stat(path, follow=False) is not None]
    request = request_of(watched(host) or "")
    textfile = request.get("textfile")
    found = host.stat(textfile) if isinstance(textfile, str) else None
    document = {
        "schema": SCHEMA,
        "installed": len(there) == len(PATHS),
        "run": standing(host),
        "missing": [path for path in PATHS if path not in there] if there else [],
        "active": systemctl.is_active(host, TIMER) if host.live and there else None,
        "textfile": textfile,
        "written": round(found.st_mtime) if found is not None else None,
    }
    return document, 0 if document["installed"] and document["active"] is not False else 1


def _run(host: Host, vendors: tuple[str, ...], request: dict[str, Any]) -> Answer:
    """Check, write the metrics, and answer with Nagios' line and code."""
    from gpuctl_host.checks.nagios import nagios
    from gpuctl_host.checks.prometheus import prometheus
    from gpuctl_host.checks.registry import run_checks

    facts = read_facts(host, vendors, deep=True)
    findings = run_checks(facts)
    textfile = request.get("textfile")
    if textfile:
        if not textfile.endswith(".prom"):
            raise UsageError(f"{textfile} is no file for metrics", resolution="node_exporter reads *.prom")
        text = prometheus(facts, findings, at=host.now().timestamp())
        site_of(host).files.put_blocks(textfile, [text.encode()], mode=0o644)
    line, code = nagios(findings)
    return {"line": line}, code

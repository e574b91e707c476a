"""Plan the watch: its files against what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.fingerprint import digest
from gpuctl_host.changes.model import FILE, Change, Plan, Refusal, Wish
from gpuctl_host.changes.past import image_of
from gpuctl_host.data import plain
from gpuctl_host.templates import is_ours
from gpuctl_host.templates.watch import ARCHIVE, WANTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl_host.facts.model import Facts, FileState

VERB = "watch"


def plan_watch(
    facts: Facts, wanted: Mapping[str, FileState], present: Mapping[str, FileState | None], *, systemd: bool
) -> Plan:
    """Return what makes the watch's files as wanted; refusals where somebody else's file is in the way.

    Args:
        facts: what the host is.
        wanted: the watch's files.
        present: the same paths as they are now.
        systemd: whether the host is run by systemd.
    """
    refusals = [] if systemd else [_no_systemd()]
    refusals += [_taken(path) for path, state in present.items() if state is not None and not _own(path, state, wanted)]
    changes = tuple(
        Change(FILE, path, present[path], state, _reason(path))
        for path, state in wanted.items()
        if not _same(present[path], state)
    )
    seen = {path: plain(image_of(state)) for source in (present, wanted) for path, state in source.items()}
    then = {path: plain(image_of(state)) for path, state in wanted.items()}
    notes: tuple[str, ...] = ()
    if facts.record is not None and facts.record.group_changes:
        notes = ("the groups of prepared cards have changed, and from now on are compared with those of today: "
                 + "; ".join(facts.record.group_changes),)  # fmt: skip
    return Plan(
        verb=VERB,
        boot_id=facts.system.boot_id,
        fingerprint=digest([seen, then, systemd]),
        wish=Wish(()),
        changes=() if refusals else changes,
        refusals=tuple(refusals),
        notes=notes,
    )


def _same(here: FileState | None, there: FileState) -> bool:
    """Whether both are the same file; whoever owns it, and a link's mode, mean nothing."""
    return (
        here is not None
        and (here.data, here.is_link) == (there.data, there.is_link)
        and (here.is_link or here.mode == there.mode)
    )


def _own(path: str, state: FileState, wanted: Mapping[str, FileState]) -> bool:
    if path == WANTED:
        return state.is_link and state.data == wanted[path].data
    if path == ARCHIVE:
        return not state.is_link and b"gpuctl_host/" in state.data
    return not state.is_link and is_ours(state.data)


def _taken(path: str) -> Refusal:
    return Refusal(
        "watch-taken", "host", f"{path} is there already and is not gpuctl's", f"see what {path} is, and move it away"
    )


def _no_systemd() -> Refusal:
    return Refusal(
        "watch-systemd", "host", "this host is not run by systemd: /run/systemd/system is not there",
        "let cron run `gpuctl host check -f nagios`, or -f prom into the exporter's folder",
    )  # fmt: skip


def _reason(path: str) -> str:
    if path == ARCHIVE:
        return "the host's half as one file, for the service to run"
    if path == WANTED:
        return "the timer starts with the host, as `systemctl enable` would have it"
    return "checks every hour whether the host is still ready" if path.endswith(".service") else "starts the check"

"""leftovers: what may go is moved into quarantine, out of it again, or deleted there; and what came of it."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from gpuctl_host.apply.audit import SCHEMA, append
from gpuctl_host.apply.folder_disk import FolderDisk
from gpuctl_host.apply.journal import stamp
from gpuctl_host.apply.lock import held
from gpuctl_host.apply.outcome import Meta, site_of
from gpuctl_host.apply.quarantine import PURGED, QUARANTINED, RESTORED, Keeper, Result, note_of
from gpuctl_host.apply.signals import Signals
from gpuctl_host.apply.umask import plain_umask
from gpuctl_host.data import changed, plain
from gpuctl_host.errors import GpuctlError, StalePlan, UsageError
from gpuctl_host.facts.system import host_name
from gpuctl_host.leftovers import render
from gpuctl_host.leftovers.folder import open_place
from gpuctl_host.leftovers.proof import judge
from gpuctl_host.leftovers.quarantined import DOMAIN, HELD, PURGE, inodes_of, read_quarantine
from gpuctl_host.leftovers.survey import survey, users_of
from gpuctl_host.leftovers.users import read_users
from gpuctl_host.verbs.leftovers import BACK, DELETE, IN, fingerprint, head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuctl_host.apply.outcome import Site
    from gpuctl_host.entry import Answer, Emit
    from gpuctl_host.host import Host
    from gpuctl_host.leftovers.folder import Place
    from gpuctl_host.leftovers.proof import Verdict, Wish
    from gpuctl_host.leftovers.quarantined import Record
    from gpuctl_host.leftovers.survey import Survey

WEEK = 7 * 24 * 3600
FAILED, REFUSED, PART, INTERRUPTED = 1, 3, 5, 130
_DONE = {IN: QUARANTINED, DELETE: PURGED, BACK: RESTORED}
Item = TypeVar("Item", "Verdict", "Record")
Came = tuple[list[Result], list[dict[str, Any]]]  # what was done or failed, and what was left as it is


def change(
    host: Host, path: str, phase: str, wish: Wish, request: dict[str, Any], emit: Emit, disk: FolderDisk | None
) -> Answer:
    """Answer a quarantine, restore or purge request.

    Args:
        host: the host, live.
        path: its instances folder.
        phase: quarantine, restore or purge.
        wish: what was asked for.
        request: has the fingerprint, and how old a thing is that may be deleted.
        emit: hears of each leftover before it is touched.
        disk: the system calls, for tests.

    Raises:
        LockHeld: another gpuctl works on this host.
        StalePlan: it is no longer as the plan saw it; nothing was touched.
        Refused, UnreadableInput, DiskFailed: before anything was touched.
    """
    disk, age = disk or FolderDisk(), _age(request)
    site = site_of(host, disk)
    with plain_umask(), held(host, f"leftovers {phase}", files=site.files), open_place(host, path) as place:
        keeper = Keeper(site, place, disk)
        notes = list(keeper.settle())
        with Signals() as signals:
            steps = Steps(emit, signals)
            if phase == IN:
                results, kept = _put_in(host, keeper, wish, request.get("fingerprint"), steps)
            elif phase == BACK:
                results, kept = _take_back(keeper, wish.uuids or (), steps)
            else:
                results, kept = _delete(host, keeper, wish.uuids, age, steps)
        keeper.tidy()
        notes += _log(site, phase, results)
        if steps.stopped:
            notes.append(f"interrupted ({steps.stopped}) between two leftovers: run the same command again")
        document = {
            **head(host_name(host), phase, place.path),
            "results": [plain(result) for result in results],
            "kept": kept,
            "notes": notes,
            "quarantine": [render.record_out(record) for record in read_quarantine(place)],
        }
    return document, INTERRUPTED if steps.stopped else _code(phase, results, kept)


def _age(request: dict[str, Any]) -> int:
    value = request.get("older_than_s")
    if value is None:
        return WEEK
    if isinstance(value, bool) or value < 0:
        raise UsageError(f"older_than_s is {value!r}", resolution="give seconds, 0 or more")
    return int(value)


class Steps:
    """What is done one after the other: each is told of before it begins, and a signal stops between two."""

    def __init__(self, emit: Emit, signals: Signals) -> None:
        self._emit, self._signals = emit, signals
        self.stopped: str | None = None

    def each(self, doing: str, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items until a signal comes."""
        for number, item in enumerate(items, 1):
            if self._signals.name is not None:
                self.stopped = self._signals.name
                return
            text = f"{doing} {item.name}"
            self._emit({"event": "progress", "text": text, "done": number, "total": len(items)})
            yield item


def _put_in(host: Host, keeper: Keeper, wish: Wish, agreed: str | None, steps: Steps) -> Came:
    """Every leftover that may go is in quarantine and nobody uses it there; the others are where they were."""
    seen = survey(host, keeper.place)
    verdicts = judge(seen, wish)
    if agreed != fingerprint(seen, wish, verdicts):
        raise StalePlan(
            "the host, or what was proven, has changed since the plan was made; nothing was touched",
            resolution="run the same command again: it plans from what is there now",
        )
    going = [verdict for verdict in verdicts if verdict.may_go]
    kept = [render.verdict_out(verdict, seen) for verdict in verdicts if not verdict.may_go]
    if not going:
        return [], kept
    meta = Meta.of_process(sys.argv)
    results: list[Result] = []
    note = note_of(keeper.site, meta.version, meta.uid, meta.sudo_user)
    with keeper.begin() as (run, fd):
        for verdict in steps.each("quarantine", going):
            # Its domain had to go first; where that failed, the files that it names stay.
            failed = {result.uuid for result in results if result.state != _DONE[IN]}
            if verdict.uuid in failed:
                kept.append(_behind(verdict, seen))
                continue
            proof = wish.proofs[verdict.uuid]
            results.append(keeper.put_in(run, fd, verdict, {**note, "proof": plain(proof)}))
        results = _free_still(host, keeper, fd, going, results)
    return results, kept


def _behind(verdict: Verdict, seen: Survey) -> dict[str, Any]:
    shown = render.verdict_out(verdict, seen)
    text = "what had to go before it could not be taken away"
    return {**shown, "may_go": False, "reasons": [{"rule": "order", "text": text}]}


def _free_still(host: Host, keeper: Keeper, fd: int, going: list[Verdict], results: list[Result]) -> list[Result]:
    """Look once more who uses what was moved: what somebody took up between the look and the move goes back."""
    entries = {verdict.name: verdict.entry for verdict in going if verdict.entry is not None}
    moved = {result.name for result in results if result.state == QUARANTINED and result.name in entries}
    users = users_of(host, [entries[name] for name in moved])
    if not moved or users == {}:
        return results
    answer = []
    for result in results:
        who = ("somebody, for it cannot be known who",) if users is None else users.get(result.name, ())
        if result.name in moved and who:
            detail = f"in use by {', '.join(who[:3])} since it was looked at; it is back in its place"
            try:
                keeper.put_back(fd, result.name)
            except GpuctlError as error:
                detail = f"in use by {', '.join(who[:3])}, and it could not be put back: {error.brief}"
            result = changed(result, state="failed", detail=detail)  # noqa: PLW2901
        answer.append(result)
    return answer


def _take_back(keeper: Keeper, uuids: tuple[str, ...], steps: Steps) -> Came:
    """What those servers have in quarantine is back in its place; of two of one name the newer one."""
    results: list[Result] = []
    kept: list[dict[str, Any]] = []
    records = sorted(read_quarantine(keeper.place), key=lambda record: record.run, reverse=True)
    records = [record for record in records if record.uuid in uuids]
    records.sort(key=lambda record: record.kind == DOMAIN)  # the files before the domain that names them
    for record in steps.each("restore", records):
        if record.state != HELD:
            kept.append({**render.record_out(record), "why": f"it is {record.state}: there is nothing to restore"})
        elif any((result.name, result.kind) == (record.name, record.kind) for result in results):
            kept.append({**render.record_out(record), "why": "a newer one of that name goes back"})
        else:
            results.append(keeper.restore(record))
    missing = [uuid for uuid in uuids if not any(record.uuid == uuid for record in records)]
    kept += [{"uuid": uuid, "why": "nothing of this server is in quarantine"} for uuid in missing]
    return results, kept


def _delete(host: Host, keeper: Keeper, uuids: tuple[str, ...] | None, age: int, steps: Steps) -> Came:
    """What is in quarantine is deleted, if it is old enough and nobody uses it."""
    records = [record for record in read_quarantine(keeper.place) if uuids is None or record.uuid in uuids]
    results: list[Result] = []
    kept: list[dict[str, Any]] = []
    used = _used(host, keeper.place, records)
    for record in steps.each("purge", records):
        why = _too_early(host, record, age) or used.get(record.name)
        if why is not None:
            kept.append({**render.record_out(record), "why": why})
            continue
        results.append(keeper.purge(record))
    return results, kept


def _too_early(host: Host, record: Record, age: int) -> str | None:
    """Why something in quarantine is not to be deleted yet; a deletion that has begun is always to be ended."""
    if record.state == PURGE:
        return None
    if record.state != HELD:
        return f"it is {record.state}"
    since = _since(host, record)
    if since is None:
        return "its age is not known"
    return f"it is {int(since)} s old, not {age} s" if since < age else None


def _since(host: Host, record: Record) -> float | None:
    """Seconds since it was put there; None if the record does not say, or says a time that is not yet."""
    with suppress(ValueError, TypeError, AttributeError):
        seconds = (host.now() - datetime.fromisoformat((record.at or "").replace("Z", "+00:00"))).total_seconds()
        return seconds if seconds >= 0 else None
    return None


def _used(host: Host, place: Place, records: list[Record]) -> dict[str, str]:
    """Who uses what is to be deleted, by name: a mount on it, a process in it."""
    users = read_users(host, inodes_of(place, records))
    if users is None:
        return dict.fromkeys((record.name for record in records), "it cannot be known whether a process uses it")
    return {name: f"it is in use: {', '.join(who[:3])}" for name, who in users.items()}


# ---------------------------------------------------------------- the end


def _log(site: Site, phase: str, results: list[Result]) -> list[str]:
    """Write one line a request into the audit log; return what is wrong with that, if anything is."""
    if not results:
        return []
    meta = Meta.of_process(sys.argv)
    try:
        append(
            site,
            {
                "schema": SCHEMA,
                "at": stamp(site.host.now()),
                "run": results[0].run,
                "verb": f"leftovers {phase}",
                "uid": meta.uid,
                "sudo_user": meta.sudo_user,
                "argv": list(meta.argv),
                "version": meta.version,
                "cards": [],
                "changes": [f"{result.kind} {result.name}: {result.state}" for result in results],
                "result": "done" if all(result.state == _DONE[phase] for result in results) else "failed",
            },
        )
    except GpuctlError as error:
        return [f"the audit log has no line of this: {error.brief}"]
    return []


def _code(phase: str, results: list[Result], kept: list[dict[str, Any]]) -> int:
    done = sum(result.state == _DONE[phase] for result in results)
    failed = len(results) - done
    if failed:
        return PART if done else FAILED
    if kept and phase != DELETE:  # what is not old enough to be deleted was never to be
        return PART if done else REFUSED
    return 0

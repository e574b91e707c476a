"""Plan a restore: the journals read backwards, against what is there now. Pure: the same past gives the same plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.changes.again import again, later_entries, later_images, opposite, writes_everywhere
from gpuctl_host.changes.fingerprint import digest, fingerprint
from gpuctl_host.changes.live_restore import plan_live_restore
from gpuctl_host.changes.model import FILE, GENERATED, Change, Plan, Wish
from gpuctl_host.changes.past import Image, Past, PastChange, Run, Seen
from gpuctl_host.changes.walk import Point, walk_back
from gpuctl_host.data import plain
from gpuctl_host.errors import GpuctlError, Refused, UsageError
from gpuctl_host.facts.model import Card, FileState

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts

KEPT = "/var/lib/gpuctl/kept"
PUT_BACK = "put back "
_IMAGE = re.compile(PUT_BACK + r"(nothing|(link )?sha256:([0-9a-f]{64}) size=(\d+) mode=([0-7]{4}) owner=(\d+):(\d+))")


def show_put_back(image: Image | None) -> str:
    """Return how a plan says that a before-image goes back."""
    if image is None:
        return PUT_BACK + "nothing"
    link = "link " if image.is_link else ""
    return (
        f"{PUT_BACK}{link}sha256:{image.sha256} size={image.size} mode={image.mode:04o} owner={image.uid}:{image.gid}"
    )


def parse_put_back(after: str) -> Image | None:
    """Return the image that show_put_back() showed; None: the file goes.

    Raises:
        GpuctlError: it showed none.
    """
    match = _IMAGE.fullmatch(after)
    if match is None:
        raise GpuctlError(f"not a before-image: {after!r}: a defect of gpuctl")
    if match.group(3) is None:
        return None
    size, mode, uid, gid = match.group(4), match.group(5), match.group(6), match.group(7)
    return Image(match.group(3), int(size), int(mode, 8), int(uid), int(gid), match.group(2) is not None)


def plan_restore(facts: Facts, past: Past, run: str | None = None) -> Plan:
    """Return what takes back one run, or every run that still stands.

    Args:
        facts: what the host is now; with ``vendors=("any",)``, so that whoever uses a card is seen.
        past: the journals, and the files that they name as they are now.
        run: a run's id, or None for all.

    Raises:
        UsageError: there is no such run, or it no longer stands.
        Refused: a later run that stands has written the same files.
    """
    runs = past.active(run)
    if run is not None:
        _check(past, run)
    files, notes = _files(past, runs)
    generated, said = _generated(past, runs)
    if len(runs) == len(past.active()):  # else a run that stands wants those images as they are
        known = set(_history_of(runs, GENERATED))
        generated.extend(later_images(facts, runs, known))
        generated.extend(item for item in later_entries(facts, runs, known) if item not in generated)
    live, waiting = plan_live_restore(facts, runs)
    cards: dict[str, Card] = {card.address: card for item in runs for card in item.cards}
    seen = digest([[item.id for item in runs], plain(past.present), fingerprint(facts)])
    return Plan(
        verb="restore",
        boot_id=facts.system.boot_id,
        fingerprint=seen,
        wish=Wish(tuple(cards.values())),
        changes=(*files, *generated, *live),
        reboot=(*_reboot(facts, runs), *waiting),
        notes=(*notes, *said),
    )


def _check(past: Past, run: str) -> None:
    known = {item.id: item for item in past.runs}
    if run not in known:
        raise UsageError(f"no run {run} on this host", resolution="gpuctl host history lists them")
    if known[run].verb == "restore":
        raise UsageError(f"run {run} is a restore; what it took back is prepared again by gpuctl host prepare")
    if not known[run].is_active:
        why = f"taken back by {known[run].restored_by}" if known[run].restored_by else "its changes were taken back"
        raise UsageError(f"nothing of run {run} stands any more: {why}", resolution="gpuctl host history shows it")
    mine = {path for change in known[run].changes if change.stands for path in change.touched}
    for later in past.active():
        theirs = {path for change in later.changes if change.stands for path in change.touched}
        if later.id > run and mine & theirs:
            shared = ", ".join(sorted(mine & theirs)[:3])
            raise Refused(
                f"the later run {later.id} has written the same files as run {run}: {shared}",
                resolution=f"gpuctl host restore --run {later.id} first, or gpuctl host restore for all runs",
            )


def _history_of(runs: tuple[Run, ...], kind: str) -> dict[str, list[tuple[Run, PastChange]]]:
    """Return by path who wrote it, the oldest run first."""
    found: dict[str, list[tuple[Run, PastChange]]] = {}
    for run in runs:
        for change in run.changes:
            if change.kind == kind and change.stands:
                for path in change.touched:
                    found.setdefault(path, []).append((run, change))
    return found


# ---------------------------------------------------------------- files


def _files(past: Past, runs: tuple[Run, ...]) -> tuple[list[Change], list[str]]:
    kept: list[Change] = []
    back: list[Change] = []
    for path, writers in _history_of(runs, FILE).items():
        points = [Point(_image(change.before), _image(change.after)) for _, change in writers]
        present = past.present.get(path, Seen(None)).image
        way = walk_back(points, present)
        last = writers[-1][0].id
        if way.saved is not None:
            whose = "what somebody else wrote there" if way.goal is None else "what was there before gpuctl"
            reason = f"{path} was changed by somebody else after gpuctl wrote it: here is {whose}"
            kept.append(Change(FILE, f"{KEPT}/{last}{path}", None, _state(past, way.saved), reason))
        if not _same(way.goal, present):
            reason = "as it was before gpuctl" if not way.broken else "as somebody else left it between two runs"
            if way.goal is None:
                reason = (
                    "gpuctl wrote it"
                    if not way.broken
                    else "gpuctl wrote it and somebody else changed it: it is moved away"
                )
            back.append(Change(FILE, path, _state(past, present), _state(past, way.goal), reason))
    back.reverse()
    return [*kept, *back], [change.reason + f" ({change.target})" for change in kept]


def _image(value: Image | str | None) -> Image | None:
    return value if isinstance(value, Image) else None


def _same(here: Image | None, there: Image | None) -> bool:
    return here is there if here is None or there is None else here.is_same(there)


def _state(past: Past, image: Image | None) -> FileState | None:
    if image is None:
        return None
    return FileState(past.contents[image.sha256], image.mode, image.uid, image.gid, image.is_link)


# ---------------------------------------------------------------- what commands made


def _generated(past: Past, runs: tuple[Run, ...]) -> tuple[list[Change], list[str]]:
    """Before-images go back where the file is still ours; else its command runs again, after every file is back."""
    goals: dict[str, Image | None] = {}
    commands: dict[tuple[str, ...], Change] = {}
    covered: set[str] = set()
    notes: list[str] = []
    histories = _history_of(runs, GENERATED)
    for path, writers in histories.items():
        seen = past.present.get(path, Seen(None))
        newest = writers[-1][1]
        points = [Point(change.images.get(path), _result(change, path, seen)) for _, change in writers]
        way = walk_back(points, seen.image)
        if not way.broken:
            goals[path] = way.goal
        elif seen.image is None:
            notes.append(f"{path} was removed by somebody else; it is not made again")
        elif newest.argv:
            reason = "made anew by somebody else since: it is made again from the files as they were"
            commands[newest.argv] = again(newest, reason)
            if opposite(newest.argv) == newest.argv:  # it makes all of its files; an editor needs the others put back
                covered.update(newest.images)
    for run in runs:
        for change in run.changes:
            if change.kind == GENERATED and change.stands and writes_everywhere(change.argv):
                commands.setdefault(
                    change.argv, again(change, "what boots is a copy: it is made again from what is put back")
                )
    back = []
    for path, goal in goals.items():
        present = past.present.get(path, Seen(None)).image
        if path in covered or _same(goal, present):
            continue
        was = f"sha256:{present.sha256}" if present is not None else None
        change = histories[path][-1][1]
        back.append(Change(GENERATED, path, was, show_put_back(goal), "as it was before gpuctl", change.risk, (path,)))
    return [*back, *commands.values()], notes


def _result(change: PastChange, path: str, seen: Seen) -> Image | None:
    """What the command made of ``path``; where it was killed, what is there now, unless somebody made that later."""
    if change.results is not None:
        return change.results.get(path)
    if seen.mtime > change.intended_at + change.timeout + 60:
        return None
    return seen.image


# ---------------------------------------------------------------- what waits for a reboot


def _reboot(facts: Facts, runs: tuple[Run, ...]) -> list[str]:
    """The running kernel was started with arguments that a run asked for; nothing but a reboot takes those back."""
    running = facts.kernel.cmdline
    reasons = []
    for run in runs:
        if run.boot_id == facts.system.boot_id:
            continue  # never booted since: the running kernel knows nothing of it
        arguments = [item for item in run.arguments if running is None or item in running]
        if arguments:
            reasons.append(f"the running kernel was started with {' '.join(arguments)}, of run {run.id}, and keeps it")
    return reasons

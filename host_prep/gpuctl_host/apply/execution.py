"""One run under way: its journal, what is done, what failed, and how it ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable

from gpuctl_host.apply import restart
from gpuctl_host.apply.audit import audit
from gpuctl_host.apply.codec import change_out
from gpuctl_host.apply.files import DiskFailed
from gpuctl_host.apply.journal import Journal, new_run_id, read_run
from gpuctl_host.apply.manifest import needed_blobs
from gpuctl_host.apply.outcome import Meta, Outcome, Progress, Site, Tell
from gpuctl_host.apply.places import BLOBS, KEPT, RUNS, STATE
from gpuctl_host.apply.signals import Signals, Stop
from gpuctl_host.apply.steps import device, file, generated
from gpuctl_host.apply.undo import Undone, undo_run
from gpuctl_host.changes.model import BIND, FILE, GENERATED, LIVE_KINDS, OVERRIDE, REMOVE, UNBIND, Change, Plan
from gpuctl_host.data import plain
from gpuctl_host.errors import GpuctlError, Interrupted, KernelStuck

if TYPE_CHECKING:
    from gpuctl_host.changes.past import Run


class Execution:
    """One run.

    A prepare that fails is taken back. A restore that fails stops where it is, because it can be run again from
    there; and a card that does not let go while it runs waits for the reboot, as its files are already back.

    Args:
        site: the host, with the lock held.
        plan: what is asked for.
        doable: its changes that this host can have now.
        meta: who asks.
        tell: hears of every step.
        signals: says whether to stop.
        of: for a restore: the runs that it takes back.
    """

    def __init__(
        self,
        site: Site,
        plan: Plan,
        doable: tuple[Change, ...],
        meta: Meta,
        tell: Tell,
        signals: Signals,
        of: tuple[str, ...] = (),
    ) -> None:
        self.site, self.plan, self.doable, self.meta, self.tell = site, plan, doable, meta, tell
        self.signals, self.of = signals, of
        self.done: list[Change] = []
        self.failed: Change | None = None
        self.error: GpuctlError | None = None
        self.undone = Undone((), ())
        self.problems: list[str] = []
        self.waiting: list[str] = []
        self.notes: list[str] = []
        self._out: set[str] = set()  # functions that did not do what was asked
        self._reloaded = False

    # ---- the beginning

    def begin(self) -> None:
        """Every content that the plan holds is kept, and the journal has its first line; nothing else is changed.

        Raises:
            DiskFailed: there is no room, or the state cannot be written.
        """
        site = self.site
        site.files.make_folders((*site.files.missing_folders(STATE), STATE))
        site.files.make_folders((RUNS, BLOBS, KEPT), 0o700)
        contents = [state for change in self.doable if change.kind == FILE for state in file.wanted(change) if state]
        made = sum(_size(site, change) for change in self.doable if change.kind == GENERATED)
        site.blobs.need_room(sum(len(state.data) for state in contents) + made)
        listed = []
        for n, change in enumerate(self.doable):
            before, after = file.wanted(change) if change.kind == FILE else (None, None)
            listed.append(change_out(n, change, site.blobs.keep_state(before), site.blobs.keep_state(after)))
        fields: dict[str, Any] = {
            "verb": self.plan.verb,
            "version": self.meta.version,
            "who": {"uid": self.meta.uid, "sudo_user": self.meta.sudo_user},
            "argv": list(self.meta.argv),
            "boot_id": restart.boot_id(site.host),
            "live": site.host.live,
            "wish": plain(self.plan.wish),
            "drivers": self._drivers(),
            "reboot": list(self.plan.reboot),
            "of": list(self.of),
            "changes": listed,
        }
        self.run = new_run_id(site.host)
        self.journal = Journal.begin(site.files, self.run, fields)

    def _drivers(self) -> dict[str, dict[str, str | None]]:
        host = self.site.host
        found: dict[str, dict[str, str | None]] = {}
        for card in self.plan.wish.cards if host.live else ():
            if device.is_there(host, card.address):
                driver = device.driver_of(host, card.address)
                found[card.address] = {
                    "driver": driver,
                    "module": device.module_of(host, driver) if driver else None,
                    "override": device.override_of(host, card.address),
                }
        return found

    # ---- the middle

    def steps(self, finish: Callable[[], None]) -> None:
        """Every change holds and ``finish`` was called; or it failed, and a prepare is taken back.

        Raises:
            Interrupted: a signal came.
        """
        current: Change | None = None
        try:
            for n, change in enumerate(self.doable):
                current = change
                self.signals.check()
                self._one(n, change)
            current = None
            self.signals.check()
            finish()
        except GpuctlError as error:
            self._fail(current, error)
            return
        except Stop as stop:
            self._stop(stop)
            return
        except BaseException:  # the journal has no end: the next run takes this one back
            self.journal.close()
            raise
        self._end("done")

    def _one(self, n: int, change: Change) -> None:
        live = change.kind in LIVE_KINDS
        if live and change.target in self._out:
            return
        self.tell(Progress("do", f"{change.kind} {change.target}", n + 1, len(self.doable)))
        try:
            self._act(n, change)
        except GpuctlError as error:
            if not live or self.plan.verb != "restore" or isinstance(error, DiskFailed):
                raise
            self.journal.add("failed", n=n, error=error.brief)
            self._out.update((change.target, str(change.after)))
            self.waiting.append(f"{error.brief}; it is as before after a reboot")
            return
        self.done.append(change)

    def _act(self, n: int, change: Change) -> None:
        site, journal = self.site, self.journal
        if change.kind == FILE:
            journal.add("intend", n=n, **file.intend(site, change))
            file.act(site, change)
            file.read_back(site, change)
            journal.add("done", n=n)
        elif change.kind == GENERATED:
            noted = generated.intend(site, change)
            journal.add("intend", n=n, **noted)
            generated.act(site, change)
            journal.add("done", n=n, **generated.read_back(site, change, generated.images_of(noted)))
        else:
            self._reload()
            if change.kind in (OVERRIDE, UNBIND, BIND, REMOVE) and device.is_there(site.host, change.target):
                for card in self.plan.wish.cards:
                    if card.address == change.target:
                        device.guard(site.host, card)
            journal.add("intend", n=n, note=device.note(site.host, change))
            device.act(site.host, change)
            journal.add("done", n=n)

    def _reload(self) -> None:
        if not self._reloaded:
            self._reloaded = True
            wrong = restart.reload_udev(self.site.host, self.plan)
            if wrong is not None:
                self.notes.append(wrong)

    # ---- the end

    def _fail(self, change: Change | None, error: GpuctlError) -> None:
        self.failed, self.error = change, error
        if change is not None:
            with suppress(GpuctlError):
                self.journal.add("failed", n=self.doable.index(change), error=error.brief)
        if self.plan.verb == "restore":
            self._end("failed")
            return
        stuck = frozenset({change.target} if change is not None and isinstance(error, KernelStuck) else ())
        self._take_back(stuck)

    def _take_back(self, stuck: frozenset[str] = frozenset()) -> None:
        told = read_run(self.site.host, self.run)
        if told is not None:
            self.undone = undo_run(self.site, self.journal, told, self.tell, stuck=stuck)
        self.problems.extend(self.undone.problems)
        self._end("failed" if self.undone.problems else "undone")

    def _stop(self, stop: Stop) -> None:
        """A signal: a prepare is taken back, a restore stops here; both say so.

        Raises:
            Interrupted: always.
        """
        name = stop.args[0]
        if self.plan.verb == "restore":
            self._end("interrupted")
            how = "what it did stands; run gpuctl host restore again"
        else:
            self._take_back()
            how = "what it did is taken back" if not self.problems else f"not all is taken back: {self.problems[0]}"
        raise Interrupted(f"run {self.run} was interrupted ({name}): {how}", details="\n".join(self.problems))

    def _end(self, state: str) -> None:
        """The journal has its last line, the audit log its line, and no blob is left that nobody needs."""
        site = self.site
        told = self._told()
        try:
            if told is not None:
                audit(site, told, state, error=self.error.brief if self.error else None)
        except DiskFailed as error:
            self.problems.append(f"the audit log has no line of this run: {error.brief}")
        try:
            self.journal.add("end", state=state, problems=list(self.undone.problems))
        except DiskFailed as error:
            self.problems.append(f"the journal has no end; the next run puts that right: {error.brief}")
        self.journal.close()
        with suppress(GpuctlError):  # only room is lost
            site.blobs.collect(needed_blobs(site.host))

    def _told(self) -> Run | None:
        try:
            return read_run(self.site.host, self.run)
        except GpuctlError:
            return None

    def outcome(self) -> Outcome:
        """Return what came of it."""
        kept = tuple(f"{change.reason}: {change.target}" for change in self.done if change.target.startswith(KEPT))
        held = self.error is None
        return Outcome(
            run=self.run,
            verb=self.plan.verb,
            done=tuple(self.done) if held or self.plan.verb == "restore" else (),
            failed=self.failed,
            error=self.error.brief if self.error else None,
            resolution=self.error.resolution if self.error else "",
            undone=self.undone.changes,
            needs_reboot=(*self.plan.reboot, *self.waiting) if held else (),
            problems=tuple(self.problems),
            kept=kept,
            notes=(*self.plan.notes, *self.notes),
        )


def _size(site: Site, change: Change) -> int:
    found = (site.host.stat(path) for path in change.paths)
    return sum(item.st_size for item in found if item is not None)

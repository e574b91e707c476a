"""Take one run back, in reverse: files and what commands made first, then the running kernel."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from gpuctl_host.apply import restart
from gpuctl_host.apply.outcome import Progress, Site, Tell
from gpuctl_host.apply.steps import device, file, generated
from gpuctl_host.changes.again import again, opposite
from gpuctl_host.changes.model import FILE, MODULE, REMOVE, RESCAN
from gpuctl_host.changes.past import Driven, PastChange, Run
from gpuctl_host.data import frozen
from gpuctl_host.errors import GpuctlError, KernelStuck

if TYPE_CHECKING:
    from gpuctl_host.apply.journal import Journal


@frozen
class Undone:
    """What was taken back, and what could not be."""

    changes: tuple[str, ...]
    problems: tuple[str, ...]


class _Undoing:
    """One undo under way."""

    def __init__(self, site: Site, journal: Journal, run: Run, tell: Tell) -> None:
        self.site, self.journal, self.run, self.tell = site, journal, run, tell
        self.changes: list[str] = []
        self.problems: list[str] = []
        self.again: list[PastChange] = []

    def note(self, past: PastChange) -> None:
        """The change is taken back, and the journal says so as far as it can be written."""
        self.changes.append(f"{past.kind} {past.target}")
        try:
            self.journal.add("undone", n=past.n)
        except GpuctlError as error:
            self.trouble(f"{past.kind} {past.target} is taken back, but not in the journal", error)

    def trouble(self, what: str, error: GpuctlError) -> None:
        """Something could not be done."""
        self.problems.append(f"{what}: {error.brief}")

    def files(self) -> None:
        """Every file is as it was, or named as a problem."""
        standing = [past for past in self.run.changes if past.stands and not past.is_live]
        for n, past in enumerate(reversed(standing), 1):
            self.tell(Progress("undo", f"{past.kind} {past.target}", n, len(standing)))
            try:
                wrong = self._file(past)
            except GpuctlError as error:
                self.trouble(f"{past.target} is not taken back", error)
                continue
            if wrong is not None:
                self.problems.append(wrong)
            elif past not in self.again:
                self.note(past)
        try:
            self.site.files.drop_folders(folder for past in self.run.changes for folder in past.made)
        except GpuctlError as error:
            self.trouble("an empty folder is left", error)

    def _file(self, past: PastChange) -> str | None:
        if past.kind == FILE:
            return file.undo(self.site, past)
        anew, wrong = generated.undo(self.site, past)
        if anew:
            self.again.append(past)
        return wrong

    def commands(self) -> None:
        """What somebody else made anew since is made again, from the files as they were."""
        for past in reversed(self.again):
            self.tell(Progress("undo", " ".join(opposite(past.argv))))
            change = again(past, past.reason)
            try:
                generated.act(self.site, change)
            except GpuctlError as error:
                self.trouble(f"{past.target} is not made again", error)
            else:
                self.note(past)

    def devices(self, stuck: frozenset[str]) -> None:
        """Every function has the driver and the override that it had, or is named as a problem."""
        standing = [past for past in self.run.changes if past.stands and past.is_live]
        if not standing:
            return
        restart.reload_udev(self.site.host, self.run)
        for address in dict.fromkeys(past.target for past in standing if past.kind not in (MODULE, RESCAN)):
            mine = [past for past in standing if past.target == address]
            if address in stuck:
                self.problems.append(
                    f"{address} is not taken back: a write to it hangs in the kernel; only a reboot ends that"
                )
                continue
            self.tell(Progress("undo", f"the driver of {address}"))
            try:
                give_back(self.site, self.run, address, mine)
            except GpuctlError as error:
                self.trouble(f"{address} does not have its driver back", error)
                if isinstance(error, KernelStuck):
                    return
            else:
                for past in reversed(mine):
                    self.note(past)
        for past in standing:
            if past.kind in (MODULE, RESCAN):  # a loaded module and a scanned bus harm nobody
                self.note(past)


def undo_run(site: Site, journal: Journal, run: Run, tell: Tell, *, stuck: frozenset[str] = frozenset()) -> Undone:
    """The run is taken back, as its journal told it; what could not be taken back is named.

    Args:
        site: the host.
        journal: the run's own, open.
        run: what the journal tells.
        tell: hears of the progress.
        stuck: functions that must not be touched: a write to them hangs in the kernel.
    """
    undoing = _Undoing(site, journal, run, tell)
    try:
        site.files.sweep(folders_of(run))
    except GpuctlError as error:
        undoing.trouble("a temporary file is left", error)
    undoing.files()
    undoing.commands()
    if site.host.live and run.boot_id == restart.boot_id(site.host):
        undoing.devices(stuck)
    else:  # another boot: the kernel that was changed is gone
        for past in reversed(run.changes):
            if past.stands and past.is_live:
                undoing.note(past)
    return Undone(tuple(undoing.changes), tuple(undoing.problems))


def folders_of(run: Run) -> set[str]:
    """Return the folders in which a killed run may have left a temporary file."""
    return {posixpath.dirname(path) for change in run.changes for path in change.touched}


def give_back(site: Site, run: Run, address: str, changes: list[PastChange]) -> None:
    """The function is on the bus with the driver and the override that it had when the run began.

    Raises:
        GpuctlError: it is not: the kernel refused, or did not answer.
    """
    host = site.host
    had = run.drivers.get(address)
    if had is None:
        before = next((past.before for past in changes if isinstance(past.before, str)), None)
        had = Driven(before, None, None)
    for past in changes:
        if past.kind == REMOVE:
            device.rescan(host, past.note.get("parent", "pci"), address)
    if device.driver_of(host, address) != had.driver:
        device.unbind(host, address)
    device.set_override(host, address, had.override)
    if had.driver is None:
        return
    if had.module and device.driver_of(host, address) is None:
        device.load(host, had.module)
    device.bind(host, address, had.driver)

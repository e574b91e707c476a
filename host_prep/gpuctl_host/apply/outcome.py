"""Who asks for a run, how it goes, and what came of it."""

from __future__ import annotations

import os
from dataclasses import field
from typing import TYPE_CHECKING, Callable

from gpuctl_host import __version__
from gpuctl_host.apply.blobs import Blobs
from gpuctl_host.apply.files import Files
from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.apply.disk import Disk
    from gpuctl_host.changes.model import Change
    from gpuctl_host.host import Host


@frozen
class Meta:
    """Who asks, and with what."""

    version: str
    argv: tuple[str, ...]
    uid: int
    sudo_user: str | None

    @classmethod
    def of_process(cls, argv: Sequence[str]) -> Meta:
        """Return what this process knows of who called it."""
        return cls(__version__, tuple(argv), os.getuid(), os.environ.get("SUDO_USER"))


@frozen
class Progress:
    """A step that begins.

    Attributes:
        stage: recover, do, undo, check or collect.
        n: which step, from 1; 0 where there is no count.
        of: how many there are.
    """

    stage: str
    text: str
    n: int = 0
    of: int = 0


Tell = Callable[[Progress], None]


@frozen
class Outcome:
    """What a run did.

    Attributes:
        run: its id; None if there was nothing to do.
        done: changes that hold now, each read back.
        failed: the change that failed, or None.
        error: what is wrong; None if nothing failed.
        resolution: what to do about it.
        undone: changes that were taken back after the failure.
        pending: changes that this host cannot have now (a captured tree, a device in use).
        needs_reboot: why a reboot is needed before it all holds.
        problems: what could not be done or undone, each by name.
        kept: files that were changed by somebody else, and where both versions are.
        notes: what is good to know.
    """

    run: str | None
    verb: str
    done: tuple[Change, ...] = ()
    failed: Change | None = None
    error: str | None = None
    resolution: str = ""
    undone: tuple[str, ...] = ()
    pending: tuple[Change, ...] = ()
    needs_reboot: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def exit_code(self) -> int:
        """The process's exit status (CONTRACT: Exit codes)."""
        if self.error is not None:
            return 1
        if self.problems or self.kept:
            return 5
        return 4 if self.needs_reboot else 0


@frozen
class Site:
    """The host that is worked on, with what writes there."""

    host: Host
    files: Files
    blobs: Blobs


def site_of(host: Host, disk: Disk | None = None) -> Site:
    """Return the site of ``host``."""
    files = Files(host, disk)
    return Site(host, files, Blobs(files))

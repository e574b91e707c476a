"""What earlier runs did, as their journals tell it: the input of a restore, of the history and of a recovery."""

from __future__ import annotations

from dataclasses import field
from hashlib import sha256
from typing import TYPE_CHECKING

from gpuctl_host.changes.model import FILE, GENERATED, LIVE_KINDS
from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Card, FileState

# states of a change
PLANNED, INTENDED, DONE, FAILED, UNDONE = "planned", "intended", "done", "failed", "undone"
# how a run ended; a run without an end was killed
ENDS = ("done", "undone", "failed", "interrupted")


@frozen
class Image:
    """A file without its bytes: enough to know it again. The bytes of a before-image are in the blob of that name."""

    sha256: str
    size: int
    mode: int
    uid: int
    gid: int
    is_link: bool = False

    def like(self, other: Image | None) -> bool:
        """Say whether both have the same content; mode and owner do not count."""
        return other is not None and (self.sha256, self.is_link) == (other.sha256, other.is_link)

    def is_same(self, other: Image | None) -> bool:
        """Say whether both have the same content and mode; a link's mode means nothing."""
        return other is not None and self.like(other) and (self.is_link or self.mode == other.mode)


def image_of(state: FileState | None) -> Image | None:
    """Return the image of ``state``; None of None, which is an absent file."""
    if state is None:
        return None
    return Image(sha256(state.data).hexdigest(), len(state.data), state.mode, state.uid, state.gid, state.is_link)


@frozen
class Seen:
    """A file as it is now.

    Attributes:
        image: None if it is absent.
        mtime: seconds since the epoch; 0 if it is absent.
    """

    image: Image | None
    mtime: float = 0.0


@frozen
class Driven:
    """Who had a function when a run began."""

    driver: str | None
    module: str | None
    override: str | None


@frozen
class PastChange:
    """One change of a run.

    Attributes:
        before: for FILE an Image (None: absent), else the driver's or override's name.
        state: planned, intended, done, failed or undone.
        made: folders that the change made, the outermost first.
        images: for GENERATED: its files before the command, by path.
        results: for GENERATED: its files after the command; None as long as it was not done.
        note: for live kinds: what was found just before acting ("module", "parent").
        intended_at: seconds since the epoch.
    """

    n: int
    kind: str
    target: str
    before: Image | str | None
    after: Image | str | None
    reason: str
    risk: str
    paths: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    timeout: float = 0.0
    state: str = PLANNED
    made: tuple[str, ...] = ()
    images: dict[str, Image | None] = field(default_factory=dict)
    results: dict[str, Image | None] | None = None
    note: dict[str, str] = field(default_factory=dict)
    intended_at: float = 0.0

    @property
    def stands(self) -> bool:
        """Whether it was begun and not taken back."""
        return self.state in (INTENDED, DONE, FAILED)

    @property
    def touched(self) -> tuple[str, ...]:
        """The files that it wrote."""
        if self.kind == FILE:
            return (self.target,)
        return tuple(self.images) or self.paths if self.kind == GENERATED else ()

    @property
    def is_live(self) -> bool:
        """Whether it acted on the running kernel."""
        return self.kind in LIVE_KINDS


@frozen
class Run:
    """One run of prepare or restore.

    Attributes:
        end: done, undone, failed or interrupted; None: it was killed before its end.
        restored_by: the restore that took it back, or None.
        of: for a restore: the runs that it takes back.
        drivers: who had each card's function when it began.
        arguments: kernel arguments that it asked for.
    """

    id: str
    verb: str
    version: str
    uid: int
    sudo_user: str | None
    argv: tuple[str, ...]
    at: str
    boot_id: str | None
    cards: tuple[Card, ...]
    drivers: dict[str, Driven]
    changes: tuple[PastChange, ...]
    arguments: tuple[str, ...] = ()
    reboot: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    end: str | None = None
    ended_at: str | None = None
    problems: tuple[str, ...] = ()
    restored_by: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether something that it did still stands, so that a restore has to take it back."""
        if self.verb == "restore" or self.restored_by is not None:
            return False
        return self.end == "done" or any(change.stands for change in self.changes)


@frozen
class Past:
    """Everything that a restore is planned from.

    Attributes:
        runs: every run, the oldest first.
        present: the files that active runs touched, as they are now.
        contents: blobs of FILE changes by sha256: what a plan has to hold, because a plan shows its diff.
    """

    runs: tuple[Run, ...]
    present: dict[str, Seen]
    contents: dict[str, bytes]

    def active(self, run: str | None = None) -> tuple[Run, ...]:
        """Return the runs to take back, the oldest first: one by its id, or all."""
        return tuple(item for item in self.runs if item.is_active and run in (None, item.id))

"""Blobs: before-images (and what files became), each under the sha256 of its content, on disk before anything acts."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from gpuctl_host.apply.files import DiskFailed
from gpuctl_host.apply.places import BLOBS, STATE
from gpuctl_host.changes.past import Image, image_of
from gpuctl_host.errors import JournalBroken
from gpuctl_host.facts.model import FileState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuctl_host.apply.files import Files

RESERVE = 4 * 1024 * 1024  # bytes left for the journal, so that an undo can still be written down


class Blobs:
    """The blobs of one host."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def need_room(self, size: int) -> None:
        """``size`` more bytes fit, with room left for the journal.

        Raises:
            DiskFailed: they do not; nothing was written.
        """
        free = self._files.free(STATE)
        if free < size + RESERVE:
            raise DiskFailed(
                f"not enough room in {STATE}: {size + RESERVE >> 20} MiB are needed for what restore puts back, "
                f"{free >> 20} MiB are free",
                resolution="make room there, then run the same command again; nothing was changed",
            )

    def has(self, sha: str) -> bool:
        """Say whether the blob is there."""
        return self._files.is_there(f"{BLOBS}/{sha}")

    def keep_state(self, state: FileState | None) -> Image | None:
        """The content is kept; return its image, None for an absent file.

        Raises:
            DiskFailed: it is not kept.
        """
        image = image_of(state)
        if image is not None and state is not None and not self.has(image.sha256):
            self._files.put_blocks(f"{BLOBS}/{image.sha256}", [state.data], mode=0o600)
        return image

    def keep_file(self, path: str) -> Image | None:
        """The file at ``path`` is kept, in blocks; return its image, None if it is absent.

        Raises:
            DiskFailed: it is not kept, or changed while it was read.
        """
        image = self._files.seen(path).image
        if image is None or self.has(image.sha256):
            return image
        self.need_room(image.size)
        content = sha256()

        def hashed() -> Iterator[bytes]:
            for block in self._files.blocks(path):
                content.update(block)
                yield block
            if content.hexdigest() != image.sha256:
                raise DiskFailed(
                    f"{path} changes while it is copied",
                    resolution="wait until what writes it has ended (a package's update?), then run it again",
                )

        self._files.put_blocks(f"{BLOBS}/{image.sha256}", hashed(), mode=0o600)
        return image

    def blocks(self, sha: str) -> Iterator[bytes]:
        """Yield the content of a blob; the error comes before the reader could take the file for whole.

        Raises:
            JournalBroken: it is gone, or no longer what its name says.
        """
        if not self.has(sha):
            raise _lost(sha, "is gone")
        content = sha256()
        for block in self._files.blocks(f"{BLOBS}/{sha}"):
            content.update(block)
            yield block
        if content.hexdigest() != sha:
            raise _lost(sha, "is damaged")

    def state(self, image: Image) -> FileState:
        """Return a kept file with its content.

        Raises:
            JournalBroken: the blob is gone or damaged.
        """
        return FileState(b"".join(self.blocks(image.sha256)), image.mode, image.uid, image.gid, image.is_link)

    def put_back(self, path: str, image: Image | None) -> None:
        """The file at ``path`` is what was kept of it; None: it is absent.

        Raises:
            JournalBroken: the blob is gone or damaged; the file is as it was.
            DiskFailed: the file is as it was.
        """
        if image is None:
            self._files.remove(path)
            return
        self._files.make_folders(self._files.missing_folders(path))
        self._files.put_blocks(
            path, self.blocks(image.sha256), mode=image.mode, uid=image.uid, gid=image.gid, is_link=image.is_link
        )

    def collect(self, needed: Iterable[str]) -> int:
        """No blob is left but those ``needed``; return how many went.

        Raises:
            DiskFailed: one cannot be removed.
        """
        keep = set(needed)
        gone = [name for name in self._files.host.names(BLOBS) if name not in keep]
        for name in gone:
            self._files.remove(f"{BLOBS}/{name}")
        return len(gone)


def _lost(sha: str, what: str) -> JournalBroken:
    return JournalBroken(
        f"a before-image {what}: {BLOBS}/{sha}",
        details="The file that it belongs to is left as it is now.",
        resolution="put the file back from a backup; `gpuctl host history` shows which run changed it",
    )

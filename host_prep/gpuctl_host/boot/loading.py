"""What every boot loader's back-end gives and takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gpuctl_host.boot import cmdline
from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Change
    from gpuctl_host.facts.model import Boot, BootEntry, Facts
    from gpuctl_host.host import Host


@frozen
class LoaderRead:
    """What a back-end read: see facts.model.Boot for the first two."""

    entries: tuple[BootEntry, ...] | None
    configured: tuple[str, ...] | None
    traits: tuple[tuple[str, str], ...] = ()


@frozen
class LoaderPlan:
    """What a back-end will do, and what it leaves to a person."""

    changes: tuple[Change, ...] = ()
    manual: tuple[str, ...] = ()


class Loader(Protocol):
    """What each loader's module offers.

    `read` looks at the host; `paths` and `plan` know only what was read. `plan` is told whether any kernel's image
    will be made anew, because some loaders keep copies of the images.
    """

    NAME: str
    PRINT_ONLY: bool

    def present(self, host: Host) -> bool:
        """Say whether this loader starts the host's kernels."""
        ...

    def read(self, host: Host, installed: tuple[str, ...]) -> LoaderRead:
        """Return what boots next."""
        ...

    def paths(self, boot: Boot) -> tuple[str, ...]:
        """Return the files that `plan` may write."""
        ...

    def plan(self, facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:
        """Return what has to change so that the next boot gets ``arguments``."""
        ...


def lacking(facts: Facts, arguments: tuple[str, ...]) -> bool:
    """Say whether an entry that was read lacks one of ``arguments``."""
    return any(
        entry.cmdline is not None and bool(cmdline.missing(cmdline.kernel_part(entry.cmdline), arguments))
        for entry in facts.boot.entries or ()
    )


def placed(host: Host, base: str, path: str) -> str:
    """Return the host's path of what a loader names relative to its own file system, mounted at ``base``."""
    path = "/" + path.replace("\\", "/").lstrip("/")
    for candidate in (f"{base}{path}", path):
        if host.exists(candidate):
            return candidate
    return f"{base}{path}"

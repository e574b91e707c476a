"""Which command makes a generated file right again once everything that it is made from is as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.changes.past import PastChange, Run

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuctl_host.facts.model import Facts

# What they write lies where no path of the host leads (every ESP, mounted for the moment): no image can be put back.
_EVERYWHERE = ("proxmox-boot-tool",)
# They do not make files from others but edit them: run again, they would do the same edit again.
_PAIRS = {"--args": "--remove-args", "--add-option": "--del-option"}
_OPPOSITE = {**_PAIRS, **{there: here for here, there in _PAIRS.items()}}
_EDITORS = ("grubby", "pbl", "update-bootloader")
_IMAGE = "initramfs "


def writes_everywhere(argv: tuple[str, ...]) -> bool:
    """Say whether the command writes more than files that can be kept, so that it has to run again in any case."""
    return bool(argv) and argv[0].rpartition("/")[2] in _EVERYWHERE


def opposite(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that takes back what ``argv`` did: an editor's opposite edit, else the command itself."""
    if not argv or argv[0].rpartition("/")[2] not in _EDITORS:
        return argv
    words = []
    for word in argv:
        name, equals, value = word.partition("=")
        words.append(_OPPOSITE.get(name, name) + equals + value)
    return tuple(words)


def again(past: PastChange, reason: str) -> Change:
    """Return the Change that runs a past one's command, or its opposite, once more."""
    argv = opposite(past.argv)
    return Change(GENERATED, past.target, None, None, reason, past.risk, past.paths, argv, past.timeout)


def later_images(facts: Facts, runs: tuple[Run, ...], known: Collection[str]) -> tuple[Change, ...]:
    """Return what makes those images anew that were built while gpuctl's hooks were there, but not by gpuctl.

    A kernel that was installed after a prepare has an image that takes the cards at boot; no journal names it. The
    command is that of another kernel's image, with the release in its place.

    Args:
        facts: a deep reading, else no image is known.
        runs: the runs that are taken back.
        known: images that are dealt with already.
    """
    models = [
        change
        for run in runs
        for change in run.changes
        if change.kind == GENERATED and change.target.startswith(_IMAGE) and change.argv
    ]
    if not models:
        return ()
    model = models[-1]
    release = model.target[len(_IMAGE) :]
    return tuple(
        Change(
            GENERATED,
            _IMAGE + image.release,
            None,
            None,
            "its kernel was installed while the host was prepared, and the image holds gpuctl's files",
            REBOOT,
            (image.path,),
            tuple(word.replace(release, image.release) for word in model.argv),
            model.timeout,
        )
        for image in facts.images or ()
        if image.ours and image.path not in known
    )


def later_entries(facts: Facts, runs: tuple[Run, ...], known: Collection[str]) -> tuple[Change, ...]:
    """Return what takes the arguments out of boot entries that no journal names.

    A kernel that was installed after a prepare inherits the arguments that an editor gave to all entries.
    """
    found: dict[tuple[str, ...], Change] = {}
    for run in runs:
        for change in run.changes:
            added = {
                word for part in change.argv if part.startswith("--args=") for word in part[len("--args=") :].split()
            }
            heirs = [
                entry.source
                for entry in facts.boot.entries or ()
                if entry.source not in known and added & set(entry.cmdline or ())
            ]
            if change.kind == GENERATED and change.stands and heirs:
                found[change.argv] = again(change, f"{heirs[0]} was made later, and has inherited the arguments")
    return tuple(found.values())

"""Plans for the toy host, applied and taken back."""

from __future__ import annotations

import os
import stat

from gpuctl_host.apply.disk import Disk
from gpuctl_host.apply.executor import apply_plan
from gpuctl_host.apply.outcome import Meta, Outcome
from gpuctl_host.apply.restore import apply_restore, plan_restore
from gpuctl_host.changes.model import (
    BIND,
    FILE,
    GENERATED,
    MODULE,
    OVERRIDE,
    REBOOT,
    REMOVE,
    UNBIND,
    Change,
    Plan,
    Wish,
)
from gpuctl_host.facts.model import FileState
from gpuctl_host.host import Host
from tests.unit.apply.toy import AUDIO, GPU, KERNELS, cards, facts_of
from tests.unit.apply.trees import read

META = Meta("0.1.0", ("gpuctl", "host", "prepare", "--yes"), 0, "alice")


def state(content: str, mode: int = 0o644) -> FileState:
    return FileState(content.encode(), mode, os.geteuid(), os.getegid())


def file_change(root: str, path: str, content: str | None, mode: int = 0o644, target: str | None = None) -> Change:
    """From what is there now to ``content``, to a link to ``target``, or to nothing."""
    before = None
    if os.path.islink(root + path):
        before = FileState(os.readlink(root + path).encode(), 0o777, os.geteuid(), os.getegid(), is_link=True)
    elif os.path.exists(root + path):
        before = state(read(root, path).decode(), stat.S_IMODE(os.stat(root + path).st_mode))
    after = None if content is None else state(content, mode)
    if target is not None:
        after = FileState(target.encode(), 0o777, os.geteuid(), os.getegid(), is_link=True)
    return Change(FILE, path, before, after, "a test", REBOOT)


def file_changes(root: str, word: str = "one") -> tuple[Change, ...]:
    """New files in new folders, a changed one, one that goes, and links both ways."""
    return (
        file_change(root, "/etc/gpuctl/cards", f"# {word}\n{GPU} 10de 1b80\n"),
        file_change(root, "/etc/udev/rules.d/10-gpuctl.rules", f"# {word}\n"),
        file_change(root, "/etc/initramfs-tools/hooks/gpuctl", f"#!/bin/sh\n# {word}\n", 0o755),
        file_change(root, "/etc/default/grub", f"GRUB_CMDLINE_LINUX_DEFAULT={word}\n"),
        file_change(root, "/etc/modprobe.d/old.conf", None),
        file_change(root, "/etc/alias", None, target=f"elsewhere-{word}"),
    )


def generated_changes() -> tuple[Change, ...]:
    images = tuple(
        Change(
            GENERATED,
            f"initramfs {kernel}",
            None,
            None,
            "a test",
            REBOOT,
            (f"/boot/initrd.img-{kernel}",),
            ("mkinit", kernel),
            60.0,
        )
        for kernel in KERNELS
    )
    return (
        *images,
        Change(GENERATED, "grub.cfg", None, None, "a test", REBOOT, ("/boot/grub/grub.cfg",), ("mkgrub",), 30.0),
    )


def live_changes() -> tuple[Change, ...]:
    return (
        Change(MODULE, "vfio-pci", None, "vfio_pci", "a test"),
        Change(OVERRIDE, GPU, None, "vfio-pci", "a test"),
        Change(UNBIND, GPU, "nouveau", None, "a test"),
        Change(BIND, GPU, None, "vfio-pci", "a test"),
        Change(REMOVE, AUDIO, "snd_hda_intel", None, "a test"),
    )


def plan_of(*changes: Change, reboot: tuple[str, ...] = ()) -> Plan:
    return Plan("prepare", "b00t", "f" * 64, Wish(cards()), changes, reboot=reboot)


def prepare(host: Host, plan: Plan, disk: Disk | None = None) -> Outcome:
    return apply_plan(host, plan, meta=META, disk=disk)


def restore(host: Host, disk: Disk | None = None, run: str | None = None, **facts: object) -> Outcome:
    plan = plan_restore(host, facts_of(host, **facts), run)  # type: ignore[arg-type]
    return apply_restore(host, plan, meta=META, run=run, disk=disk)

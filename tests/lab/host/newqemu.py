"""A QEMU with vfio-user-pci in a folder of its own: extracted, not installed, run with its own loader and libraries."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import recipe
from .cache import key_of, once
from .packages import LabUnavailable, find, mirror, say


@dataclass(frozen=True, slots=True)
class Qemu:
    """How one QEMU is started: the words before its own arguments, and what its processes need to see."""

    argv: tuple[str, ...]
    env: dict[str, str]
    vfio_user: bool


def stock_qemu() -> Qemu:
    """The machine's own QEMU (7.2 on Debian 12): IOMMU and stock devices, no vfio-user."""
    path = find("qemu-system-x86_64")
    if path is None:
        raise LabUnavailable("no qemu-system-x86_64 on this machine")
    return Qemu((path,), {}, vfio_user=False)


def new_qemu() -> Qemu:
    """A QEMU >= 10.1 from the cache, fetched first if need be.

    Raises:
        LabUnavailable: this machine's apt knows no Debian mirror, or the mirror did not give it.
    """
    root = once("qemu", key_of(recipe.QEMU), _extract) / "root"
    lib = root / "usr/lib/x86_64-linux-gnu"
    argv = (
        str(root / "usr/lib64/ld-linux-x86-64.so.2"),
        "--library-path",
        str(lib),
        str(root / "usr/bin/qemu-system-x86_64"),
        "-L",
        str(root / "usr/share/seabios"),
        "-L",
        str(root / "usr/share/qemu"),
    )
    return Qemu(argv, {"QEMU_MODULE_DIR": str(lib / "qemu")}, vfio_user=True)


def _extract(part: Path) -> None:
    want = recipe.QEMU
    main = mirror().main
    if main is None:
        raise LabUnavailable("apt's configuration names no Debian mirror, so no newer QEMU is to be had")
    say(f"fetching QEMU from {want['pocket']} (some 10 s)")
    argv = [
        "mmdebstrap",
        "--variant=extract",
        f"--include={','.join(want['packages'])}",
        f'--aptopt=APT::Default-Release "{want["pocket"]}"',
        '--aptopt=APT::Install-Recommends "false"',
        want["suite"],
        str(part / "root"),
        f"deb {main} {want['suite']} main",
        f"deb {main} {want['pocket']} main",
    ]
    with (part / "build.log").open("w") as log:
        done = subprocess.run(argv, stdout=log, stderr=subprocess.STDOUT, timeout=3600, check=False)
    if done.returncode:
        lines = (part / "build.log").read_text().strip().splitlines()[-3:]
        raise LabUnavailable(f"mmdebstrap could not fetch a newer QEMU: {' / '.join(lines)}")

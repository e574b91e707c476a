"""Everything that the lab needs is in the cache: `python3 -m tests.lab.host build`."""

from __future__ import annotations

import time

from .image import disk
from .newqemu import new_qemu
from .packages import install_missing, say


def build() -> None:
    """The disk and the newer QEMU are there; a second call does nothing.

    Raises:
        LabUnavailable: this machine cannot have them; the message says why.
    """
    began = time.monotonic()
    install_missing()
    place = disk()
    say(f"disk: {place}")
    qemu = new_qemu()
    say(f"QEMU: {qemu.argv[3]}")
    say(f"done in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    build()

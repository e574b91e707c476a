"""The tree that `make bench` checks: eight H100 among 400 PCI functions, as an unpacked capture would have it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.sim import SimHost, worlds

FUNCTIONS = 400


def build(tree: Path) -> None:
    """``tree`` holds the host; nothing is done where it is there already."""
    if not (tree / "sys/bus/pci/devices").is_dir():
        SimHost(worlds.many(FUNCTIONS, gpus=8), tree)
    assert len(list((tree / "sys/bus/pci/devices").iterdir())) == FUNCTIONS


if __name__ == "__main__":
    build(Path(sys.argv[1]))

"""At which of a move's requests or writes something is done to it: a sample, or every one with GPUCTL_ALL_KILLS=1."""

from __future__ import annotations

import os
import random

ALL = os.environ.get("GPUCTL_ALL_KILLS", "") not in {"", "0"}


def positions(last: int, count: int, *, seed: str) -> list[int]:
    """``count`` of the numbers 1 to ``last``, the first and the last among them; the same ones in every run."""
    every = range(1, last + 1)
    if ALL or last <= count:
        return list(every)
    return sorted({1, last, *random.Random(seed).sample(every[1:-1], count - 2)})

"""The caller's umask is kept out of the files and folders that are made."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def plain_umask() -> Iterator[None]:
    """A folder that is made meanwhile has the mode that was asked for, at once: no kill can come in between."""
    previous = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(previous)

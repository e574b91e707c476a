"""The fixtures of a toy host's root, in memory where this machine has a place for that."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

from .toy import make_root

MEMORY = "/dev/shm"  # an fsync costs nothing there; the calls are the same


@pytest.fixture
def folder():
    where = tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    yield where
    shutil.rmtree(where, ignore_errors=True)


@pytest.fixture
def root(folder):
    make_root(folder + "/root")
    return folder + "/root"

"""A Debian host's tree on which everything is as prepare leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuctl_host.boot import registry
from gpuctl_host.host import Host
from tests.unit.boot.build import WISH, facts_of, put, write_files
from tests.unit.boot.hosts import DEBIAN
from tests.unit.boot.image import pack


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    put(tmp_path, DEBIAN)
    host = Host(str(tmp_path))
    write_files(tmp_path, registry.plan_boot(facts_of(host), WISH)[0])
    pack(tmp_path)
    return tmp_path

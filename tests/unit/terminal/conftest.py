"""A simulated cloud, simulated hosts, and terminals to sit at."""

from __future__ import annotations

import contextlib
import sys

import pytest

# The operator's half is for 3.11 and newer.
collect_ignore_glob = ["*.py"] if sys.version_info < (3, 11) else []


@pytest.fixture
def cloud():
    """train-0 and train-1 with a card each on gpu17; gpu18 is free."""
    from tests.sim.cloud import MovesSim

    with MovesSim(release=34, tracking=True, double=0.0, pace=0.01) as sim:
        for name in ("gpu17", "gpu18"):
            sim.add_host(name)
        for number in range(2):
            sim.boot(f"train-{number}", "gpu17", "gtx1080:1")
        yield sim
        assert sim.broken() == []
        assert sim.happened.bugs == []


@pytest.fixture
def scene(tmp_path):
    """The folder in which a scene's hosts are."""
    place = tmp_path / "scene"
    place.mkdir()
    return place


@pytest.fixture
def sit(tmp_path, scene):
    """Open a terminal: sit(cloud, "instance", "migrate", ..., columns=40); cloud may be None."""
    from tests.unit.terminal.kit import Session

    with contextlib.ExitStack() as stack:

        def open_one(cloud, *words, env=None, **how):
            base = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "SCENE": str(scene)}
            if cloud is not None:
                base |= {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml(tmp_path)), "OS_CLOUD": "sim"}
            return stack.enter_context(Session(*map(str, words), env={**base, **(env or {})}, **how))

        yield open_one

"""gpuctl killed in the middle of a move on a real Nova: the next command takes it up where the cloud is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .clients import boot, settle, show
from .situations import HERE, THERE
from .truth import wrongs

if TYPE_CHECKING:
    from .lab import Lab
    from .product import Product

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(900)]

COLD = [(THERE, "finish_migration.enter"), (HERE, "confirm_migration.enter")]
SHELVE = [(HERE, "snapshot.enter"), (THERE, "spawn.enter")]
STEPS = [*COLD, *SHELVE]


@pytest.mark.parametrize("verb", ["migrate", "recover"])
@pytest.mark.parametrize(("host", "step"), STEPS, ids=[step.partition(".")[0] for _, step in STEPS])
def test_killed_at_a_step_and_taken_up(
    gpuctl: Product, cloud: Lab, tracked: bool, host: str, step: str, verb: str
) -> None:
    if tracked != ((host, step) in SHELVE):
        pytest.skip("another way is taken")
    server = boot(cloud, "gtx1080:1", HERE)
    gpuctl.kill_at(cloud.hold(host, step), "instance", "migrate", server, "--yes", "--host", THERE)
    settle(cloud, server)
    answer = gpuctl.run("instance", verb, server, "--yes", db=True, ssh=True)
    assert (answer.code, answer.result["state"]) == (0, "done"), answer.out + answer.err
    assert show(cloud, server)["OS-EXT-SRV-ATTR:host"] == THERE
    assert len(cloud.migrations(server)) == (0 if tracked else 1), "never a second move of one server"
    assert wrongs(cloud, {server: 1}, tracked=tracked) == []

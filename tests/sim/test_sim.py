"""The simulator's own manners."""

from __future__ import annotations

import pytest

from gpuctl_host.errors import ToolError
from tests.sim import Fault, SimHost, worlds
from tests.sim.udev import RuleError, parse


def test_faults(twins):
    twins.faults["update-grub"] = Fault("fail", 3, "no space left on device\n")
    assert twins.run(["/usr/sbin/update-grub"], timeout=5).returncode == 3
    twins.faults["update-grub"] = Fault("hang")
    before = twins.monotonic()
    with pytest.raises(ToolError, match="did not end"):
        twins.run(["update-grub"], timeout=300)
    assert twins.monotonic() - before >= 300
    for name in ("dracut", "rm"):
        with pytest.raises(ToolError, match="cannot run"):
            twins.run([name], timeout=5)


def test_a_reboot_has_a_new_boot_id_and_the_same_drivers(twins):
    before, drivers = twins.word("/proc/sys/kernel/random/boot_id"), twins.drivers()
    twins.reboot()
    assert twins.word("/proc/sys/kernel/random/boot_id") != before
    assert twins.drivers() == drivers


def test_what_is_not_simulated_is_an_error_and_not_silence():
    with pytest.raises(RuleError):
        parse('KERNEL=="x" ATTR{remove}="1"\n')


@pytest.mark.parametrize(
    "build", [worlds.two_gtx1080, worlds.twins, worlds.turing, worlds.arc, worlds.hgx_h100, worlds.grace]
)
def test_every_world_boots(tmp_path, build):
    host = SimHost(build(), tmp_path)
    drivers = host.drivers()
    assert drivers[next(item.address for item in host.machine.functions if item.disk)] in ("nvme", "ahci")
    assert drivers[next(item.address for item in host.machine.functions if item.net)] == "ixgbe"

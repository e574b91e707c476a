"""The guard of tests/guard.py: what it stops, and what it lets be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.guard import MachineTouched


@pytest.mark.parametrize(
    "command", [["lspci"], ["/usr/sbin/update-grub"], ["/sbin/modprobe", "vfio-pci"], ["systemctl"]]
)
def test_commands_of_the_machine_are_stopped(command):
    with pytest.raises(MachineTouched, match=os.path.basename(command[0])):
        subprocess.run(command, check=False)


def test_a_shells_line_is_stopped():
    with pytest.raises(MachineTouched):
        os.system("true")  # noqa: S605


@pytest.mark.parametrize("path", ["/sys/bus/pci/rescan", "/sys/kernel/iommu_groups/0", "/sys/devices/pci0000:00/x"])
def test_reading_its_sys_is_stopped(path):
    with pytest.raises(MachineTouched):
        os.open(path, os.O_RDONLY)


def test_listing_its_devices_is_stopped():
    with pytest.raises(MachineTouched):
        os.listdir("/sys/bus/pci/devices")


def test_writing_below_etc_is_stopped():
    with pytest.raises(MachineTouched):
        os.open("/etc/modprobe.d/gpuctl.conf", os.O_WRONLY | os.O_CREAT)


def test_a_tree_and_our_own_python_are_free(tmp_path):
    tree = tmp_path / "sys" / "bus"
    tree.mkdir(parents=True)
    (tree / "rescan").write_text("1")
    assert os.listdir(tree) == ["rescan"]
    assert (
        subprocess.run([sys.executable, "-c", "print(1)"], check=True, capture_output=True, text=True).stdout == "1\n"
    )


@pytest.mark.machine
def test_one_that_says_so_is_free():
    os.path.exists("/sys/bus")
    with pytest.raises(FileNotFoundError):
        os.listdir("/sys/bus/no-such-bus")

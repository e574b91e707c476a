"""Command lines by the kernel's rules."""

from __future__ import annotations

import pytest

from gpuctl_host.checks.arguments import blacklisted, last, of_interest, parse, truthy


def test_hyphen_and_underscore_are_equal_in_names_alone():
    (found,) = parse(("vfio-pci.ids=10de:1b80,8086-x",))
    assert (found.name, found.values) == ("vfio_pci.ids", ("10de:1b80", "8086-x"))


def test_what_follows_the_double_dash_is_inits():
    assert parse(("a=1", "--", "intel_iommu=off")) == parse(("a=1",))


def test_the_last_one_holds():
    assert last(parse(("iommu=on", "iommu=pt")), "iommu").value == "pt"
    assert last(parse(()), "iommu") is None


@pytest.mark.parametrize(
    ("value", "yes"), [(None, True), ("1", True), ("Y", True), ("on", True), ("0", False), ("off", False), ("", False)]
)
def test_bools(value, yes):
    assert truthy(value) is yes


def test_only_what_decides_is_of_interest():
    line = parse(
        ("BOOT_IMAGE=/vmlinuz", "root=/dev/sda1", "intel_iommu=on", "quiet", "vfio-pci.ids=1:2", "xen_blkfront.max=1")
    )
    assert of_interest(line) == ("intel_iommu=on", "vfio-pci.ids=1:2")


def test_blacklists():
    line = parse(("modprobe.blacklist=nouveau,nvidia-drm", "module_blacklist=snd_hda_intel"))
    assert [name for name, _ in blacklisted(line)] == ["nouveau", "nvidia_drm", "snd_hda_intel"]

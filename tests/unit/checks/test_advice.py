"""The advice is right for the boot loader, the image builder and the maker."""

from __future__ import annotations

import pytest

from gpuctl_host.checks import advice
from gpuctl_host.checks.view import View
from tests.unit.checks.factory import facts


def view(**parts):
    return View(facts(**parts))


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        ("grub", "update-grub"),
        ("bls", "grubby --update-kernel=ALL --remove-args='iommu=off'"),
        ("systemd-boot", "/etc/kernel/cmdline"),
        ("uki", "kernel-install"),
        ("ostree", "rpm-ostree kargs --delete=iommu=off"),
        ("proxmox", "proxmox-boot-tool refresh"),
        (None, "boot loader's configuration"),
    ],
)
def test_an_argument_leaves_by_the_loaders_own_way(loader, words):
    assert words in advice.drop_argument(view(boot={"loader": loader}, system={"distribution": "debian"}), "iommu=off")


def test_grub_outside_debian_has_another_command():
    host = view(boot={"loader": "grub"}, system={"distribution": "opensuse-leap", "distribution_like": ("suse",)})
    assert advice.regenerate(host) == "grub2-mkconfig -o /boot/grub2/grub.cfg"


@pytest.mark.parametrize(
    ("builder", "words"),
    [("initramfs-tools", "update-initramfs -u -k all"), ("dracut", "--regenerate-all"), ("mkinitcpio", "-P")],
)
def test_every_image_is_built_again(builder, words):
    assert words in advice.rebuild(view(boot={"initramfs": builder}))


@pytest.mark.parametrize(
    ("vendor", "words"), [("Dell Inc.", "racadm"), ("HPE", "System Options"), ("Supermicro", "IIO"), (None, "VT-d")]
)
def test_the_maker_names_the_switch(vendor, words):
    assert words in advice.knob(view(system={"vendor": vendor}), "iommu")


@pytest.mark.parametrize(("loader", "dry"), [("grub", False), ("uki", True), ("ostree", True)])
def test_prepare_only_prints_where_it_changes_nothing(loader, dry):
    assert ("--dry-run" in advice.prepare(view(boot={"loader": loader}), "0000:01:00.0")) is dry

"""Whatever a host shows, no check breaks: generated facts, the same ones every time."""

from __future__ import annotations

import random

import pytest

from gpuctl_host.checks.nagios import nagios
from gpuctl_host.checks.registry import run_checks
from gpuctl_host.checks.render import check_document
from gpuctl_host.facts.model import Bar, BootEntry, Card, Foreign, Holder, Image, ModprobeRule, Need, Record
from tests.unit.checks.factory import facts, function, gpu

WORDS = (None, "", "vfio-pci", "nouveau", "snd_hda_intel", "x\ny", "\ud7ff|`$(x)", "0", "-", "a" * 300, "é=,=:")
TOKENS = (
    "intel_iommu=on",
    "intel_iommu",
    "iommu=",
    "=on",
    "--",
    "vfio-pci.ids=",
    "vfio-pci.ids=,:,10de",
    "iommu=off,off",
    "pcie_acs_override",
    "modprobe.blacklist=,,",
    "video=a:off,b:off",
    "amd_iommu=x=y",
    '"',
    "nomodset",
    "noiommu",
)
CLASSES = (None, "", "03", "0300", "030000", "068000", "040300", "zz", "0c0330")
IDS = ("10de:1b80", "1002:67df", ":", "zz:zz", "10de:2342", "8086:56a0")


def anything(seed):
    rng = random.Random(seed)
    pick = rng.choice
    some = lambda values: tuple(pick(values) for _ in range(rng.randrange(4)))  # noqa: E731 - shorter than it would be

    def one(address):
        return function(
            address,
            pick(IDS),
            pick(CLASSES),
            driver=pick(WORDS),
            driver_override=pick(WORDS),
            iommu_group=pick((None, 0, 7)),
            boot_vga=pick((None, True, False)),
            sriov_totalvfs=pick((0, 16)),
            sriov_numvfs=pick((0, 2)),
            physfn=pick((None, "0000:01:00.0", "x")),
            reset_methods=pick((None, (), ("bus",), ("flr", "bus"))),
            bars=some((Bar(0, 0, 0, 0, "mem"), Bar(1, 0, 1 << 40, 0x20000000, "mem"), Bar(6, 4096, 4096, 0, "rom"))),
            vf_bars=some((Bar(7, 0, 4096, 0x20000000, "mem"),)),
            power_state=pick(WORDS),
            d3cold_allowed=pick((None, True, False)),
            header_type=pick((None, 0, 1, 127)),
            config_dead=pick((True, False)),
            path=pick(("", "/", "/sys/devices/x")),
        )

    cards = []
    for bus in range(rng.randrange(4)):
        main = one(f"0000:{bus:02x}:00.0")
        mates = tuple(
            (pick(("audio", "usb", "ucsi", "other")), one(f"0000:{bus:02x}:00.{n}"))
            for n in range(1, rng.randrange(1, 4))
        )
        card = gpu(main.address, mates, [one(f"0000:{bus:02x}:1f.0")], pick((None, (), (Holder("process", "x"),))))
        cards.append(
            type(card)(
                main, pick(("", "a card")), card.functions, card.group_peers, card.holders, pick((None, True, False))
            )
        )
    rules = some(
        (
            ModprobeRule(
                "/etc/modprobe.d/x",
                1,
                pick(("blacklist", "options", "softdep", "install")),
                pick(("vfio-pci", "vfio_iommu_type1", "nouveau")),
                pick(("", "ids=1:2,", "pre: vfio-pci", "/bin/false", "allow_unsafe_interrupts", "disable_idle_d3=1")),
            ),
        )
    )
    record = Record(
        some(
            (
                Card(
                    pick(("0000:00:00.0", "", "x")),
                    "10de",
                    "1b80",
                    "-",
                    "",
                    pick(("bind", "remove", "")),
                    pick(("vfio-pci", "-")),
                    "/x",
                ),
            )
        ),
        None,
        some(("/etc/x",)),
        some(("/etc/y",)),
        some(("6.1",)),
        some(("z",)),
    )
    return facts(
        *cards,
        drivers_seen=pick((True, False)),
        system={
            "cpu_virtualization": pick((None, "vmx")),
            "cpu_flags_seen": pick((True, False)),
            "hypervisor": pick((None, "kvm")),
            "arch": pick((None, "x86_64", "aarch64", "ppc64le")),
            "cpu_vendor": pick(WORDS),
            "vendor": pick(WORDS),
        },
        kernel={
            "release": pick((None, "", "6.13", "x.y", "6")),
            "cmdline": pick((None, some(TOKENS))),
            "log": pick((None, some(("DMAR: [Firmware Bug]", "x remapping")))),
            "modules": pick((None, some(("nvidia", "kvm_intel")))),
            "builtin": pick((None, ("nouveau",))),
            "parameters": pick((None, {"vfio_iommu_type1.allow_unsafe_interrupts": "Y"})),
        },
        iommu={
            "enabled": pick((None, True, False)),
            "firmware_tables": pick((None, (), ("DMAR",))),
            "interrupt_remapping": pick((None, True, False)),
            "groups": pick((None, 0, 3)),
            "reserved_direct": some(((0, "0 1"),)),
        },
        boot={
            "loader": pick((None, "grub", "bls", "uki", "ostree", "proxmox", "x")),
            "initramfs": pick((None, "dracut", "x")),
            "entries": pick(
                (None, some((BootEntry(None, None, None, None, "x"), BootEntry("6.1", some(TOKENS), None, True, "y"))))
            ),
            "configured": pick((None, some(TOKENS))),
        },
        software={
            "qemu": pick(WORDS),
            "vfio_pci": pick((None, "module", "builtin", "missing", "x")),
            "vfio_nodes": some((("/dev/vfio/1", 0o20666), ("/dev/vfio/vfio", 0o666))),
        },
        nvswitches=some((one("0000:05:00.0"),)),
        modprobe=pick((None, rules)),
        iomem=pick((None, (), ((0, 0, 0, "x"), (1, 0, 1 << 41, "BOOTFB")))),
        needs=pick((None, (), (Need("0000:00:1f.0", "disk", "/"),))),
        foreign=some((Foreign("/etc/driverctl.d/x", "driverctl", ("0000:00:00.0",)),)),
        record=pick((None, record)),
        images=pick(
            (None, (), (Image("6.1", "/boot/x", None, None, None, None), Image("6.1", "/boot/x", None, (), (), {})))
        ),
    )


@pytest.mark.parametrize("part", range(10))
def test_no_check_breaks(part):
    for seed in range(part * 200, part * 200 + 200):
        host = anything(seed)
        findings = run_checks(host)
        broken = [item for item in findings if "the check itself failed" in item.evidence]
        assert not broken, (seed, broken)
        known = {"host", *(item.address for item in host.pci or ())}
        for item in findings:
            assert item.subject in known, (seed, item)
            assert item.title and item.evidence, (seed, item)
            assert bool(item.fix) or item.status in ("pass", "skip"), (seed, item)
        document = check_document(host, findings)
        assert document["ready"] is not any(item.status == "fail" for item in findings) or not document["ready"]
        assert nagios(findings)[1] in range(4)

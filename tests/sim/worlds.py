"""Hosts to test on: the demo's two GTX 1080, an HGX H100, twins, and generated ones (hypothesis)."""

from __future__ import annotations

from .catalogue import AMDGPU, NVGRACE, NVIDIA, STOCK, bridge, card
from .parts import Function, Machine

DEBIAN = "6.1.0-56-amd64"
ROCKY = "5.14.0-427.13.1.el9_4.x86_64"
GPU, AUDIO, TWIN, TWIN_AUDIO = "0000:42:00.0", "0000:42:00.1", "0000:84:00.0", "0000:84:00.1"  # of two_gtx1080, twins


def chipset(
    *, group: int = 20, numa: int = -1, onboard_sound: bool = True, disk: str = "nvme0n1", net: str = "eno1"
) -> tuple[Function, ...]:
    """What every host here lives on: BMC console, root disk, NIC with the default route, and its own sound."""
    port = bridge("0000:00:1c.0", group=group, ids="8086:8d10")
    functions = [
        port,
        bridge("0000:03:00.0", parent=port.address, group=group + 1, ids="1a03:1150"),
        Function("0000:04:00.0", "1a03", "2000", "030000", "15d9", "0832", "30", "0000:03:00.0", group + 1, numa=numa,
                 boot_vga=True, console=True, reset_methods="", bars=((16 << 20, 0x40200), (128 << 10, 0x40200))),
        bridge("0000:00:01.0", group=group + 2, ids="8086:2f02"),
        Function("0000:01:00.0", "144d", "a804", "010802", "144d", "a801", "00", "0000:00:01.0", group + 3, numa=numa,
                 disk=disk, bars=((16 << 10, 0x140204),)),
        bridge("0000:00:02.0", group=group + 4, ids="8086:2f04"),
        Function("0000:02:00.0", "8086", "1528", "020000", "15d9", "0734", "01", "0000:00:02.0", group + 5, numa=numa,
                 net=net, bars=((2 << 20, 0x14220C),), multifunction=True),
    ]  # fmt: skip
    if onboard_sound:
        functions.append(
            Function(
                "0000:00:1b.0",
                "8086",
                "8d20",
                "040300",
                "15d9",
                "0832",
                "05",
                None,
                group + 6,
                bars=((16 << 10, 0x140204),),
            )
        )
    return tuple(functions)


def in_slot(
    model: str,
    slot: str,
    port: str,
    group: int,
    *,
    port_group: int,
    subsystem: tuple[str, str] | None = None,
    **more: object,
) -> tuple[Function, ...]:
    """A card of its own behind a root port of its own."""
    return (bridge(port, group=port_group), *card(model, slot, parent=port, group=group, subsystem=subsystem, **more))  # type: ignore[arg-type]


def two_gtx1080(**changes: object) -> Machine:
    """The demo: a 2016 dual Xeon, two identical GTX 1080; GRUB has the old recipe's argument, which does nothing.

    The IOMMU is off: the kernel of this host has no default of its own (CONFIG_INTEL_IOMMU_DEFAULT_ON is not set).
    """
    grub = b"""# If you change this file, run 'update-grub' afterwards to update
# /boot/grub/grub.cfg.
GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu_intel=on"
GRUB_CMDLINE_LINUX=""
"""
    machine = Machine(
        "gpu-node-01",
        (
            *chipset(),
            *in_slot("gtx1080", "0000:42:00", "0000:40:02.0", 41, port_group=40, numa=0, regroup=61),
            *in_slot("gtx1080", "0000:84:00", "0000:80:02.0", 44, port_group=43, numa=1),
        ),
        STOCK,
        iommu_default_on=False,
        files={"/etc/default/grub": grub},
    )
    return machine.but(**changes)


def twins(**changes: object) -> Machine:
    """Two cards of one id and one subsystem, of which one is to be given away; the IOMMU is on by the kernel's default."""
    return two_gtx1080(**{"name": "twins", "iommu_default_on": True, "files": {}, **changes})


def turing(**changes: object) -> Machine:
    """One RTX 2080 Ti: GPU, audio, USB and UCSI in one slot and group."""
    machine = Machine(
        "turing", (*chipset(), *in_slot("rtx2080ti", "0000:42:00", "0000:40:02.0", 41, port_group=40)), STOCK
    )
    return machine.but(**changes)


def arc(**changes: object) -> Machine:
    """An Intel Arc A770: its audio is on the next bus, behind the card's own switch."""
    up = "0000:01:00.0"
    parts: list[Function] = [
        item
        for item in chipset(onboard_sound=False)
        if not item.address.startswith(("0000:01:", "0000:00:01", "0000:02:", "0000:00:02", "0000:03:", "0000:04:"))
    ]
    disk = Function("0000:00:17.0", "8086", "a282", "010601", "8086", "7270", "00", None, 2, disk="sda")
    nic = Function("0000:00:1f.6", "8086", "1528", "020000", "8086", "7270", "00", None, 3, net="eno1")
    console = Function(
        "0000:00:02.0", "8086", "46a6", "030000", "8086", "7270", "0c", None, 0, boot_vga=True, console=True
    )
    root = bridge("0000:00:01.0", group=1)
    switch = (
        bridge(up, parent=root.address, group=4, ids="8086:4fa0"),
        bridge("0000:02:01.0", parent=up, group=5, ids="8086:4fa4"),
        bridge("0000:02:04.0", parent=up, group=6, ids="8086:4fa4"),
    )
    gpu = Function("0000:03:00.0", "8086", "56a0", "030000", "8086", "1020", "08", "0000:02:01.0", 7, reset_methods="flr bus",
                   bars=((16 << 20, 0x140204), (0, 0), (16 << 30, 0x14220C)))  # fmt: skip
    audio = Function("0000:04:00.0", "8086", "4f90", "040300", "8086", "1020", "00", "0000:02:04.0", 8)
    machine = Machine("arc", (*parts, disk, nic, console, root, *switch, gpu, audio), STOCK)
    return machine.but(**changes)


def hgx_h100(**changes: object) -> Machine:
    """Eight H100 behind switches, four NVSwitches in one group, the vendor's driver on all of them."""
    functions = list(chipset(onboard_sound=False))
    for number, bus in enumerate(("1b", "43", "52", "61", "9d", "c3", "d1", "df")):
        port = f"0000:{int(bus, 16) - 2:02x}:01.0"
        down = f"0000:{int(bus, 16) - 1:02x}:00.0"
        functions += [
            bridge(port, group=60 + 3 * number, ids="8086:352a"),
            bridge(down, parent=port, group=61 + 3 * number, ids="1000:c030"),
        ]
        functions += card("h100", f"0000:{bus}:00", parent=down, group=62 + 3 * number, numa=number // 4)
    functions.append(bridge("0000:05:01.0", group=113, ids="8086:352b"))
    for bus in ("07", "08", "09", "0a"):
        functions.append(bridge(f"0000:06:{int(bus, 16) - 7:02x}.0", parent="0000:05:01.0", group=114, ids="11f8:4128"))
        functions.append(
            Function(
                f"0000:{bus}:00.0",
                "10de",
                "22a3",
                "068000",
                "10de",
                "1796",
                parent=f"0000:06:{int(bus, 16) - 7:02x}.0",
                group=114,
            )
        )
    modules = (*(item for item in STOCK if item.name != "nouveau"), NVIDIA)
    machine = Machine(
        "hgx",
        tuple(functions),
        modules,
        family="rhel",
        releases=(ROCKY,),
        vendor="Supermicro",
        product="SYS-821GE-TNHR",
    )
    return machine.but(**changes)


def grace(**changes: object) -> Machine:
    """A GPU in domain 0009 for which the kernel has a variant driver."""
    functions = (
        *chipset(),
        bridge("0009:00:00.0", group=90, ids="10de:22b1"),
        *card("grace", "0009:01:00", parent="0009:00:00.0", group=91),
    )
    return Machine("grace", functions, (*STOCK, NVGRACE)).but(**changes)


def many(functions: int = 400, gpus: int = 8) -> Machine:
    """A large host for the bench: ``gpus`` GPUs among ``functions`` PCI functions."""
    host = hgx_h100()
    parts = [item for item in host.functions if item.device != "2330"]
    cards = [item for item in host.functions if item.device == "2330"][:gpus]
    parts += cards
    number = 0
    while len(parts) < functions:
        bus, rest = divmod(number, 256)
        slot, which = divmod(rest, 8)
        address = f"0001:{bus:02x}:{slot:02x}.{which}"
        parts.append(
            Function(
                address,
                "8086",
                "344f" if which else "09a2",
                "088000",
                "8086",
                "0000",
                group=200 + number // 8,
                multifunction=True,
            )
        )
        number += 1
    return host.but(name="many", functions=tuple(parts))


__all__ = ["AMDGPU", "arc", "chipset", "grace", "hgx_h100", "in_slot", "many", "turing", "twins", "two_gtx1080"]

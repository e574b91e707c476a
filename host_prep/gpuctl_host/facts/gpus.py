"""Which functions are GPUs, which other functions are part of the same card, and who shares a group with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Gpu, PciFunction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

GPU_CLASSES = frozenset(("0300", "0302", "0380", "1200"))  # VGA, 3D, other display, processing accelerator
NVIDIA, INTEL = "10de", "8086"
_NFORCE_END = 0x1000  # NVIDIA's chipsets have ids below, and so has no switch

# The console of a management controller, or of the hypervisor that this host is a guest of: never a GPU to hand on.
_CONSOLE_VENDORS = frozenset(("1a03", "1414"))  # ASPEED, Hyper-V
_CONSOLES = frozenset(
    {f"102b:{device:04x}" for device in range(0x0520, 0x0540)}  # Matrox G200e/eW/EH/eR/eW3/eH3: iLO, iDRAC, WPCM450
    | {
        "1d0f:1111",  # Amazon's bare metal
        "1002:4752",  # ATI Rage XL on server boards
        "1002:515e",  # ATI ES1000
        "1002:5969",  # ATI ES1000 (second id)
        "18ca:0020",  # XGI Z7
        "18ca:0021",  # XGI Z9
        "19a2:0800",  # ServerEngines Pilot
        "19e5:1711",  # Huawei iBMC
        "126f:0718",  # Silicon Motion SM718 and SM750: BMC and embedded boards
        "126f:0750",
        "1af4:1050",  # virtio-gpu
        "15ad:0405",  # VMware SVGA II
        "15ad:0406",
        "1b36:0100",  # QXL
        "1013:00b8",  # Cirrus GD5446, as emulated
        "80ee:beef",  # VirtualBox
    }
)
_ROLES = {"0403": "audio", "0c03": "usb", "0c80": "ucsi"}
# A driver that takes nothing else tells the role where the class is not told (a log names drivers, not classes).
_ROLE_OF_DRIVER = {"snd_hda_intel": "audio", "xhci_hcd": "usb", "nvidia-gpu": "ucsi"}
# Audio functions of Intel's cards, by id, for dumps that do not show the bridges (pci.ids: DG1, DG2, Battlemage)
_ARC_AUDIO = frozenset(("490d", "4f90", "4f91", "4f92", "4f93", "e2f7"))


def is_display(function: PciFunction) -> bool:
    """Say whether it is a display or accelerator function of anybody's."""
    return function.base_class in GPU_CLASSES


def is_console(function: PciFunction) -> bool:
    """Say whether it is a management controller's or a hypervisor's display."""
    return function.vendor_id in _CONSOLE_VENDORS or f"{function.vendor_id}:{function.device_id}" in _CONSOLES


def is_gpu(function: PciFunction, vendors: Collection[str | None]) -> bool:
    """Say whether it is a GPU of one of ``vendors`` ("any": of anyone)."""
    if not is_display(function) or is_console(function):
        return False
    return "any" in vendors or function.vendor_id in vendors


def is_nvswitch(function: PciFunction) -> bool:
    """Say whether it is an NVSwitch: NVIDIA's, class 0680 (the DGX-1's 1ac1 count).

    The Ethernet controllers of NVIDIA's old chipsets (nForce: CK804 to MCP79) have that class too; their ids end below
    1000, where those of the switches (1ac0, 1af1, 22a3, ...) have not begun.
    """
    if function.vendor_id != NVIDIA or function.base_class != "0680":
        return False
    return function.device_id is None or int(function.device_id, 16) >= _NFORCE_END


def card_functions(
    gpu: PciFunction, slot_mates: Iterable[PciFunction], others: Sequence[PciFunction]
) -> list[tuple[str, PciFunction]]:
    """Return (role, function) of the card's other functions.

    Args:
        gpu: the display function.
        slot_mates: functions of the same slot.
        others: every function of the host, for Intel's audio behind the card's own switch.
    """
    if gpu.physfn is not None:
        return []  # a virtual function is all there is of it
    found = [mate for mate in slot_mates if _same_card(gpu, mate)]
    if gpu.vendor_id == INTEL:
        found += [item for item in others if _arc_audio(gpu, item, others)]
    return [(_role(item), item) for item in found]


def _role(item: PciFunction) -> str:
    if item.class_code is None:
        return _ROLE_OF_DRIVER.get(item.driver or "", "other")
    return _ROLES.get(item.base_class, "other")


def _same_card(gpu: PciFunction, mate: PciFunction) -> bool:
    """Whether a function of the same slot is the card's: an APU's USB, PSP and so on have another vendor's id.

    AMD's chip functions beside an integrated GPU (1002) have 1022; every function of a discrete card has one vendor.
    """
    if mate.address == gpu.address or is_display(mate) or mate.is_bridge or mate.physfn is not None:
        return False
    return mate.vendor_id in (gpu.vendor_id, None)


def _arc_audio(gpu: PciFunction, item: PciFunction, others: Sequence[PciFunction]) -> bool:
    """Whether ``item`` is the audio function of an Intel card: on the next bus, behind the card's own switch."""
    if item.vendor_id != INTEL or item.base_class != "0403" or _domain_bus(item)[0] != _domain_bus(gpu)[0]:
        return False
    if _domain_bus(item)[1] <= _domain_bus(gpu)[1]:
        return False
    if gpu.parent is None or item.parent is None:  # the bridges are not shown: by id, on the very next bus
        return (
            item.device_id in _ARC_AUDIO and _domain_bus(item)[1] == _domain_bus(gpu)[1] + 1 and _domain_bus(gpu)[1] > 0
        )
    switch = _above(gpu.path, 2)
    if switch is None or switch != _above(item.path, 2) or "/" not in switch:
        return False
    upstream = next((one for one in others if one.path == switch), None)
    if upstream is None or upstream.vendor_id != INTEL or upstream.parent is None:
        return False  # a switch of the mainboard, or a root port: not the card's own
    between = [one for one in others if is_display(one) and _above(one.path, 2) == switch]
    nearest = max((one for one in between if _domain_bus(one)[1] < _domain_bus(item)[1]), key=_domain_bus, default=gpu)
    return nearest.slot == gpu.slot


def _domain_bus(function: PciFunction) -> tuple[int, int]:
    domain, bus, _ = function.address.split(":")
    return int(domain, 16), int(bus, 16)


def _above(path: str, steps: int) -> str | None:
    parts = path.rsplit("/", steps)
    return parts[0] if len(parts) == steps + 1 else None


def group_peers(
    gpu: PciFunction, functions: Iterable[tuple[str, PciFunction]], members: Iterable[PciFunction]
) -> tuple[PciFunction, ...]:
    """Return the other ``members`` of the GPU's group that are not its card's functions."""
    own = {gpu.address, *(function.address for _, function in functions)}
    return tuple(member for member in members if member.address not in own)


class Index:
    """The functions of a host by slot and by group, so that eight cards do not walk the whole list eight times."""

    def __init__(self, pci: Sequence[PciFunction]) -> None:
        self.pci = pci
        self.slots: dict[str, list[PciFunction]] = {}
        self.groups: dict[int, list[PciFunction]] = {}
        for item in pci:
            self.slots.setdefault(item.slot, []).append(item)
            if item.iommu_group is not None:
                self.groups.setdefault(item.iommu_group, []).append(item)


def compose(gpu: PciFunction, index: Index, name: str) -> Gpu:
    """Return the GPU with its functions and its group, holders not yet looked at."""
    functions = card_functions(gpu, index.slots[gpu.slot], index.pci)
    members = index.groups.get(gpu.iommu_group, []) if gpu.iommu_group is not None else []
    peers = group_peers(gpu, functions, members)
    return Gpu(pci=gpu, name=name, functions=tuple(functions), group_peers=peers, holders=None)

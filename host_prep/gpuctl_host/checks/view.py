"""The facts, indexed once for all checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuctl_host.facts.model import BootEntry, Card, Facts, Gpu, ModprobeRule, Need, PciFunction

# vfio.rst: a group is viable if each device is on a VFIO driver or on none; pci-stub and ports do no harm.
_HARMLESS = ("pci_stub", "pciback", "xen_pciback", "pcieport")
# Its name has vfio in it, yet it serves mediated devices: it never gives the card itself to a guest.
_NO_PASSTHROUGH = ("nvidia_vgpu_vfio", "vfio_mdev", "vfio_pci_core")
# Bridges by class alone: host, ISA, EISA, MicroChannel, other (PCI Code and ID Assignment Specification)
_PLAIN_HEADER = ("0600", "0601", "0602", "0603", "0680")

# Words that stand in every log line which a check quotes.
_TELLING = (
    *(
        "DMAR",
        "dmar: ",
        "AMD-Vi",
        "IVRS",
        "IORT",
        "Firmware Bug",
        "emapping",
        "disabled by",
        "(by BIOS)",
        "no hardware support for",
        "not supported by CPU",
        "giving up",
        "ACS overrides",
        "pcie_acs_override",
    ),
    *("vfio", "reserve [", "no space", "failed to assign", " is 0M @ ", "change power state", "reset"),
)
_LINES_MAX = 2000


class View:
    """What the checks ask of the facts again and again."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.pci: tuple[PciFunction, ...] = facts.pci or ()
        self.functions: dict[str, PciFunction] = {item.address: item for item in self.pci}
        self.by_bus: dict[str, list[PciFunction]] = {}
        for item in self.pci:
            self.by_bus.setdefault(item.address.rpartition(":")[0], []).append(item)
        self.selected: frozenset[str] = frozenset(member.address for gpu in facts.gpus for member in gpu.members)
        self.nvswitches: frozenset[str] = frozenset(item.address for item in facts.nvswitches)
        self.drivers_here: frozenset[str] = frozenset(  # what this host shows: loaded, or bound to something
            (*(facts.kernel.modules or ()), *(plain(item.driver) for item in self.pci if item.driver))
        )
        self.needs: dict[str, Need] = {need.address: need for need in facts.needs or ()}
        self.cards: dict[str, Card] = {card.address: card for card in (facts.record.cards if facts.record else ())}
        self._log_lines: tuple[str, ...] | None = None
        self.running = arguments.parse(facts.kernel.cmdline)
        self.next_entry: BootEntry | None = _default(facts.boot.entries)
        self.next = arguments.parse(self.next_entry.cmdline if self.next_entry else None)
        self.configured = arguments.parse(facts.boot.configured)

    @property
    def guest(self) -> str:
        """A sentence that says so if this host is itself a guest, else nothing."""
        return f"; this host is itself a guest ({self.facts.system.hypervisor})" if self.is_guest else ""

    @property
    def is_guest(self) -> bool:
        """Whether this host is itself a guest."""
        return self.facts.system.hypervisor is not None and not self.facts.system.dom0

    @property
    def foreign_arch(self) -> str | None:
        """The architecture if it is known and not x86."""
        arch = self.facts.system.arch
        return arch if arch and arch not in ("x86_64", "amd64", "i386", "i486", "i586", "i686", "x86") else None

    @property
    def log_lines(self) -> tuple[str, ...]:
        """Return the few lines of the kernel log that any check may quote, in their order; found once.

        A log has thousands of lines and is asked dozens of times: searching one text for each word is what is quick.
        """
        if self._log_lines is None:
            text = "\n".join(self.facts.kernel.log or ())
            starts: set[int] = set()
            for word in _TELLING:
                at = text.find(word)
                while at >= 0:
                    starts.add(text.rfind("\n", 0, at) + 1)
                    end = text.find("\n", at)
                    at = text.find(word, end) if end >= 0 else -1
            self._log_lines = tuple(text[start:].partition("\n")[0] for start in sorted(starts)[:_LINES_MAX])
        return self._log_lines

    def log(self, *words: str, limit: int = 2) -> tuple[str, ...]:
        """Return the first lines of the kernel log that hold every word: to illustrate, never to decide."""
        found: list[str] = []
        for line in self.log_lines:
            if all(word in line for word in words):
                found.append(line)
                if len(found) == limit:
                    break
        return tuple(found)

    def command_lines(self) -> tuple[tuple[str, tuple[arguments.Argument, ...]], ...]:
        """Return every command line that is known, with the place it was read from, each distinct one once."""
        entry = self.next_entry
        known = [
            ("/proc/cmdline", self.running if self.facts.kernel.cmdline is not None else None),
            (f"next boot, {entry.source}" if entry else "", self.next if entry and entry.cmdline is not None else None),
            ("the boot configuration", self.configured if self.facts.boot.configured is not None else None),
        ]
        return tuple((where, line) for where, line in known if line is not None)

    def module_options(self, module: str) -> Iterator[tuple[ModprobeRule, arguments.Argument]]:
        """Yield (rule, option) for each option that modprobe's configuration gives a module."""
        for rule in self.facts.modprobe or ():
            if rule.command == "options" and plain(rule.module) == module:
                for option in arguments.parse(tuple(rule.rest.split())):
                    yield rule, option

    def is_bridge(self, function: PciFunction) -> bool:
        """Say whether it is a bridge to VFIO, which goes by the header: an NVSwitch has a bridge's class, and is none.

        Where the header is not shown, a host or ISA bridge that a driver of the host has (ie31200_edac, lpc_ich) is
        none either: those have the header of any device.
        """
        if function.address in self.nvswitches:
            return False
        if function.header_type is None and function.base_class in _PLAIN_HEADER and self.host_driver(function):
            return False
        return function.is_bridge or function.driver == "pcieport"

    def host_driver(self, function: PciFunction) -> str | None:
        """Return the driver that keeps ``function`` for the host; None if VFIO, pci-stub or nobody has it."""
        driver = function.driver
        return None if driver is None or is_vfio(driver) or plain(driver) in _HARMLESS else driver


def plain(driver: str) -> str:
    """Return a driver's or module's name with underscores: `/sys` has both spellings (vfio-pci, vfio_pci)."""
    return driver.replace("-", "_")


def is_vfio(driver: str | None) -> bool:
    """Say whether it is vfio-pci or one of its variants (nvgrace-gpu-vfio-pci, mlx5_vfio_pci, ...)."""
    if driver is None:
        return False
    name = plain(driver)
    return "vfio" in name and name not in _NO_PASSTHROUGH


def sysfs(function: PciFunction | str, name: str = "") -> str:
    """Return the path below /sys that a fact was read from."""
    address = function if isinstance(function, str) else function.address
    return f"/sys/bus/pci/devices/{address}" + (f"/{name}" if name else "")


def ids(function: PciFunction) -> str:
    """Return vendor:device, with ? for what is not known."""
    return f"{function.vendor_id or '?'}:{function.device_id or '?'}"


def named(functions: Iterable[PciFunction]) -> str:
    """Return a readable list: address, ids and driver of each."""
    return ", ".join(f"{item.address} ({ids(item)}{', ' + item.driver if item.driver else ''})" for item in functions)


def label(gpu: Gpu) -> str:
    """Return the card as a person knows it: its name, or its ids."""
    return gpu.name or ids(gpu.pci)


def _default(entries: tuple[BootEntry, ...] | None) -> BootEntry | None:
    """The entry that boots next: the one flagged, or the only one there is."""
    flagged = [entry for entry in entries or () if entry.default]
    if flagged:
        return flagged[0]
    return entries[0] if entries and len(entries) == 1 else None

"""Claims on devices by somebody else's configuration: driverctl, vfio-pci ids=, rules and scripts of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.facts.model import Foreign
from gpuctl_host.facts.pci import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuctl_host.facts.model import ModprobeRule, PciFunction
    from gpuctl_host.host import Host

_DRIVERCTL = "/etc/driverctl.d"
# Where other tools leave what sets an override by itself: udev rules, early boot scripts, units, dracut modules
_FOLDERS = (
    "/etc/udev/rules.d",
    "/etc/initramfs-tools/scripts/init-top",
    "/etc/initramfs-tools/scripts/init-premount",
    "/etc/systemd/system",
    "/usr/local/bin",
    "/usr/local/sbin",
)
_ENDINGS = (".rules", ".sh", ".service", "")
_FILES_MAX = 200
_FILE_MAX = 65536
_ID_MODULES = ("vfio_pci", "pci_stub", "xen_pciback")


def read_foreign(
    host: Host,
    *,
    pci: Sequence[PciFunction] | None,
    modprobe: Iterable[ModprobeRule] | None,
    cmdline: Iterable[str] | None,
) -> tuple[Foreign, ...]:
    """Return every claim that is not ours, with the devices of this host that it is about."""
    found = [_driverctl(host, name) for name in host.names(_DRIVERCTL) if ADDRESS.fullmatch(name)]
    functions = tuple(pci or ())
    for rule in modprobe or ():
        if rule.command == "options" and rule.module in _ID_MODULES and not _ours(rule.path):
            found += [
                Foreign(path=rule.path, what=f"options {rule.module} {word}", addresses=_by_ids(word[4:], functions))
                for word in rule.rest.split()
                if word.startswith("ids=")
            ]
        elif rule.command == "install" and "driver_override" in rule.rest and not _ours(rule.path):
            found.append(Foreign(path=rule.path, what=f"install {rule.module}", addresses=_named(rule.rest)))
    for word in cmdline or ():
        name, equals, value = word.partition("=")
        module, _, option = name.replace("-", "_").partition(".")
        if equals and module in _ID_MODULES and option in ("ids", "hide"):
            addresses = _by_ids(value, functions) if option == "ids" else _named(value)
            found.append(Foreign(path="/proc/cmdline", what=word, addresses=addresses))
    for folder in _FOLDERS:
        found += _scripts(host, folder)
    return tuple(found)


def _driverctl(host: Host, address: str) -> Foreign:
    path = f"{_DRIVERCTL}/{address}"
    return Foreign(path=path, what=f"driverctl: driver_override {host.word(path) or '?'}", addresses=(address,))


def _scripts(host: Host, folder: str) -> list[Foreign]:
    """Files of a folder that set driver_override, or write new_id or remove for a PCI device."""
    found = []
    for name in host.names(folder)[:_FILES_MAX]:
        path = f"{folder}/{name}"
        if _ours(path) or ("." in name and not name.endswith(_ENDINGS[:3])) or host.link(path) is not None:
            continue
        text = host.read(path, _FILE_MAX)
        if text is None or "written by gpuctl" in text[:500].lower():
            continue
        words = [word for word in ("driver_override", "vfio-pci/new_id", "drivers/vfio-pci/bind") if word in text]
        if words:
            found.append(Foreign(path=path, what=f"sets {words[0]}", addresses=_named(text)))
    return found


def _ours(path: str) -> bool:
    return "gpuctl" in path


def _named(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ADDRESS.findall(text.lower())))


def _by_ids(value: str, functions: Iterable[PciFunction]) -> tuple[str, ...]:
    """The devices that `ids=vendor:device[:subvendor[:subdevice[:class[:mask]]]],...` takes: all twins, always."""
    wanted = [tuple(item.lower().split(":")) for item in value.strip("\"'").split(",")]
    return tuple(item.address for item in functions if any(_fits(item, fields) for fields in wanted))


def _fits(item: PciFunction, fields: tuple[str, ...]) -> bool:
    own = (item.vendor_id, item.device_id, item.subsystem_vendor, item.subsystem_device)
    pairs = list(zip(fields, own))
    return len(fields) >= 2 and all(_same(field, mine) for field, mine in pairs)


def _same(field: str, mine: str | None) -> bool:
    if field in ("", "*", "ffffffff"):  # PCI_ANY_ID
        return True
    return mine is not None and field.lstrip("0") == mine.lstrip("0")

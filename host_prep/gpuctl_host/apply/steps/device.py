"""OVERRIDE, UNBIND, BIND, REMOVE, RESCAN, MODULE: one write to the running kernel, with a deadline, then read back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable

from gpuctl_host.changes.model import BIND, MODULE, OVERRIDE, REMOVE, RESCAN, UNBIND
from gpuctl_host.errors import GpuctlError, KernelRefused, ReadBackFailed, Refused
from gpuctl_host.tools import modprobe

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Change
    from gpuctl_host.facts.model import Card
    from gpuctl_host.host import Host

PCI = "/sys/bus/pci"
WAIT = 10.0  # seconds for a driver link to appear or go; a probe of a real GPU takes up to some seconds
_POKE = 15.0  # seconds; an unbind of a device in use never returns (host-field.md 59)
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def driver_of(host: Host, address: str) -> str | None:
    """Return the driver that has the function now."""
    host.forget()
    return host.link_name(f"{PCI}/devices/{address}/driver")


def override_of(host: Host, address: str) -> str | None:
    """Return the function's override; the kernel shows none as "(null)"."""
    word = host.word(f"{PCI}/devices/{address}/driver_override")
    return None if word in (None, "(null)") else word


def module_of(host: Host, driver: str) -> str | None:
    """Return the module that holds a driver (xhci_hcd's is xhci_pci), None if it is built in."""
    return host.link_name(f"{PCI}/drivers/{driver}/module")


def is_there(host: Host, address: str) -> bool:
    """Say whether the function is on the bus."""
    host.forget()
    return host.is_dir(f"{PCI}/devices/{address}")


def bridge_above(host: Host, address: str) -> str:
    """Return the address of the bridge that leads to the function, "pci" if it is on a root bus."""
    parent = host.resolve(f"{PCI}/devices/{address}").rstrip("/").split("/")[-2:-1]
    return parent[0] if parent and _ADDRESS.fullmatch(parent[0]) else "pci"


def guard(host: Host, card: Card) -> None:
    """The function at the card's address is that card.

    Raises:
        Refused: it is another one: the addresses have moved since the plan was made.
    """
    base = f"{PCI}/devices/{card.address}"
    for name, want in (
        ("vendor", card.vendor_id),
        ("device", card.device_id),
        ("subsystem_vendor", card.subsystem_vendor),
        ("subsystem_device", card.subsystem_device),
    ):
        found = (host.word(f"{base}/{name}") or "").removeprefix("0x")
        if found and want not in ("", "-", found):
            raise Refused(
                f"{card.address} is not the card that was planned for: its {name} is {found}, not {want}",
                resolution="run gpuctl host facts: the cards' addresses may have moved",
            )


def note(host: Host, change: Change) -> dict[str, str]:
    """Return what a way back needs and what is gone after the act."""
    if change.kind == REMOVE:
        return {"parent": bridge_above(host, change.target)}
    if change.kind == UNBIND and isinstance(change.before, str):
        return {"module": module_of(host, change.before) or ""}
    return {}


def act(host: Host, change: Change) -> None:
    """The running kernel is as the change wants it, and was read back.

    Raises:
        KernelRefused: the kernel answered with an error.
        KernelStuck: the kernel did not answer.
        ReadBackFailed: the kernel took the write, but it had no effect.
        ToolError: modprobe failed.
    """
    after = change.after if isinstance(change.after, str) else None
    if change.kind == OVERRIDE:
        set_override(host, change.target, after)
    elif change.kind == UNBIND:
        unbind(host, change.target)
    elif change.kind == BIND and after is not None:
        bind(host, change.target, after)
    elif change.kind == REMOVE:
        remove(host, change.target)
    elif change.kind == RESCAN:
        rescan(host, change.target, after)
    elif change.kind == MODULE:
        load(host, change.target)
    else:
        raise GpuctlError(f"no such live change: {change.kind} {change.target}: a defect of gpuctl")


def set_override(host: Host, address: str, driver: str | None) -> None:
    """Only ``driver`` may take the function; None: every one that matches.

    A newline clears it: an empty write does nothing, and a NUL byte is refused since 5.19 (host-field.md 13).
    """
    if override_of(host, address) == driver:
        return
    host.poke(f"{PCI}/devices/{address}/driver_override", (driver or "") + "\n", timeout=_POKE)
    found = override_of(host, address)
    if found != driver:
        raise ReadBackFailed(
            f"driver_override of {address} is {found or 'empty'}, not {driver or 'empty'}",
            resolution="see who else writes it (driverctl, a udev rule), then run the same command again",
        )


def unbind(host: Host, address: str) -> None:
    """No driver has the function."""
    driver = driver_of(host, address)
    if driver is None:
        return
    try:
        host.poke(f"{PCI}/drivers/{driver}/unbind", address, timeout=_POKE)
    except KernelRefused:
        # ENODEV: somebody else took it away in the same moment; the link decides.
        if driver_of(host, address) is not None:
            raise
    _until(host, lambda: driver_of(host, address) is None, f"{driver} still has {address} after the unbind")


def bind(host: Host, address: str, driver: str) -> None:
    """``driver`` has the function: its override (or its ids) must say so already."""
    if driver_of(host, address) == driver:
        return
    if driver_of(host, address) is None:
        host.poke(f"{PCI}/drivers_probe", address, timeout=_POKE)
    _until(
        host,
        lambda: driver_of(host, address) == driver,
        f"{address} did not go to {driver}: the kernel took the probe, but the driver refused the card",
    )


def remove(host: Host, address: str) -> None:
    """The function has left the bus."""
    if is_there(host, address):
        host.poke(f"{PCI}/devices/{address}/remove", "1\n", timeout=_POKE)
    _until(host, lambda: not is_there(host, address), f"{address} is still on the bus")


def rescan(host: Host, bridge: str, expected: str | None) -> None:
    """The bus below ``bridge`` was scanned ("pci": every bus), and the function ``expected`` is there."""
    if expected is not None and is_there(host, expected):
        return
    # A bridge's own `rescan` scans the bus that it is ON, with every other card below that; a guest may have one
    # of them open. Its secondary bus has a file of its own.
    below = [f"{PCI}/devices/{bridge}/pci_bus/{name}/rescan" for name in host.names(f"{PCI}/devices/{bridge}/pci_bus")]
    places = [*below, f"{PCI}/devices/{bridge}/rescan"] if bridge != "pci" else []
    near = next((path for path in places if host.exists(path)), f"{PCI}/rescan")
    host.poke(near, "1\n", timeout=_POKE)
    if expected is not None:
        _until(host, lambda: is_there(host, expected), f"{expected} did not come back after a scan below {bridge}")


def load(host: Host, module: str) -> None:
    """The module is in the kernel."""
    loaded = f"/sys/module/{module.replace('-', '_')}"
    if host.is_dir(loaded):
        return
    modprobe.load(host, module)
    host.forget()
    if not host.is_dir(loaded):
        raise ReadBackFailed(f"modprobe said that all is well, but {module} is not loaded", resolution="see dmesg")


def _until(host: Host, held: Callable[[], bool], otherwise: str) -> None:
    from gpuctl_host.facts.udev import waiter

    deadline, pause, wait = host.monotonic() + WAIT, 0.001, None
    while not held():
        if host.monotonic() > deadline:
            raise ReadBackFailed(
                otherwise, details=f"waited {WAIT:g} s", resolution="see dmesg for what the driver says"
            )
        wait = wait or waiter(host)
        wait(pause)
        pause = min(pause * 2, 0.25)

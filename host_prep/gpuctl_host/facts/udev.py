"""Waiting for a driver to take or leave a function: by udev's events where pyudev is there, else by looking again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from gpuctl_host.facts.pci import DEVICES

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_PAUSE_FIRST, _PAUSE_LONGEST = 0.01, 0.25  # seconds


def wait_for_driver(host: Host, address: str, driver: str | None, *, seconds: float = 10.0) -> bool:
    """Say whether ``address`` has ``driver`` (None: no driver) within ``seconds``; what is so already is so at once."""
    wait = _waiter(host)
    deadline = host.monotonic() + seconds
    pause = _PAUSE_FIRST
    while host.link_name(f"{DEVICES}/{address}/driver") != driver:
        left = deadline - host.monotonic()
        if left <= 0:
            return False
        wait(min(pause, left))
        pause = min(pause * 2, _PAUSE_LONGEST)
    return True


def _waiter(host: Host) -> Callable[[float], None]:
    """A wait that ends early when the kernel reports something on the PCI bus; a plain one without pyudev.

    An event only shortens the wait: the link in sysfs decides, so that a lost event costs a quarter of a second.
    """
    monitor = _monitor(host)
    if monitor is None:
        return host.sleep

    def wait(seconds: float) -> None:
        monitor.poll(timeout=seconds)

    return wait


def _monitor(host: Host) -> Any:  # noqa: ANN401 - pyudev has no types
    """A listening monitor of the kernel's events about PCI, or None."""
    if not host.live or host.root != "/":
        return None
    pyudev = load()
    if pyudev is None:
        return None
    try:
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
        monitor.filter_by("pci")
        monitor.start()
    except (OSError, ImportError, AttributeError, ValueError):  # no libudev, no netlink (a container)
        return None
    return monitor


def load() -> Any:  # noqa: ANN401 - pyudev has no types
    """Return the pyudev module, the bundled one first; None if it, or the libudev that it needs, is not there."""
    import importlib

    for name in ("gpuctl_host._vendor.pyudev", "pyudev"):
        try:
            return importlib.import_module(name)
        except (ImportError, OSError):
            continue
    return None

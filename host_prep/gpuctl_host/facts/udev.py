"""Waiting for a driver to take or leave a function: by the kernel's events where pyudev is there, else by sleeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def waiter(host: Host) -> Callable[[float], None]:
    """Return a wait (seconds) that ends early when the kernel reports something on the PCI bus; else a plain one.

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

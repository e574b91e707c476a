"""systemctl: the reboot that a prepare was told to end with, and the watch's timer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.errors import ToolError

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_PATIENCE = 60  # seconds


def reboot(host: Host) -> None:
    """The host is going down for a reboot, by its own orderly way.

    Raises:
        ToolError: systemd did not take the order.
    """
    result = host.run(["systemctl", "--no-block", "reboot"], timeout=60)
    if result.returncode:
        raise ToolError("systemctl reboot was refused", details=result.stderr, resolution="reboot the host by hand")


def reload(host: Host) -> None:
    """Systemd has read the units anew.

    Raises:
        ToolError: it has not.
    """
    _do(host, "daemon-reload")


def start(host: Host, unit: str) -> None:
    """The unit was started.

    Raises:
        ToolError: it was not.
    """
    _do(host, "start", unit)


def stop(host: Host, unit: str) -> None:
    """The unit was stopped, if there was one.

    Raises:
        ToolError: it was not.
    """
    _do(host, "stop", unit)


def forget_failure(host: Host, unit: str) -> None:
    """No `systemctl --failed` shows the unit any more; one that systemd does not know is none."""
    host.run(["systemctl", "reset-failed", unit], timeout=_PATIENCE)


def is_active(host: Host, unit: str) -> bool:
    """Say whether the unit is active."""
    return host.run(["systemctl", "is-active", "--quiet", unit], timeout=_PATIENCE).returncode == 0


def _do(host: Host, *words: str) -> None:
    result = host.run(["systemctl", *words], timeout=_PATIENCE)
    if result.returncode:
        raise ToolError(f"systemctl {' '.join(words)} failed", details=result.stderr, resolution="see journalctl -xe")

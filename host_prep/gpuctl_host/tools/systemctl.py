"""systemctl: the reboot that a prepare was told to end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.errors import ToolError

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def reboot(host: Host) -> None:
    """The host is going down for a reboot, by its own orderly way.

    Raises:
        ToolError: systemd did not take the order.
    """
    result = host.run(["systemctl", "--no-block", "reboot"], timeout=60)
    if result.returncode:
        raise ToolError("systemctl reboot was refused", details=result.stderr, resolution="reboot the host by hand")

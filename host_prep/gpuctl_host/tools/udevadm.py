"""udevadm: rules read anew, events waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import QUICK, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv() -> tuple[str, ...]:
    """Return the command that makes udev read its rules again."""
    return ("udevadm", "control", "--reload")


def reload_rules(host: Host) -> None:
    """Udev acts by the rules that lie there now (by itself it looks every few seconds, when an event comes).

    Raises:
        ToolError: udev does not answer.
    """
    ran(
        host,
        argv(),
        timeout=QUICK,
        what="reading udev's rules again",
        resolution="see `systemctl status systemd-udevd`",
    )


def settle(host: Host, seconds: int = 30) -> bool:
    """Wait until udev has worked off its events; say whether it did in time.

    Raises:
        ToolError: there is no udevadm, or it hangs.
    """
    return host.run(("udevadm", "settle", f"--timeout={seconds}"), timeout=seconds + 10.0).returncode == 0

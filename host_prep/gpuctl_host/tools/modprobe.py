"""modprobe and modinfo: a driver loaded, a module asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.tools import QUICK, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host


def argv(module: str) -> tuple[str, ...]:
    """Return the command that loads ``module`` if it is not there yet."""
    return ("modprobe", "--", module)


def load(host: Host, module: str) -> None:
    """``module`` is loaded, or was.

    Raises:
        ToolError: this kernel has no such module, or it refused to load.
    """
    ran(
        host,
        argv(module),
        timeout=QUICK,
        what=f"loading {module}",
        resolution=f"see `dmesg`; is the kernel's modules package installed (`modinfo {module}`)?",
    )


def known(host: Host, module: str, release: str) -> bool:
    """Say whether the kernel ``release`` has ``module``, built in or not.

    Raises:
        ToolError: there is no modinfo.
    """
    return host.run(("modinfo", "-k", release, "-n", module), timeout=QUICK).returncode == 0

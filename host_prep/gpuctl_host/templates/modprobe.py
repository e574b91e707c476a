"""/etc/modprobe.d/gpuctl.conf: who may load first. Only lines that do something on this kernel are in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.errors import Refused
from gpuctl_host.templates import header

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Wish

PATH = "/etc/modprobe.d/gpuctl.conf"

_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_OPTION = re.compile(r"[A-Za-z0-9_]+=[A-Za-z0-9_,.:-]*")


def render_modprobe(wish: Wish, *, vfio_builtin: bool) -> str | None:
    """Return the file, or None if there is nothing to say.

    Args:
        wish: blacklist, softdep and vfio_options are read.
        vfio_builtin: vfio-pci is part of the kernel: then softdep and options of it do nothing (modprobe never loads
            it) and are left out; its options go on the command line instead.

    Raises:
        Refused: a name is no module's name, or an option no option.
    """
    lines: list[str] = []
    for name in sorted(set(wish.blacklist)):
        lines += [
            f"# No device that this host keeps needs {name}; loaded at boot it would take the cards first.\n",
            f"blacklist {_checked(_MODULE, name)}\n",
        ]
    for name in sorted(set(wish.softdep)) if not vfio_builtin else ():
        lines += [
            f"# The host keeps a device of {name}: it may load, but vfio-pci has the cards by then.\n",
            f"softdep {_checked(_MODULE, name)} pre: vfio-pci\n",
        ]
    if wish.vfio_options and not vfio_builtin:
        lines += [
            "# Asked for at prepare; the kernel's page on vfio-pci says what each does.\n",
            "options vfio-pci " + " ".join(_checked(_OPTION, item) for item in wish.vfio_options) + "\n",
        ]
    return header() + "".join(lines) if lines else None


def _checked(form: re.Pattern[str], text: str) -> str:
    if not form.fullmatch(text):
        raise Refused(f"not a module's name or option: {text!r}", resolution="report this: gpuctl itself made it up")
    return text

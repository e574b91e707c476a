"""GRUB's drop-in: read after every other one, so that it wins over cloud images' and installers' own files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.errors import Refused
from gpuctl_host.templates import header

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = "/etc/default/grub.d/zz-gpuctl.cfg"

_ARGUMENT = re.compile(r"[A-Za-z0-9_.,:=/+-]+")
_LINE = re.compile(r'^GRUB_CMDLINE_LINUX(?:_DEFAULT)?="(.*)"$', re.MULTILINE)
_VARIABLE = re.compile(r"\$\{[A-Z_]+\}")


def render_grub_dropin(arguments: Iterable[str], *, first: bool = False) -> str:
    """Return the drop-in that adds ``arguments`` to every entry but the recovery ones.

    Recovery entries stay as they are: they are the way out if an argument does harm (10_linux gives them
    GRUB_CMDLINE_LINUX alone).

    Args:
        arguments: kernel arguments.
        first: they must stand before everything else, because the host's own line has a `--`.

    Raises:
        Refused: an argument has a character that a shell would take for its own.
    """
    arguments = tuple(arguments)
    for argument in arguments:
        if not _ARGUMENT.fullmatch(argument):
            raise Refused(f"not a plain kernel argument: {argument!r}", resolution="add it to the boot loader by hand")
    text = " ".join(arguments)
    if first:
        why = "# Before a `--` that this host has: what stands behind it goes to init.\n"
        return f'{header()}{why}GRUB_CMDLINE_LINUX="{text} ${{GRUB_CMDLINE_LINUX}}"\n'
    why = "# Added to what the files before this one say.\n"
    return f'{header()}{why}GRUB_CMDLINE_LINUX_DEFAULT="${{GRUB_CMDLINE_LINUX_DEFAULT}} {text}"\n'


def read_grub_dropin(text: str) -> tuple[str, ...]:
    """Return the arguments of a drop-in that we wrote."""
    found: list[str] = []
    for line in _LINE.findall(text):
        found += _VARIABLE.sub(" ", line).split()
    return tuple(found)

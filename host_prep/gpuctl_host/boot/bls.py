"""The RHEL family: GRUB reads /boot/loader/entries itself (blscfg), and grubby is the way to change them.

grubby --update-kernel=ALL writes the entries, or where those say $kernelopts (EL8) the environment block, and what
later kernels inherit: /etc/default/grub, /etc/kernel/cmdline. All of them are named, so that restore can put them back.

Traits: bls_paths (the files that grubby writes), bls_tool ("grubby" or "sdbootutil"), cmdline_dropins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import blsentry, cmdline, grubcfg, grubenv, shellvars
from gpuctl_host.boot.loading import LoaderPlan, LoaderRead, lacking, placed
from gpuctl_host.boot.traits import listed
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.facts.model import BootEntry
from gpuctl_host.tools import QUICK, grubby

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

NAME = "bls"
PRINT_ONLY = False
ENTRIES = "/boot/loader/entries"
CMDLINE = "/etc/kernel/cmdline"
DEFAULTS = "/etc/default/grub"
_CONFIGS = ("/boot/grub2/grub.cfg", "/etc/grub2.cfg", "/etc/grub2-efi.cfg", "/boot/grub/grub.cfg")
_SECONDS = QUICK * 5


def present(host: Host) -> bool:
    """Say whether GRUB reads entry files here: there are some, and grub.cfg or the defaults say so."""
    if not any(name.endswith(".conf") for name in host.names(ENTRIES)):
        return False
    if any("blscfg" in (host.read(path, 1 << 20) or "") for path in _CONFIGS):
        return True
    value = shellvars.evaluate([host.read(DEFAULTS)]).get("GRUB_ENABLE_BLSCFG") if host.exists(DEFAULTS) else None
    return value == "true" or (host.which("grubby") is not None and not any(host.exists(path) for path in _CONFIGS))


def read(host: Host, installed: tuple[str, ...]) -> LoaderRead:  # noqa: ARG001 - one form for all back-ends
    """Return the entries with GRUB's variables filled in, and what a kernel installed later would get."""
    environment = grubenv.read(host)
    if "kernelopts" not in environment:
        environment["kernelopts"] = _fallback(host)
    entries = blsentry.read_all(host, ENTRIES, environment)
    saved = environment.get("saved_entry", "")
    found = tuple(
        BootEntry(
            entry.release,
            entry.options,
            next((placed(host, "/boot", path) for path in reversed(entry.initrds)), None),
            entry.stem == saved if any(item.stem == saved for item in entries) else index == 0,
            entry.path,
        )
        for index, entry in enumerate(entries)
        if not entry.rescue
    )
    written = [entry.path for entry in entries]
    written += [path for path in (grubenv.find(host), DEFAULTS, CMDLINE) if path and host.exists(path)]
    return LoaderRead(found, _configured(host), (("bls_paths", "\n".join(written)),))


def _fallback(host: Host) -> str:
    """Return the kernelopts that grub.cfg sets where the environment block has none."""
    for path in _CONFIGS:
        for line in (host.read(path, 1 << 20) or "").splitlines():
            if line.strip().startswith(("set kernelopts=", "set default_kernelopts=")):
                return " ".join(grubcfg.words(line.strip())[1:]).partition("=")[2]
    return ""


def _configured(host: Host) -> tuple[str, ...] | None:
    text = host.read(CMDLINE)
    if text is not None:
        return cmdline.split(text)
    if not host.exists(DEFAULTS):
        return None
    value = shellvars.value_of(shellvars.evaluate([host.read(DEFAULTS)]), "GRUB_CMDLINE_LINUX")
    return None if value is None else cmdline.split(value)


def paths(boot: Boot) -> tuple[str, ...]:  # noqa: ARG001 - one form for all back-ends
    """Return nothing: grubby writes, gpuctl does not."""
    return ()


def plan(facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:  # noqa: ARG001 - one form for all back-ends
    """Return grubby's call where an entry, or what later kernels inherit, lacks an argument."""
    inherited = facts.boot.configured
    later = inherited is not None and bool(cmdline.missing(inherited, arguments))
    if not arguments or not (later or lacking(facts, arguments) or not facts.boot.entries):
        return LoaderPlan()
    reason = f"every boot entry, and those of later kernels, get {' '.join(arguments)}"
    argv = grubby.argv(arguments)
    return LoaderPlan(
        (
            Change(
                GENERATED, "boot entries", None, None, reason, REBOOT, listed(facts.boot, "bls_paths"), argv, _SECONDS
            ),
        )
    )

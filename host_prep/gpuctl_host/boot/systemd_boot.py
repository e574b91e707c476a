"""systemd-boot, and openSUSE's grub2-bls: entries on the ESP that kernel-install or sdbootutil write.

What kernel-install puts into an entry is /etc/kernel/cmdline, read whole; there is no drop-in for it, so the file is
replaced, its before-image is in the journal. sdbootutil also reads /etc/kernel/cmdline.d/* (seen in the script itself,
not by its version); then a file of our own is enough. sdbootutil makes the images too. An entry that neither wrote (no
`version`) is its author's: manual.

Traits: esp, entry_tool ("kernel-install", "sdbootutil", ""), cmdline_dropins ("yes"), `kernel REL` (its image),
`entry REL` (its files, one a line).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import blsentry, cmdline
from gpuctl_host.boot.loading import LoaderPlan, LoaderRead, lacking, placed
from gpuctl_host.boot.planning import Leave, content, file_change
from gpuctl_host.boot.traits import listed, trait
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.facts.model import BootEntry
from gpuctl_host.templates import header
from gpuctl_host.tools import BUILD, kernel_install

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

NAME = "systemd-boot"
PRINT_ONLY = False
CMDLINE = "/etc/kernel/cmdline"
DROPINS = "/etc/kernel/cmdline.d"
DROPIN = f"{DROPINS}/zz-gpuctl.conf"
PLACES = ("/efi", "/boot/efi", "/boot", "/esp")
_NOT_OURS = ("BOOT_IMAGE", "initrd")  # kernel-install's 90-loaderentry drops these from /proc/cmdline too


def present(host: Host) -> bool:
    """Say whether entries lie on an ESP (or XBOOTLDR) and a loader that reads them is there."""
    return _place(host) is not None and (
        any(host.exists(f"{base}/loader/loader.conf") for base in PLACES)
        or any(name.startswith("systemd-boot") for base in PLACES for name in host.names(f"{base}/EFI/systemd"))
        or host.which("sdbootutil") is not None
    )


def _place(host: Host) -> str | None:
    for base in PLACES:
        if any(name.endswith(".conf") for name in host.names(f"{base}/loader/entries")):
            return base
    return None


def read(host: Host, installed: tuple[str, ...]) -> LoaderRead:
    """Return the entries on the ESP, what /etc/kernel/cmdline asks for, and which tool writes entries."""
    base = _place(host) or "/boot"
    entries = [entry for entry in blsentry.read_all(host, f"{base}/loader/entries", {}) if not entry.rescue]
    tool = next((name for name in ("sdbootutil", "kernel-install") if host.which(name)), "")
    found = [("esp", base), ("entry_tool", tool)]
    script = host.read(host.which("sdbootutil") or "/nonexistent", 1 << 22) if tool == "sdbootutil" else None
    dropins = script is not None and DROPINS in script
    found += [("cmdline_dropins", "yes")] if dropins else []
    shown = []
    for entry in entries:
        initrd = next((placed(host, base, path) for path in reversed(entry.initrds)), None)
        shown.append(BootEntry(entry.release, entry.options, initrd, _chosen(host, entry, entries), entry.path))
        if entry.release and entry.version:
            files = [entry.path, *(placed(host, base, path) for path in (entry.linux, *entry.initrds))]
            found.append((f"entry {entry.release}", "\n".join(files)))
    for release in installed:
        names = (f"/usr/lib/modules/{release}/vmlinuz", f"/lib/modules/{release}/vmlinuz", f"/boot/vmlinuz-{release}")
        found += [(f"kernel {release}", name) for name in names if host.exists(name)][:1]
    configured = read_configured(host)
    if dropins and configured is not None:
        texts = (host.read(f"{DROPINS}/{name}") or "" for name in host.names(DROPINS))
        configured = (*configured, *(token for text in texts for token in _tokens(text)))
    return LoaderRead(tuple(shown), configured, tuple(found))


def _chosen(host: Host, entry: blsentry.BlsEntry, entries: list[blsentry.BlsEntry]) -> bool | None:
    """Say whether an entry is the default: by loader.conf's pattern, else the newest; an EFI variable may say other."""
    import fnmatch

    for base in PLACES:
        for line in (host.read(f"{base}/loader/loader.conf", 65536) or "").splitlines():
            key, _, pattern = line.strip().partition(" ")
            if key == "default" and pattern.strip() not in ("", "@saved"):
                glob = pattern.strip()
                names = [item for item in entries if fnmatch.fnmatch(item.stem + ".conf", glob) or item.stem == glob]
                return entry is names[0] if names else None
    return entry is entries[0]


def read_configured(host: Host) -> tuple[str, ...] | None:
    """Return what kernel-install will put into the next entry, or None if that is the running command line."""
    for path in (CMDLINE, "/usr/lib/kernel/cmdline"):
        text = host.read(path)
        if text is not None:
            return _tokens(text)
    return None


def _tokens(text: str) -> tuple[str, ...]:
    return cmdline.split(" ".join(line for line in text.splitlines() if not line.startswith("#")))


def paths(boot: Boot) -> tuple[str, ...]:
    """Return the one file that the arguments go to."""
    return (DROPIN,) if trait(boot, "cmdline_dropins") == "yes" else (CMDLINE,)


def plan(facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:
    """Return the arguments' file and each entry written anew."""
    dropins = trait(facts.boot, "cmdline_dropins") == "yes"
    written = _dropin_change(facts, arguments) if dropins else cmdline_change(facts, arguments)
    changes = [written] if written is not None else []
    tool = trait(facts.boot, "entry_tool", "kernel-install")
    refresh = written is not None or lacking(facts, arguments)
    if tool == "sdbootutil":
        return LoaderPlan((*changes, _by_sdbootutil(facts, new_images=new_images)) if refresh or new_images else ())
    manual = []
    for entry in (facts.boot.entries or ()) if refresh else ():
        image = trait(facts.boot, f"kernel {entry.release}")
        if tool and image and listed(facts.boot, f"entry {entry.release}"):
            changes.append(regenerate(facts.boot, str(entry.release), image))
        elif entry.cmdline is None or cmdline.missing(entry.cmdline, arguments):
            manual.append(
                f"{entry.source} was not written by kernel-install: add `{' '.join(arguments)}` to its `options` line"
            )
    return LoaderPlan(tuple(changes), tuple(manual))


def _dropin_change(facts: Facts, arguments: tuple[str, ...]) -> Change | None:
    """Return the Change of our own file in /etc/kernel/cmdline.d."""
    wanted = cmdline.union(_tokens(content(facts, DROPIN) or ""), arguments)
    if not wanted:
        return None
    text = f"{header()}{' '.join(wanted)}\n"
    return file_change(facts, Leave(DROPIN, text, f"the next boot gets {' '.join(wanted)}", in_image=False))


def cmdline_change(facts: Facts, arguments: tuple[str, ...]) -> Change | None:
    """Return the Change of /etc/kernel/cmdline, or None if it asks for everything already."""
    present_text = content(facts, CMDLINE)
    if present_text is not None:
        tokens = cmdline.split(present_text)
    else:
        default = next((entry.cmdline for entry in facts.boot.entries or () if entry.default and entry.cmdline), None)
        tokens = facts.boot.configured or default or facts.kernel.cmdline or ()
        tokens = tuple(token for token in tokens if cmdline.parse(token).key not in _NOT_OURS)
    if not arguments or not cmdline.missing(cmdline.kernel_part(tokens), arguments):
        return None
    text = cmdline.join(cmdline.merge(tokens, arguments)) + "\n"
    reason = f"the next boot gets {' '.join(arguments)}; this file is read whole and has no drop-in"
    return file_change(facts, Leave(CMDLINE, text, reason, in_image=False), foreign=True)


def regenerate(boot: Boot, release: str, image: str) -> Change:
    """Return the Change that writes one kernel's entry anew."""
    reason = "the boot loader reads the entry, and the entry is made from /etc/kernel/cmdline"
    files = listed(boot, f"entry {release}")
    return Change(
        GENERATED,
        f"boot entry {release}",
        None,
        None,
        reason,
        REBOOT,
        files,
        kernel_install.argv(release, image),
        BUILD,
    )


def _by_sdbootutil(facts: Facts, *, new_images: bool) -> Change:
    """Return the Change that writes every entry anew, with new images where those are needed."""
    files = tuple(path for entry in facts.boot.entries or () for path in listed(facts.boot, f"entry {entry.release}"))
    if new_images:
        argv, reason = kernel_install.sdbootutil_images_argv(), "sdbootutil makes the images and the entries"
    else:
        argv, reason = kernel_install.sdbootutil_argv(), "the loader reads the entries, sdbootutil makes them"
    return Change(GENERATED, "boot entries", None, None, reason, REBOOT, files, argv, BUILD)

"""GRUB with a generated grub.cfg: Debian, Ubuntu, SUSE, Proxmox without its own tool, Arch.

Debian's and Ubuntu's grub-mkconfig reads /etc/default/grub.d/*.cfg after /etc/default/grub; upstream's does not. Which
it is stands in the script itself, and nowhere else. Without a drop-in folder the distribution's own editor is used
(SUSE: pbl, older: update-bootloader; or grubby), and without one a person is told.

Traits: grub_command, grub_config, grub_dropins ("yes"/"no"), grub_editor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.boot import cmdline, grubcfg, grubenv, shellvars
from gpuctl_host.boot.loading import LoaderPlan, LoaderRead, lacking, placed
from gpuctl_host.boot.planning import Leave, content, file_change
from gpuctl_host.boot.traits import trait
from gpuctl_host.changes.model import GENERATED, REBOOT, Change
from gpuctl_host.facts.model import BootEntry
from gpuctl_host.templates import grub as template
from gpuctl_host.tools import BUILD, grubby, update_grub

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Boot, Facts
    from gpuctl_host.host import Host

NAME = "grub"
PRINT_ONLY = False
DEFAULTS = "/etc/default/grub"
DROPINS = "/etc/default/grub.d"
CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_DEBIAN = ("update-grub", "/boot/grub/grub.cfg")


def present(host: Host) -> bool:
    """Say whether GRUB is what this host's kernels are configured with."""
    return any(host.exists(path) for path in (*CONFIGS, DEFAULTS)) or update_grub.mkconfig(host) is not None


def read(host: Host, installed: tuple[str, ...]) -> LoaderRead:  # noqa: ARG001 - one form for all back-ends
    """Return grub.cfg's entries, the effective configuration, and which tools this host has."""
    config = next((path for path in CONFIGS if host.exists(path)), "/boot/grub/grub.cfg")
    found = [("grub_config", config), ("grub_dropins", "yes" if reads_dropins(host) else "no")]
    command = "update-grub" if host.which("update-grub") else (update_grub.mkconfig(host) or "").rpartition("/")[2]
    editor = next((name for name in ("pbl", "update-bootloader", "grubby") if host.which(name)), "")
    found += [("grub_command", command), ("grub_editor", editor)]
    return LoaderRead(read_entries(host, config), read_configured(host), tuple(found))


def reads_dropins(host: Host) -> bool:
    """Say whether grub-mkconfig reads /etc/default/grub.d here; without the script, whether Debian's would."""
    command = update_grub.mkconfig(host)
    text = host.read(command, 1 << 20) if command else None
    if text is not None:
        return any("default/grub.d" in line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return host.is_dir(DROPINS) or _is_debian(host)


def _is_debian(host: Host) -> bool:
    """Say whether the distribution is Debian or made from it: theirs reads the folder since 2014."""
    lines = (host.read("/etc/os-release") or host.read("/usr/lib/os-release") or "").splitlines()
    words = {
        word
        for line in lines
        if line.startswith(("ID=", "ID_LIKE="))
        for word in line.split("=", 1)[1].strip("\"'").split()
    }
    return bool(words & {"debian", "ubuntu"})


def read_configured(host: Host) -> tuple[str, ...] | None:
    """Return the arguments that the configuration asks for, as grub-mkconfig would evaluate it; None: unknown."""
    texts: list[str | None] = [host.read(DEFAULTS)] if host.exists(DEFAULTS) else []
    if reads_dropins(host):
        texts += [host.read(f"{DROPINS}/{name}") for name in host.names(DROPINS) if name.endswith(".cfg")]
    if not texts:
        return None
    variables = shellvars.evaluate(texts)
    values = [shellvars.value_of(variables, f"GRUB_CMDLINE_LINUX{kind}") for kind in ("", "_DEFAULT")]
    return None if None in values else cmdline.split(" ".join(value or "" for value in values))


def read_entries(host: Host, config: str) -> tuple[BootEntry, ...] | None:
    """Return the entries of grub.cfg without the recovery ones (they stay as they are on purpose); None: no file."""
    text = host.read(config)
    if text is None:
        return None
    menu = grubcfg.parse(text)
    default = grubcfg.default_name(text, grubenv.read(host))
    chosen = next((entry for entry in menu if entry.is_default(default)), None)
    if chosen is None:  # "1" alone names a submenu: its first entry is meant
        chosen = next((entry for entry in menu if entry.number.startswith(default + ">")), None)
    return tuple(
        BootEntry(
            entry.release,
            entry.cmdline,
            next((placed(host, "/boot", path) for path in reversed(entry.initrds)), None),
            None if chosen is None else entry is chosen,
            config,
        )
        for entry in menu
        if not entry.recovery
    )


def paths(boot: Boot) -> tuple[str, ...]:
    """Return the drop-in's path, where drop-ins are read."""
    return (template.PATH,) if trait(boot, "grub_dropins", "yes") == "yes" else ()


def plan(facts: Facts, arguments: tuple[str, ...], *, new_images: bool) -> LoaderPlan:  # noqa: ARG001 - one form for all back-ends
    """Return the drop-in and the new grub.cfg; GRUB finds images by name, new ones need nothing of it."""
    if trait(facts.boot, "grub_dropins", "yes") != "yes":
        return _without_dropins(facts, arguments)
    present_text = content(facts, template.PATH)
    own = template.read_grub_dropin(present_text) if present_text else ()
    wanted = cmdline.union(own, arguments)
    if not wanted:
        return LoaderPlan()
    behind_init = "--" in (facts.boot.configured or ())
    text = template.render_grub_dropin(wanted, first=behind_init)
    change = file_change(facts, Leave(template.PATH, text, f"the next boot gets {' '.join(wanted)}", in_image=False))
    if change is None and not lacking(facts, wanted):
        return LoaderPlan()
    return LoaderPlan(((change,) if change else ()) + (regenerate(facts.boot),))


def regenerate(boot: Boot) -> Change:
    """Return the Change that makes grub.cfg anew: also right by itself, after a restore of what it is made from."""
    command = trait(boot, "grub_command", _DEBIAN[0]) or _DEBIAN[0]
    config = trait(boot, "grub_config", _DEBIAN[1])
    return Change(
        GENERATED,
        "grub.cfg",
        None,
        None,
        "GRUB reads grub.cfg alone, and it is made from the configuration",
        REBOOT,
        (config,),
        update_grub.argv(command, config),
        BUILD,
    )


def _without_dropins(facts: Facts, arguments: tuple[str, ...]) -> LoaderPlan:
    """Let the distribution's own editor change its own file, or say what a person has to do."""
    if not arguments or (facts.boot.entries and not lacking(facts, arguments)):
        return LoaderPlan()
    editor = trait(facts.boot, "grub_editor")
    config = trait(facts.boot, "grub_config", "/boot/grub2/grub.cfg")
    text = " ".join(arguments)
    if editor in ("pbl", "update-bootloader"):
        options = tuple(word for argument in arguments for word in ("--add-option", argument))
        argv = (editor, *options, "--config") if editor == "pbl" else (editor, *options, "--refresh")
    elif editor == "grubby":
        argv = grubby.argv(arguments)
    else:
        command = trait(facts.boot, "grub_command") or "grub-mkconfig"
        run = " ".join(update_grub.argv(command, config))
        told = (
            "this GRUB reads no drop-ins, and gpuctl edits nobody else's file: "
            f"add `{text}` to GRUB_CMDLINE_LINUX_DEFAULT in {DEFAULTS}, then run `{run}`"
        )
        return LoaderPlan(manual=(told,))
    reason = f"the next boot gets {text}; {editor} is this distribution's way to {DEFAULTS} and grub.cfg"
    change = Change(GENERATED, "kernel arguments", None, None, reason, REBOOT, (DEFAULTS, config), argv, BUILD)
    return LoaderPlan((change,))

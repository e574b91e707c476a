"""update-initramfs and dracut: an image made of what their configuration, hooks and modules bring, hooks really run.

The image is a real newc archive in gzip; kernel modules in it are named stand-ins. Hooks and dracut modules are the
shell scripts found in the tree, run by a real shell against small stand-ins of initramfs-tools' and dracut's functions.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable

from . import cpio, shell
from .grub import ToolFailed
from .parts import Machine
from .tree import Tree

STUB = b"\x7fELF stand-in of a kernel module\n"

# initramfs-tools' hook-functions, what a hook of ours can call (initramfs-tools(7))
HOOK_FUNCTIONS = """
manual_add_modules() { for name in "$@"; do echo "$name" >> "$SIM_MODULES"; done; }
force_load() { manual_add_modules "$1"; mkdir -p "$DESTDIR/conf"; echo "$*" >> "$DESTDIR/conf/modules"; }
add_module() { manual_add_modules "$1"; }
copy_file() {
    [ -f "$2" ] || return 1
    target="${3:-$2}"; target="${target#"$SIM_ROOT"}"
    case "$target" in */) target="$target${2##*/}";; esac
    mkdir -p "$DESTDIR/${target%/*}" && cp -pP "$2" "$DESTDIR/$target"
}
copy_exec() { copy_file binary "$@"; }
copy_modules_dir() { echo "dir $1" >> "$SIM_MODULES"; }
"""

# dracut's functions in module-setup.sh (dracut.modules(7)); initdir is the image, moddir the module's folder
DRACUT_FUNCTIONS = """
inst_simple() { [ -e "$1" ] || return 1; target="${2:-$1}"; target="${target#"$SIM_ROOT"}"; mkdir -p "$initdir/${target%/*}"; cp -pP "$1" "$initdir/$target"; }
inst() { inst_simple "$@"; }
inst_script() { inst_simple "$@"; }
inst_dir() { mkdir -p "$initdir/${1#"$SIM_ROOT"}"; }
inst_multiple() { while [ "$1" = -o ] || [ "$1" = -H ]; do shift; done; for each in "$@"; do case "$each" in */*) inst_simple "$each" || :;; *) mkdir -p "$initdir/usr/bin"; echo stand-in > "$initdir/usr/bin/$each";; esac; done; }
dracut_install() { inst_multiple "$@"; }
inst_hook() { mkdir -p "$initdir/usr/lib/dracut/hooks/$1"; cp -p "$3" "$initdir/usr/lib/dracut/hooks/$1/$2-${3##*/}"; chmod 755 "$initdir/usr/lib/dracut/hooks/$1/$2-${3##*/}"; }
inst_rules() { for each in "$@"; do inst_simple "$SIM_ROOT/etc/udev/rules.d/${each##*/}" "/etc/udev/rules.d/${each##*/}" || :; done; }
instmods() { while [ "${1#-}" != "$1" ]; do shift; done; for each in "$@"; do echo "$each" >> "$SIM_MODULES"; done; }
hostonly() { instmods "$@"; }
require_binaries() { return 0; }
dracut_need_initqueue() { :; }
dwarn() { echo "$*" >&2; }
dinfo() { :; }
derror() { echo "$*" >&2; }
"""
UDEV_INIT_TOP = b"""#!/bin/sh -e
# stand-in of the stock script: starts udevd and triggers every device
PREREQS=""
case "$1" in prereqs) echo "$PREREQS"; exit 0;; esac
"""


def closure(machine: Machine, names: Iterable[str]) -> set[str]:
    """The modules and all that they depend on, of those that the machine has."""
    known = {item.name: item for item in machine.modules}
    todo, found = [name.replace("-", "_") for name in names], set()
    while todo:
        name = todo.pop()
        if name in known and name not in found:
            found.add(name)
            todo.extend(known[name].deps)
    return found


def _words(text: str) -> list[str]:
    return [line.split("#")[0].split()[0] for line in text.splitlines() if line.split("#")[0].split()]


def _collect(folder: str) -> dict[str, cpio.Entry]:
    found: dict[str, cpio.Entry] = {}
    for base, folders, names in os.walk(folder):
        for name in [*names, *[each for each in folders if os.path.islink(os.path.join(base, each))]]:
            path = os.path.join(base, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                data = os.readlink(path).encode()
            else:
                with open(path, "rb") as file:
                    data = file.read()
            found[os.path.relpath(path, folder)] = (mode, data)
    return found


def _add_modules(entries: dict[str, cpio.Entry], machine: Machine, release: str, names: set[str]) -> None:
    known = {item.name: item for item in machine.modules}
    for name in names - set(machine.builtin):
        if known[name].path:
            entries[f"usr/lib/modules/{release}/{known[name].path}.ko"] = (stat.S_IFREG | 0o644, STUB)
    entries["lib"] = (stat.S_IFLNK | 0o777, b"usr/lib")
    entries[f"usr/lib/modules/{release}/modules.dep"] = (stat.S_IFREG | 0o644, b"")


def _modprobe_files(tree: Tree, entries: dict[str, cpio.Entry]) -> None:
    for folder in ("/etc/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"):
        for name in tree.names(folder):
            data = tree.read(f"{folder}/{name}")
            if data is not None and name.endswith(".conf"):
                entries[f"{folder[1:]}/{name}"] = (stat.S_IFREG | 0o644, data)


def _order(scripts: dict[str, str]) -> list[str]:
    """initramfs-tools' ORDER: by PREREQ, alphabetical otherwise (a topological sort with tsort's stability aside)."""
    before = {name: _prereqs(text) & set(scripts) for name, text in scripts.items()}
    done: list[str] = []
    while len(done) < len(scripts):
        ready = sorted(name for name in scripts if name not in done and before[name] <= set(done))
        if not ready:
            raise ToolFailed(1, "circular PREREQ")
        done.append(ready[0])
    return done


def _prereqs(text: str) -> set[str]:
    found = re.search(r"""^\s*PREREQS?=["']?([^"'\n]*)["']?""", text, re.MULTILINE)
    return set(found.group(1).split()) if found else set()


def initramfs_tools(tree: Tree, machine: Machine, release: str, stamp: int = 0) -> bytes:
    """The image that mkinitramfs makes for ``release``.

    Raises:
        ToolFailed: a hook failed.
    """
    with tempfile.TemporaryDirectory(prefix="sim-hooks-", dir=_scratch()) as scratch:
        dest, bin_, listed = (os.path.join(scratch, name) for name in ("dest", "bin", "modules"))
        for folder in (dest, bin_, os.path.join(dest, "conf")):
            os.mkdir(folder)
        with open(listed, "w") as file:
            file.write("\n".join(machine.image_modules) + "\n")
        wanted = tree.text("/etc/initramfs-tools/modules")
        with open(os.path.join(dest, "conf/modules"), "w") as file:
            file.write(
                "".join(
                    f"{' '.join(line.split())}\n"
                    for line in wanted.splitlines()
                    if line.strip() and not line.lstrip().startswith("#")
                )
            )
        functions = os.path.join(scratch, "hook-functions")
        with open(functions, "w") as file:
            file.write(HOOK_FUNCTIONS)
        for folder in ("/usr/share/initramfs-tools/hooks", "/etc/initramfs-tools/hooks"):
            for name in tree.names(folder):
                path = f"{folder}/{name}"
                if not os.stat(tree.at(path)).st_mode & 0o111:
                    continue
                script = tree.text(path).replace("/usr/share/initramfs-tools/hook-functions", functions)
                env = {
                    "DESTDIR": dest,
                    "version": release,
                    "SIM_ROOT": tree.root,
                    "SIM_MODULES": listed,
                    "verbose": "n",
                    "MODULES": "most",
                }
                done = shell.run(
                    shell.redirected(script, {}, tree.root).replace(tree.root + scratch, scratch), env=env, folder=bin_
                )
                if done.returncode:
                    raise ToolFailed(1, f"E: {path} failed with return {done.returncode}.\n{done.stderr}")
        entries = _collect(dest)
        with open(listed) as file:
            names = [line for line in file.read().split("\n") if line and not line.startswith("dir ")]
        names += _words(wanted)
        # a name that this kernel has not is a warning of mkinitramfs' own, and goes into no image
        _add_modules(entries, machine, release, closure(machine, names))
        scripts: dict[str, dict[str, str]] = {"init-top": {"udev": UDEV_INIT_TOP.decode()}}
        for folder in ("/usr/share/initramfs-tools/scripts", "/etc/initramfs-tools/scripts"):
            for stage in tree.names(folder):
                for name in tree.names(f"{folder}/{stage}"):
                    if os.stat(tree.at(f"{folder}/{stage}/{name}")).st_mode & 0o111:
                        scripts.setdefault(stage, {})[name] = tree.text(f"{folder}/{stage}/{name}")
        for stage, members in scripts.items():
            order = ""
            for name in _order(members):
                entries[f"scripts/{stage}/{name}"] = (stat.S_IFREG | 0o755, members[name].encode())
                order += f'/scripts/{stage}/{name} "$@"\n[ -e /conf/param.conf ] && . /conf/param.conf\n'
            entries[f"scripts/{stage}/ORDER"] = (stat.S_IFREG | 0o644, order.encode())
        entries["scripts/functions"] = (stat.S_IFREG | 0o644, b"")
        entries["init"] = (stat.S_IFREG | 0o755, b"#!/bin/sh\n# stand-in of initramfs-tools' init\n")
        _modprobe_files(tree, entries)
        _udev_hook(tree, entries)
        return cpio.pack(entries, stamp)


def _udev_hook(tree: Tree, entries: dict[str, cpio.Entry]) -> None:
    """The stock udev hook brings every rule of /etc that has no namesake in /usr/lib, unasked (FINDINGS iv)."""
    for name in tree.names("/etc/udev/rules.d"):
        data = tree.read(f"/etc/udev/rules.d/{name}")
        if data is not None and name.endswith(".rules") and not tree.exists(f"/usr/lib/udev/rules.d/{name}"):
            entries[f"usr/lib/udev/rules.d/{name}"] = (stat.S_IFREG | 0o644, data)


def dracut(tree: Tree, machine: Machine, release: str, stamp: int = 0) -> bytes:
    """The image that dracut makes for ``release``: dracut.conf.d and the modules of modules.d that have a check() that passes.

    Raises:
        ToolFailed: a configuration or a module's install() failed.
    """
    with tempfile.TemporaryDirectory(prefix="sim-dracut-", dir=_scratch()) as scratch:
        dest, bin_, listed = (os.path.join(scratch, name) for name in ("dest", "bin", "modules"))
        for folder in (dest, bin_):
            os.mkdir(folder)
        settings = _dracut_settings(tree, bin_)
        drivers = [
            *machine.image_modules,
            *settings["add_drivers"].split(),
            *settings["drivers"].split(),
            *settings["force_drivers"].split(),
        ]
        with open(listed, "w") as file:
            file.write("\n".join(drivers) + "\n")
        functions = os.path.join(scratch, "functions")
        with open(functions, "w") as file:
            file.write(DRACUT_FUNCTIONS)
        wanted, left = settings["add_dracutmodules"].split(), settings["omit_dracutmodules"].split()
        for name in tree.names("/usr/lib/dracut/modules.d"):
            moddir = f"/usr/lib/dracut/modules.d/{name}"
            short = re.sub(r"^\d+", "", name)
            setup = tree.text(f"{moddir}/module-setup.sh")
            if not setup or short in left:
                continue
            call = f". {functions}\n{shell.redirected(setup, {}, tree.root)}\n"
            call += f"if type check >/dev/null; then check; [ $? = 0 ] || [ $? = 255 -a {int(short in wanted)} = 1 ] || [ {int(short in wanted)} = 1 ] || exit 77; fi\n"
            call += "if type installkernel >/dev/null; then installkernel || exit 1; fi\nif type install | grep -q function; then install || exit 1; fi\n"
            env = {
                "initdir": dest,
                "moddir": tree.at(moddir),
                "kernel": release,
                "SIM_ROOT": tree.root,
                "SIM_MODULES": listed,
                "dracutsysrootdir": tree.root,
                "dracutbasedir": tree.at("/usr/lib/dracut"),
                "systemdsystemunitdir": "/usr/lib/systemd/system",
                "udevdir": "/usr/lib/udev",
            }
            done = shell.run(call, env=env, folder=bin_, interpreter="/bin/bash")
            if done.returncode not in (0, 77):
                raise ToolFailed(1, f"dracut module {name} failed: {done.stderr}")
        entries = _collect(dest)
        for item in settings["install_items"].split():
            data = tree.read(item)
            if data is not None:
                entries[item.lstrip("/")] = (stat.S_IFREG | stat.S_IMODE(os.stat(tree.at(item)).st_mode), data)
        with open(listed) as file:
            _add_modules(
                entries,
                machine,
                release,
                closure(machine, file.read().split())
                - {name.replace("-", "_") for name in settings["omit_drivers"].split()},
            )
        if settings["force_drivers"].split():
            early = "".join(f"rd.driver.pre={name}\n" for name in settings["force_drivers"].split())
            entries["etc/cmdline.d/20-force_drivers.conf"] = (stat.S_IFREG | 0o644, early.encode())
        entries["init"] = (stat.S_IFREG | 0o755, b"#!/bin/sh\n# stand-in of dracut's init\n")
        _modprobe_files(tree, entries)
        return cpio.pack(entries, stamp)


def _dracut_settings(tree: Tree, folder: str) -> dict[str, str]:
    """dracut.conf and dracut.conf.d/*.conf are sourced, /etc' ones win over /usr/lib's of the same name."""
    keys = (
        "add_drivers",
        "drivers",
        "force_drivers",
        "omit_drivers",
        "install_items",
        "add_dracutmodules",
        "omit_dracutmodules",
    )
    files: dict[str, str] = {}
    for base in ("/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d"):
        files.update({name: f"{base}/{name}" for name in tree.names(base) if name.endswith(".conf")})
    script = "".join(
        f". {tree.at(path)}\n"
        for path in ["/etc/dracut.conf", *(files[name] for name in sorted(files))]
        if tree.exists(path)
    )
    script += "printf '%s\\0' " + " ".join(f'"${key}"' for key in keys) + "\n"
    done = shell.run(script, env={}, folder=folder, interpreter="/bin/bash")
    parts = done.stdout.split("\0")
    if done.returncode or len(parts) != len(keys) + 1:
        raise ToolFailed(1, done.stderr)
    return dict(zip(keys, parts))


def _scratch() -> str:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()

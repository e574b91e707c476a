"""A compute host in a folder: Nova's instances, libvirt's files with a virsh that reacts, processes, cards. All of its state is files."""

from __future__ import annotations

import json
import os
import re
import struct
import uuid
from datetime import datetime, timedelta, timezone

from gpuctl_host.apply.folder_disk import FolderDisk
from gpuctl_host.command import Result
from gpuctl_host.entry import serve
from gpuctl_host.errors import ToolError
from gpuctl_host.host import Host
from gpuctl_host.leftovers.folder import INSTANCES
from gpuctl_host.verbs import leftovers

ONE, TWO, THREE = (str(uuid.UUID(int=0x5EED0000 + n << 64 | 0x4000 << 64 | 0x8000_0000_0000_0000)) for n in (1, 2, 3))
CARD = "0000:84:00.0"
RESIZE = f"{INSTANCES}/{ONE}_resize"
QUARANTINE = ".gpuctl-quarantine"
MOUNTINFO = "22 1 8:1 / / rw,relatime shared:1 - {type} /dev/sda1 rw\n"


class ComputeHost(Host):
    """Live below a folder. virsh reads and writes the tree's own /etc/libvirt/qemu; time stands still unless moved."""

    def __init__(self, root, *, live=True, tick=lambda: None):
        super().__init__(str(root), live=live)
        self.tick = tick
        self.later = 0.0
        self.calls = []
        self.refuse = None  # a virsh command that fails

    def now(self):
        return datetime(2026, 11, 21, 12, tzinfo=timezone.utc) + timedelta(seconds=self.later)

    def sleep(self, seconds):
        self.later += seconds

    def run(self, argv, *, timeout, stdin="", env=None):
        self.tick()
        self.calls.append(list(argv))
        words = [word for word in argv[1:] if not word.startswith("-") and word != "qemu:///system"]
        if argv[0] != "virsh":
            raise ToolError(f"cannot run {argv[0]}: No such file or directory")
        if self.refuse == words[0]:
            return Result(tuple(argv), 1, "", "error: it does not work\n")
        code, out = self._virsh(words[0], words[1:], list(argv), stdin)
        self.tick()
        return Result(tuple(argv), code, out, "" if code == 0 else f"error: {out}\n")

    def _virsh(self, verb, words, argv, stdin):
        config, status = f"{self.root}/etc/libvirt/qemu", f"{self.root}/run/libvirt/qemu"
        defined = {_uuid_of(read(f"{config}/{name}")): f"{config}/{name}" for name in _xmls(config)}
        running = {_uuid_of(read(f"{status}/{name}")): f"{status}/{name}" for name in _xmls(status)}
        if verb == "list":
            return 0, "\n".join([*defined, *([] if "--persistent" in argv else set(running) - set(defined))]) + "\n"
        if verb == "define":
            assert words == ["/dev/stdin"]
            with open(f"{config}/{re.search('<name>([^<]+)', stdin)[1]}.xml", "w") as file:
                file.write(stdin)
            return 0, ""
        if words[0] not in {**defined, **running}:
            return 1, f"failed to get domain '{words[0]}'"
        if verb == "domstate":
            return 0, (
                re.search(r"state='(\w+)'", read(running[words[0]]))[1] if words[0] in running else "shut off"
            ) + "\n"
        if verb == "dumpxml":
            return 0, read({**running, **defined}[words[0]])
        assert verb == "undefine"
        text = read(defined[words[0]])
        if "<nvram" in text and "--keep-nvram" not in argv:
            return 1, "cannot undefine domain with nvram"
        os.unlink(defined[words[0]])
        return 0, ""


def _xmls(folder):
    return [name for name in sorted(os.listdir(folder)) if name.endswith(".xml")] if os.path.isdir(folder) else []


def _uuid_of(text):
    return re.search("<uuid>([^<]+)", text)[1]


def read(path):
    with open(path) as file:
        return file.read()


def write(root, path, content, mode=0o644):
    real = f"{root}{path}"
    os.makedirs(os.path.dirname(real), exist_ok=True)
    with open(real, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(real, mode)


def make_root(root, *, filesystem="ext4"):
    """A host called gpu-a with one leftover of ONE, a running server TWO, and one image in the cache."""
    root = str(root)
    write(root, "/proc/sys/kernel/hostname", "gpu-a\n")
    write(root, "/proc/self/mountinfo", MOUNTINFO.format(type=filesystem))
    write(root, "/usr/bin/virsh", "#!/bin/false\n", 0o755)
    for folder in (
        "/etc/libvirt/qemu",
        "/run/libvirt/qemu",
        "/sys/bus/pci/drivers/vfio-pci",
        "/sys/block",
        "/proc/1/fd",
    ):
        os.makedirs(root + folder)
    write(root, "/proc/1/comm", "systemd\n")
    write(root, f"{INSTANCES}/_base/0a1b2c", "an image\n")
    write(root, f"{INSTANCES}/compute_nodes", "{}")
    os.makedirs(f"{root}{INSTANCES}/locks")
    instance(root, ONE + "_resize")
    instance(root, TWO)
    return root


def instance(root, name, files=("disk", "disk.info", "console.log")):
    for file in files:
        write(root, f"{INSTANCES}/{name}/{file}", f"{file} of {name}\n")
    return f"{root}{INSTANCES}/{name}"


def domain(
    root,
    server,
    *,
    name="instance-00000001",
    running=False,
    folder=None,
    card=CARD,
    nova=True,
    extra="",
    state="running",
):
    """A domain as libvirt keeps it: always defined, and with a status file where it runs."""
    meta = (
        '<metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><nova:name>guest &amp; one</nova:name>'
        '<nova:flavor name="gpu.gtx1080"><nova:memory>512</nova:memory></nova:flavor></nova:instance></metadata>'
        if nova
        else ""
    )
    bus = int(card[5:7], 16)
    text = (
        f"<domain type='kvm'><name>{name}</name><uuid>{server}</uuid>{meta}<os>{extra}</os><devices>"
        f"<disk type='file'><source file='/var/lib/nova/instances/{folder or server}/disk'/></disk>"
        "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
        f"<address domain='0x0000' bus='{bus:#04x}' slot='0x00' function='0x0'/></source>"
        "<address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/></hostdev></devices></domain>\n"
    )
    write(root, f"/etc/libvirt/qemu/{name}.xml", f"<!-- made by libvirt -->\n{text}")
    if running:
        write(
            root,
            f"/run/libvirt/qemu/{name}.xml",
            f"<domstatus state='{state}' reason='booted' pid='77'>{text}</domstatus>",
        )
    return text


def process(root, pid, comm="qemu-kvm", fd=(), cwd="/", maps="", mountinfo=None):
    write(root, f"/proc/{pid}/comm", comm + "\n")
    os.makedirs(f"{root}/proc/{pid}/fd")
    os.symlink(cwd, f"{root}/proc/{pid}/cwd")
    os.symlink("/", f"{root}/proc/{pid}/root")
    for number, target in enumerate(fd):
        os.symlink(target, f"{root}/proc/{pid}/fd/{number}")
    write(root, f"/proc/{pid}/maps", maps)
    if mountinfo is not None:
        write(root, f"/proc/{pid}/mountinfo", mountinfo)


def qcow2(backing=None, *, data_file=None, at=512):
    """The first cluster of a version 3 image."""
    name = (backing or "").encode()
    head = struct.pack(">4sIQI", b"QFI\xfb", 3, at if backing else 0, len(name)).ljust(100, b"\0") + struct.pack(
        ">I", 104
    )
    if data_file:
        raw = data_file.encode()
        head += struct.pack(">II", 0x44415441, len(raw)) + raw.ljust((len(raw) + 7) // 8 * 8, b"\0")
    return head.ljust(at, b"\0") + name.ljust(512, b"\0")


def proof(*servers, host="gpu-b", status="ACTIVE", migrations=()):
    return {one: {"server_host": host, "status": status, "open_migrations": list(migrations)} for one in servers}


def ask(host, disk=None, **request):
    """Return the document and the exit code of a leftovers request, or the error event and its code."""
    request = {"command": "leftovers", **request}
    if disk is not None:
        return leftovers.answer("leftovers", host, request, lambda event: None, disk=disk)
    events = []
    code = serve(request, events.append, host=host)
    json.dumps(events)
    last = events[-1]
    return (last["document"] if last["event"] == "result" else last), code


def plan(host, **request):
    """Return the plan; by default of ONE, proven good on gpu-b."""
    request = {"uuids": [ONE], "proof": proof(ONE), **request}
    document, code = ask(host, phase="plan", **request)
    assert code == 0, document
    return document


def quarantine(host, disk=None, **request):
    """Plan, agree, and move."""
    request = {"uuids": [ONE], "proof": proof(ONE), **request}
    agreed = plan(host, **request)["fingerprint"]
    return ask(host, disk, phase="quarantine", fingerprint=agreed, **request)


def rules(document, kind="resize"):
    """Every rule that has a word against a leftover of that kind."""
    return [reason["rule"] for item in document["leftovers"] if item["kind"] == kind for reason in item["reasons"]]


def tree(root, without=("proc", "run/gpuctl", "var/log", "var/lib/gpuctl")):
    """Everything below a folder: kind, mode, owner, content; what no test of ours may change by mistake."""
    found = {}
    skip = {os.path.join(root, name) for name in without}
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if os.path.join(folder, name) not in skip)
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            content = None
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
            found[path[len(str(root)) :]] = (state.st_mode, state.st_uid, content)
    return found


def shelf(root):
    """What is in quarantine, by run."""
    top = f"{root}{INSTANCES}/{QUARANTINE}"
    return {run: sorted(os.listdir(f"{top}/{run}")) for run in sorted(os.listdir(top))} if os.path.isdir(top) else {}


class CountingFolderDisk(FolderDisk):
    """Every system call that changes something goes through act(); a subclass decides what happens there."""

    def __init__(self):
        self.count = 0

    def tick(self):
        self.act("host")

    def act(self, name):
        self.count += 1


def _counted(name):
    original = getattr(FolderDisk, name)

    def call(self, *arguments):
        self.act(name)
        return original(self, *arguments)

    return call


for _name in (
    *("create", "append", "write", "truncate", "fsync", "fsync_folder", "rename", "unlink", "mkdir", "rmdir"),
    *("create_at", "rename_at", "unlink_at", "mkdir_at", "rmdir_at", "sync_at"),
):
    setattr(CountingFolderDisk, _name, _counted(_name))

"""The lab's compute hosts as machines that gpuctl can look at: the host's half, run on each one's own folders.

A lab's host has no sshd and no virsh; `--ssh` is answered here instead. The host's half is the product's own, unchanged:
it reads the instances folder, and asks a virsh that shows what the fake libvirt keeps in its files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.moves.books.host_link import read_view
from gpuctl_host.command import Result
from gpuctl_host.entry import serve
from gpuctl_host.errors import ToolError
from gpuctl_host.host import Host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpuctl.moves.model import HostView

    from .lab import Lab

INSTANCES = "/instances"
_MOUNTINFO = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


class Machine(Host):
    """One host of the lab, below its own folder; live, but for what no test may touch: this machine's own."""

    def __init__(self, lab: Lab, name: str) -> None:
        folder = lab.layout.host(lab.topology.host(name).name)
        super().__init__(str(folder), live=True)
        self._libvirt = folder / "libvirt"
        self.gpus = [
            {"address": one["address"], "vendor_id": one["id"][:4], "device_id": one["id"][5:]}
            for one in lab.topology.host(name).raw["devices"]
            if one["id"] in {"10de:1b80", "10de:20b0"}
        ]
        for path, text in {
            "proc/sys/kernel/hostname": f"{name}\n",
            "proc/self/mountinfo": _MOUNTINFO,
            "proc/1/comm": "systemd\n",
            "usr/bin/virsh": "#!/bin/false\n",
            **{f"sys/bus/pci/drivers/vfio-pci/{one['address']}": "" for one in self.gpus},
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        (folder / "usr/bin/virsh").chmod(0o755)
        for path in ("proc/1/fd", "sys/block"):
            (folder / path).mkdir(parents=True, exist_ok=True)

    def run(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Result:
        """A virsh that knows the fake libvirt's domains. What it undefines is gone from the files alone."""
        del timeout, env
        if argv[0] != "virsh":
            raise ToolError(f"cannot run {argv[0]}: No such file or directory")
        words = [one for one in argv[1:] if not one.startswith("-") and one != "qemu:///system"]
        code, out = self._virsh(words[0], words[1:], stdin)
        return Result(tuple(argv), code, out, "" if code == 0 else f"error: {out}\n")

    def _virsh(self, verb: str, words: list[str], stdin: str) -> tuple[int, str]:
        found: dict[str, Path] = {}
        for path in sorted(self._libvirt.glob("*.xml")):
            name = re.search("<uuid>([^<]+)", path.read_text(encoding="utf-8"))
            found[name[1] if name else path.stem] = path
        if verb == "list":
            return 0, "".join(f"{one}\n" for one in found)
        if verb == "define":
            name = re.search("<name>([^<]+)", stdin)
            path = self._libvirt / f"{name[1] if name else 'unnamed'}.xml"
            path.with_suffix(".state").write_text("shut off", encoding="utf-8")
            path.write_text(stdin, encoding="utf-8")
            return 0, ""
        if words[0] not in found:
            return 1, f"failed to get domain '{words[0]}'"
        path = found[words[0]]
        if verb == "domstate":
            return 0, path.with_suffix(".state").read_text(encoding="utf-8") + "\n"
        if verb == "dumpxml":
            return 0, path.read_text(encoding="utf-8")
        if verb != "undefine":
            return 1, f"unknown command {verb}"
        path.unlink()
        path.with_suffix(".state").unlink(missing_ok=True)
        return 0, ""


class LabLook:
    """The way to the lab's hosts, in place of SSH (gpuctl.moves.books.HostLook).

    Args:
        lab: the lab.
        away: hosts that cannot be reached.
    """

    def __init__(self, lab: Lab, *, away: Sequence[str] = ()) -> None:
        self._lab, self._away = lab, frozenset(away)

    def look(self, host: str) -> HostView:
        """What the host shows."""
        machine = self._machine(host)
        return read_view(host, self._ask(machine, {"command": "instances"}), {"gpus": machine.gpus})

    def leftovers(self, host: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the host's half answers."""
        return self._ask(self._machine(host), {**request, "command": "leftovers"})

    def _machine(self, host: str) -> Machine:
        if host in self._away or host not in self._lab.hosts():
            raise OperatorError(f"no way to {host}")
        return Machine(self._lab, host)

    @staticmethod
    def _ask(machine: Machine, request: Mapping[str, Any]) -> dict[str, Any]:
        events: list[dict[str, Any]] = []
        serve({**request, "instances_path": INSTANCES}, events.append, host=machine)
        last = events[-1]
        if last["event"] == "error":
            raise OperatorError(last["brief"], details=last["details"], resolution=last["resolution"])
        document: dict[str, Any] = last["document"]
        return document

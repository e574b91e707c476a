"""One compute host: a machine with two cards, a way to the control plane, and Nova's own nova-compute on a real libvirt."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.host.connection import LabError, Result
from tests.lab.host.machine import Machine
from tests.lab.openstack import Lab, broker, config, ini

from .disk import WIRE, compute_disk, nova_disk

CARDS = "gtx1080x2"
# TCG on two cores: Nova's own patience is for computers ten times as quick
RPC_S = "600"
LOG = "/var/log/nova/nova-compute.log"


@dataclass(frozen=True, slots=True)
class Name:
    """What a host is called, and its place on the wire between the two."""

    host: str
    mac: str

    @property
    def ip(self) -> str:
        """Its address on the wire: Nova's my_ip."""
        return WIRE[self.mac]


NAMES = tuple(Name(host, mac) for host, mac in zip(("gpu-a", "gpu-b"), WIRE, strict=True))


class Compute:
    """A machine of tests/lab/host as one of Nova's computes.

    Args:
        name: which one.
        lab: the control plane, on this computer's loopback.
        folder: where its disk and its files lie; kept until the lab goes down.
    """

    def __init__(self, name: Name, lab: Lab, folder: Path) -> None:
        self.name = name
        self._lab = lab
        self.folder = folder
        self.machine = Machine(CARDS)  # not started; `start` and `attach` put the real one here

    # -- life

    def start(self, beside: Compute | None) -> None:
        """The machine boots; `wait` for it."""
        self.machine = self._machine(beside)
        (self.folder / f"wire-{self.name.host}.sock").unlink(missing_ok=True)
        self.machine.start()

    def attach(self) -> bool:
        """Whether the machine that an earlier process started runs still; it is this one's then."""
        found = Machine.attach(self._up_file)
        if found is None or not found.running():
            return False
        self.machine = found
        return True

    def stop(self) -> None:
        """The machine is off, as when the plug is pulled, and the tunnel is gone."""
        self._end_tunnel()
        found = Machine.attach(self._up_file)
        if found is not None:
            (self.machine if self.machine.running() else found).stop()
        (self.folder / f"{self.name.host}.qcow2").unlink(missing_ok=True)

    def wait(self) -> None:
        """The guest answers, is called by its name, sees the other one's wire, and reaches the control plane."""
        self.machine.wait_ssh()
        host = self.name.host
        peers = "".join(f"{name.ip} {name.host}\n" for name in NAMES)
        self.ssh(
            f"hostnamectl set-hostname {host}; grep -q {NAMES[0].ip} /etc/hosts || printf %s {shlex.quote(peers)} >>/etc/hosts"
        )
        self.tunnel()

    def reboot(self) -> None:
        """The guest went down and came up through its own GRUB, and reaches the control plane again."""
        self._end_tunnel()
        self.machine.reboot()
        self.tunnel()

    # -- inside

    def ssh(self, command: str, *, check: bool = True, timeout: float = 900) -> Result:
        """The command has run in the guest as root."""
        return self.machine.ssh(command, check=check, timeout=timeout)

    def tunnel(self) -> None:
        """The control plane's ports are open on the guest's loopback, so its catalogue's addresses hold there too."""
        self._end_tunnel()
        ports = self._lab.layout.ports()
        wanted = [ports.keystone, ports.placement, ports.glance, ports.nova, ports.network, ports.amqp]
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        options += [
            "ExitOnForwardFailure=yes",
            "ServerAliveInterval=60",
            "ServerAliveCountMax=20",
            "ConnectTimeout=300",
        ]
        argv = ["ssh", "-F", "/dev/null", "-N", "-i", str(self.machine.key), "-o", "IdentitiesOnly=yes"]
        argv += [word for option in options for word in ("-o", option)]
        argv += [word for port in wanted for word in ("-R", f"127.0.0.1:{port}:127.0.0.1:{port}")]
        with (self.folder / f"{self.name.host}-tunnel.log").open("w") as log:
            child = subprocess.Popen(
                [*argv, "-p", str(self.machine.port), "root@127.0.0.1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._tunnel_file.write_text(str(child.pid))
        until = time.monotonic() + 600
        while self.ssh(f"ss -ltn | grep -q 127.0.0.1:{wanted[-1]}", check=False).code:
            if child.poll() is not None or time.monotonic() > until:
                raise LabError(f"no tunnel: {(self.folder / f'{self.name.host}-tunnel.log').read_text()}")
            time.sleep(1)

    def write(self, path: str, text: str) -> None:
        """The guest has the file."""
        with tempfile.NamedTemporaryFile("w", delete=False) as local:
            local.write(text)
        Path(local.name).chmod(0o644)
        self.ssh(f"mkdir -p {shlex.quote(str(Path(path).parent))}")
        self.machine.put(Path(local.name), path)
        Path(local.name).unlink()

    def configure(self) -> None:
        """/etc/nova/nova.conf is there, without a word about cards: those come from gpuctl."""
        self.write("/etc/nova/nova.conf", ini.render(self._nova_conf()))
        self.ssh("mkdir -p /etc/nova/nova.conf.d")

    def start_nova(self) -> None:
        """nova-compute is started; the control plane sees it after a while."""
        self.ssh("systemctl restart nova-compute")

    def nova_log(self, lines: int = 40) -> str:
        """The end of nova-compute's log."""
        return self.ssh(f"tail -n {lines} {LOG}", check=False).out

    # -- what the host itself shows

    def domains(self) -> dict[str, str]:
        """Of libvirt: the names of all domains -> their state."""
        rows = self.ssh("virsh -q list --all").out.splitlines()
        return {words[1]: " ".join(words[2:]) for words in (row.split() for row in rows) if len(words) > 2}

    def hostdevs(self, domain: str) -> list[str]:
        """The PCI addresses of a domain's host devices, as its XML has them."""
        from xml.etree import ElementTree as ET

        tree = ET.fromstring(self.ssh(f"virsh dumpxml {shlex.quote(domain)}").out)  # noqa: S314 - our own guest's libvirt
        found = tree.findall("devices/hostdev[@type='pci']/source/address")
        return [
            "{:04x}:{:02x}:{:02x}.{:x}".format(
                *(int(one.get(key, "0"), 16) for key in ("domain", "bus", "slot", "function"))
            )
            for one in found
        ]

    def card(self, address: str) -> dict[str, str]:
        """Of sysfs and /proc: the card's driver and group, and which process has the group open.

        The command line of the holder is cut at its first 60 characters.
        """
        look = (
            f"d=/sys/bus/pci/devices/{address}; g=$(basename $(readlink $d/iommu_group)); "
            'echo driver $(basename "$(readlink $d/driver)"); echo group $g; '
            'for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -q "/dev/vfio/$g$" && '
            "echo holder ${p#/proc/} $(tr '\\0' ' ' <$p/cmdline | cut -c1-120); done; true"
        )
        return {key: rest for key, _, rest in (line.partition(" ") for line in self.ssh(look).out.splitlines())}

    def folders(self) -> list[str]:
        """What lies in the instances folder."""
        return self.ssh("ls -A /var/lib/nova/instances").out.split()

    # -- parts

    @property
    def _up_file(self) -> str:
        return f"up-chain-{self.name.host}.json"

    @property
    def _tunnel_file(self) -> Path:
        return self.folder / f"{self.name.host}-tunnel.pid"

    def _end_tunnel(self) -> None:
        if not self._tunnel_file.exists():
            return
        pid = int(self._tunnel_file.read_text())
        self._tunnel_file.unlink()
        try:
            if b"127.0.0.1:" in Path(f"/proc/{pid}/cmdline").read_bytes():  # ours, not another one with its number
                os.kill(pid, signal.SIGTERM)
        except OSError:
            return

    def _machine(self, beside: Compute | None) -> Machine:
        other = next(name for name in NAMES if name != self.name)
        wires = {name.host: self.folder / f"wire-{name.host}.sock" for name in (self.name, other)}
        wire = f"local.type=unix,local.path={wires[self.name.host]},remote.type=unix,remote.path={wires[other.host]}"
        nova = nova_disk(self._lab.installed)
        return Machine(
            CARDS,
            base=compute_disk(),
            disk_overlay=self.folder / f"{self.name.host}.qcow2",
            qemu_extra=(
                *("-drive", f"if=none,id=nova,file={nova},format=raw,readonly=on"),
                # behind the disk (0x1c): the firmware boots from the first one
                *("-device", "virtio-blk-pci,drive=nova,addr=0x1e"),
                *("-netdev", f"dgram,id=wire,{wire}"),
                *("-device", f"virtio-net-pci,netdev=wire,mac={self.name.mac},romfile=,addr=0x1a"),
            ),
            memory_mib=2560,
            detached=True,
            beside=None if beside is None else beside.machine,
            up_file=self._up_file,
        )

    def _nova_conf(self) -> ini.Config:
        layout, ports = self._lab.layout, self._lab.layout.ports()
        conf: dict[str, Any] = config.nova(layout, ports, self._lab.topology, f"compute-{self.name.host}")
        for section in (
            "api_database",
            "database",
            "api",
            "scheduler",
            "filter_scheduler",
            "conductor",
            "quota",
            "pci",
        ):
            conf.pop(section, None)
        conf["DEFAULT"] |= {
            "transport_url": broker.url(ports),
            "host": self.name.host,
            "my_ip": self.name.ip,
            "state_path": "/var/lib/nova/state",
            "instances_path": "/var/lib/nova/instances",
            "compute_driver": "libvirt.LibvirtDriver",
            "rpc_response_timeout": RPC_S,
            "report_interval": "20",
            "update_resources_interval": "30",
            "resume_guests_state_on_host_boot": "false",
            "shutdown_timeout": "5",  # no guest in there obeys
            "reserved_host_memory_mb": "256",
            "shelved_offload_time": "0",
        }
        conf["oslo_concurrency"] = {"lock_path": "/var/lib/nova/lock"}
        conf["libvirt"] = {"virt_type": "qemu", "cpu_mode": "none", "wait_soft_reboot_seconds": "1"}
        helper = "sudo /opt/nova/bin/privsep-helper --config-file /etc/nova/nova.conf"
        for section in (
            "nova_sys_admin",
            "privsep_osbrick",
            "vif_plug_ovs_privileged",
            "vif_plug_linux_bridge_privileged",
        ):
            conf[section] = {"helper_command": helper}
        return conf


def as_json(value: Any) -> str:
    """One line."""
    return json.dumps(value, sort_keys=True)

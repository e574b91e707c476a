"""QEMU's command line, and the disk that it gets."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .newqemu import Qemu, new_qemu, stock_qemu
from .packages import LabUnavailable
from .topology import Topology


def program(topology: Topology) -> Qemu:
    """The QEMU that has what the topology needs."""
    if topology.old_qemu:
        return stock_qemu()
    try:
        return new_qemu()  # also where the old one would do: it is quicker
    except LabUnavailable:
        if topology.needs_vfio_user:
            raise
        return stock_qemu()


def overlay_of(base: Path, overlay: Path) -> Path:
    """The overlay over the base disk, made if it is not there."""
    if not overlay.exists():
        backing = ["-b", str((base / "disk.qcow2").resolve()), "-F", "qcow2"]
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(overlay)]
        subprocess.run(argv, check=True, timeout=60)
    return overlay


def arguments(topology: Topology, disk_file: Path, folder: Path, *, port: int, memory_mib: int) -> list[str]:
    """The machine: its board, console, disk, network (``port`` leads to its sshd), and the topology's cards."""
    argv = ["-machine", "q35,kernel-irqchip=split", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]
    argv += ["-m", str(memory_mib), "-nodefaults", "-display", "none", "-vga", "none"]
    argv += topology.iommu_arguments()
    argv += ["-chardev", f"file,id=s0,path={folder}/serial.log,append=on", "-serial", "chardev:s0"]
    # unsafe: the guest's flushes would only wait for a disk whose loss in a power cut of the computer nobody minds
    argv += ["-drive", f"if=none,id=d0,file={disk_file},format=qcow2,cache=unsafe"]
    argv += ["-device", "virtio-blk-pci,drive=d0,addr=0x1c"]
    argv += ["-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
    argv += ["-device", "virtio-net-pci,netdev=n0,romfile=,addr=0x1d"]
    argv += topology.arguments(folder)
    return argv

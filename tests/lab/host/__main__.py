"""The lab for people: python3 -m tests.lab.host build | up [TOPOLOGY] | ssh [COMMAND] | console | status | down."""

from __future__ import annotations

import argparse
import sys
import time

from .build import build
from .connection import LabError
from .machine import Machine
from .packages import LabUnavailable, say
from .topology import FOLDER, load


def main() -> int:
    """The command has been done; its exit code is returned."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.host", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the disk and fetch the newer QEMU")
    up = commands.add_parser("up", help="start a machine and wait for its ssh")
    up.add_argument("topology", nargs="?", default="gtx1080x2", choices=sorted(p.stem for p in FOLDER.glob("*.json")))
    up.add_argument("--cmdline", default="", help="kernel arguments that its GRUB passes, such as intel_iommu=off")
    shell = commands.add_parser("ssh", help="a shell in the machine, or a command")
    shell.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("console", help="what its serial line printed")
    commands.add_parser("status", help="which machine runs, and which topologies there are")
    commands.add_parser("down", help="stop it")
    asked = parser.parse_args()
    try:
        return _do(asked)
    except (LabUnavailable, LabError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _do(asked: argparse.Namespace) -> int:
    if asked.command == "build":
        build()
        return 0
    machine = Machine.attach()
    if asked.command == "up":
        if machine and machine.running():
            raise LabError("a machine is up already; `down` stops it")
        build()
        machine = Machine(asked.topology, cmdline_extra=asked.cmdline, detached=True)
        began = time.monotonic()
        machine.start()
        machine.wait_ssh()
        say(f"up after {time.monotonic() - began:.0f} s; `python3 -m tests.lab.host ssh`")
        return 0
    if asked.command == "status":
        for path in sorted(FOLDER.glob("*.json")):
            print(f"{path.stem:12} {load(path).why}")
        print(f"running: {machine.topology.name if machine and machine.running() else 'none'}")
        return 0
    if machine is None:
        raise LabError("no machine is up")
    if asked.command == "ssh":
        return machine.shell(asked.words)
    if asked.command == "console":
        print(machine.console())
    else:
        machine.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

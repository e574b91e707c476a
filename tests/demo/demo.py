"""`make demo`: a two-card GTX 1080 host, from stock to ready for passthrough and back, as a person would see it.

The host is simulated (tests/sim): a folder with a sysfs, a boot loader and an initramfs that react. The commands are
the real ones: the same code runs on a real host. Nothing on this machine is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gpuctl.cli.main import main as gpuctl
from tests.sim import SimHost, worlds

BOLD, DIM, GREEN, RED, PLAIN = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"


class Demo:
    """The host, and a terminal to show it on."""

    def __init__(self, host: SimHost) -> None:
        self.host = host
        self.colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.unexpected = 0

    def paint(self, colour: str, text: str) -> str:
        """Return the text in a colour, where the terminal has any."""
        return f"{colour}{text}{PLAIN}" if self.colour else text

    def say(self, text: str) -> None:
        """A line from the one who shows the demo."""
        print(self.paint(DIM, f"# {text}"), flush=True)

    def run(self, line: str, *, expect: int) -> None:
        """Type a command, show what it prints and its exit status."""
        print(f"\n{self.paint(BOLD, '$ ' + line)}", flush=True)
        code = gpuctl(line.split()[1:], obj={"host_factory": lambda _root: self.host})
        sys.stdout.flush()
        sys.stderr.flush()
        meaning = {0: "done, or ready", 1: "not ready", 4: "done, a reboot is needed before it holds"}.get(
            code, "see the table of exit codes"
        )
        print(self.paint(DIM, f"exit status {code}: {meaning}"), flush=True)
        if code != expect:
            self.unexpected += 1
            print(self.paint(RED, f"this demo expected {expect}"), flush=True)

    def cloud(self) -> None:
        """What the operator makes of this host's facts: Nova's configuration, and flavors that fill the host."""
        with tempfile.TemporaryDirectory(prefix="gpuctl-demo-") as folder, contextlib.chdir(folder):
            with Path("gpu-node-01.json").open("w") as file, contextlib.redirect_stdout(file):
                gpuctl(["host", "facts", "-f", "json"], obj={"host_factory": lambda _root: self.host})
            print(f"\n{self.paint(BOLD, '$ gpuctl host facts -f json > gpu-node-01.json')}", flush=True)
            self.run("gpuctl nova configure --release 2026.2 --alias nvidia --facts gpu-node-01.json -o nova", expect=0)
            self.run(
                "gpuctl nova check nova/compute.conf nova/api.conf --release 2026.2 --facts gpu-node-01.json", expect=0
            )
            plan = "gpuctl flavor plan --facts gpu-node-01.json --cpus 32 --ram 128GiB --alias 10de:1b80=nvidia"
            self.run(plan, expect=0)
            print(f"\n{self.paint(BOLD, f'$ {plan} -f yaml > gpus.yaml')}", flush=True)
            with Path("gpus.yaml").open("w") as file, contextlib.redirect_stdout(file):
                gpuctl([*plan.split()[1:], "-f", "yaml"])
            self.flavors(Path(folder))

    def flavors(self, folder: Path) -> None:
        """The flavors on a cloud in memory, which speaks Keystone's and Nova's language on loopback."""
        from tests.sim.nova import NovaSim

        kept = {name: value for name, value in os.environ.items() if name.startswith("OS_")}
        with NovaSim() as cloud:
            for name in kept:
                del os.environ[name]
            os.environ.update(OS_CLIENT_CONFIG_FILE=str(cloud.clouds_yaml(folder)), OS_CLOUD="sim")
            self.say(
                "A simulated cloud; `gpuctl lab up` starts a real Keystone, Placement, Glance and Nova to rehearse on."
            )
            try:
                self.run("gpuctl flavor apply gpus.yaml --yes", expect=0)
                self.run("gpuctl flavor apply gpus.yaml --yes", expect=0)
                self.run("gpuctl flavor list", expect=0)
                self.run("gpuctl flavor verify gpu.nvidia.1 --network none", expect=0)
            finally:
                for name in ("OS_CLIENT_CONFIG_FILE", "OS_CLOUD"):
                    os.environ.pop(name, None)
                os.environ.update(kept)

    def reboot(self) -> None:
        """The simulated machine starts anew, from what its GRUB and its initramfs say now."""
        print(f"\n{self.paint(BOLD, '$ reboot')}", flush=True)
        self.host.reboot()
        for line in (
            f"booted {self.host.word('/proc/sys/kernel/osrelease')}: {self.host.word('/proc/cmdline')}",
            self.cards(),
        ):
            self.say(line)

    def cards(self) -> str:
        """Who has the cards' functions now."""
        drivers = self.host.drivers()
        shown = [
            f"{item.address} {drivers[item.address] or '-' if item.address in drivers else 'off the bus'}"
            for item in self.host.machine.functions
            if item.vendor == "10de"
        ]
        return ", ".join(shown)

    def state(self) -> tuple[str, int]:
        """A hash over every file, link and mode below /etc, /boot and /usr, and how many they are."""
        found = self.host.snapshot("/etc", "/boot", "/usr")
        return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16], len(found)


@contextlib.contextmanager
def machine() -> Iterator[SimHost]:
    """The demo's host, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gpuctl-demo-") as folder:
        yield SimHost(worlds.two_gtx1080(), Path(folder) / "host")


def main() -> int:
    """Show it all; 0 if everything was as expected."""
    started = time.monotonic()
    with machine() as host:
        demo = Demo(host)
        demo.say(
            "A simulated host: two GeForce GTX 1080 in a dual-Xeon server of 2016 with Debian 12. Its owner followed an old recipe,"
        )
        demo.say(
            "so GRUB has `iommu_intel=on`, which no kernel knows. gpuctl is the real thing; this machine is not touched."
        )
        files, count = demo.state()
        drivers = host.drivers()
        demo.run("gpuctl host check", expect=1)
        demo.run("gpuctl host prepare --dry-run", expect=0)
        demo.run("gpuctl host prepare --yes", expect=4)
        demo.reboot()
        demo.run("gpuctl host check", expect=0)
        demo.run("gpuctl host history", expect=0)
        demo.cloud()
        demo.run("gpuctl host restore --yes", expect=4)
        demo.reboot()
        demo.run("gpuctl host check", expect=1)
        after, still = demo.state()
        same = (files, drivers) == (after, host.drivers())
        print()
        print(f"files, links and modes below /etc, /boot, /usr   before {files} ({count})   after {after} ({still})")
        print(
            f"drivers of all {len(drivers)} PCI functions                    {'the same' if drivers == host.drivers() else 'NOT the same'}"
        )
        good = same and not demo.unexpected
        verdict = "restored, byte for byte" if same else "NOT restored"
        print(
            demo.paint(
                GREEN if good else RED, f"{verdict}; {demo.unexpected} surprises; {time.monotonic() - started:.1f} s"
            )
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

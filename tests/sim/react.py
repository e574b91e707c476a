"""A real shell against the simulated sysfs: what it writes reaches the simulated kernel while it runs.

`drivers_probe` and each driver's `unbind` become FIFOs; `modprobe` becomes a stand-in that asks and waits for the
answer; `driver_override` and `remove` are plain files that are looked at when modprobe is called, and at the end.
"""

from __future__ import annotations

import os
import select
import shutil
import tempfile
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Callable

from . import shell
from .bus import Refusal, Stuck
from .images import _scratch
from .kernel import Kernel
from .sysfs import DRIVERS

if TYPE_CHECKING:
    from .kmod import Kmod

MODPROBE = '#!/bin/sh\necho "$*" > "$SIM_ASK"\nread answer < "$SIM_TOLD"\nexit "$answer"\n'
PROBE = "/sys/bus/pci/drivers_probe"


class Reacting:
    """One run of one script."""

    def __init__(self, kernel: Kernel, kmod: Kmod) -> None:
        self.kernel = kernel
        self.kmod = kmod
        self._doors: dict[int, str] = {}
        self._done = threading.Event()
        self._failed: list[BaseException] = []

    def run(self, script: str, *, env: Mapping[str, str], roots: Mapping[str, str], args: tuple[str, ...] = ()) -> str:
        """Return what the script printed; the kernel has seen all that it wrote.

        Args:
            roots: where the first part of an absolute path leads, if not to the host's own root.
        """
        tree = self.kernel.tree
        folder = tempfile.mkdtemp(prefix="sim-run-", dir=_scratch())
        ask, told = os.path.join(folder, "ask"), os.path.join(folder, "told")
        doors = [PROBE, *(f"{DRIVERS}/{name}/unbind" for name in self.kernel.drivers)]
        ends = []
        try:
            with open(os.path.join(folder, "modprobe"), "w") as file:
                file.write(MODPROBE)
            os.chmod(os.path.join(folder, "modprobe"), 0o755)
            os.mkfifo(ask)
            os.mkfifo(told)
            for path in doors:
                os.unlink(tree.at(path))
                os.mkfifo(tree.at(path), 0o200)
                self._open(tree.at(path), path)
            self._open(ask, "ask")
            answers = os.open(told, os.O_RDWR | os.O_NONBLOCK)
            ends = [*self._doors, answers]
            server = threading.Thread(target=self._serve, args=(answers,), daemon=True)
            server.start()
            text = shell.redirected(script, roots, tree.root)
            done = shell.run(text, env={**env, "SIM_ASK": ask, "SIM_TOLD": told}, folder=folder, args=args)
            self._done.set()
            server.join(10)
            if self._failed:
                raise self._failed[0]
            return done.stdout + done.stderr
        finally:
            self._done.set()
            for end in ends:
                os.close(end)
            for path in doors:
                if tree.exists(path):
                    tree.remove(path)
                    tree.write(path, "", 0o200)
            shutil.rmtree(folder, ignore_errors=True)

    def _open(self, real: str, name: str) -> None:
        self._doors[os.open(real, os.O_RDWR | os.O_NONBLOCK)] = name

    def _serve(self, answers: int) -> None:
        try:
            while True:
                last = self._done.is_set()
                ready, _, _ = select.select(list(self._doors), [], [], 0 if last else 0.002)
                self._work(ready, answers)
                if last and not ready:
                    self._plain_files()
                    return
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._failed.append(error)
            self._done.set()

    def _work(self, ready: list[int], answers: int) -> None:
        if ready:
            self._plain_files()
        order = sorted(
            ready, key=lambda end: (self._doors[end] == PROBE, self._doors[end])
        )  # an unbind before the probe that follows it
        for end in order:
            for line in os.read(end, 65536).decode().splitlines():
                name = self._doors[end]
                if name == "ask":
                    words = [word for word in line.split() if not word.startswith("-")]
                    good = all(self.kmod.insert(word) for word in words)
                    os.write(answers, f"{int(not good)}\n".encode())
                else:
                    self._write(name, line + "\n")

    def _write(self, path: str, data: str) -> None:
        try:
            self.kernel.write(path, data)
        except (Refusal, Stuck) as problem:
            self.kernel.log.append(f"{path} <- {data!r}: {problem!r}")

    def _plain_files(self) -> None:
        """Overrides and removals that the script has written into files by now."""
        tree = self.kernel.tree
        for device in list(self.kernel.devices.values()):
            text = tree.text(f"{device.path}/driver_override")
            if text != f"{device.override or '(null)'}\n":
                self._write(f"{device.path}/driver_override", text or "\n")
        for device in list(self.kernel.devices.values()):
            if self.kernel.devices.get(device.function.address) is device and tree.read(f"{device.path}/remove"):
                self._write(f"{device.path}/remove", "1\n")


Runner = Callable[[str], None]

"""One lab machine: started, reached by ssh on 127.0.0.1, rebooted through its own GRUB, stopped by process id."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from . import qemu, upkeep
from .cache import cache_dir
from .connection import TARGET, Connection, LabError, Result
from .image import disk, variant
from .newqemu import Qemu
from .packages import find
from .topology import Topology, load

# wall time follows the load of the machine (24 s quiet, 222 s at load 25): a deadline is for what hangs, not for slowness
BOOT_DEADLINE = float(os.environ.get("GPUCTL_LAB_DEADLINE", "900"))
REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Direct:
    """A kernel started by QEMU itself instead of by the disk's GRUB: only to build the disk."""

    kernel: Path
    initrd: Path
    cmdline: str


@dataclass(slots=True)
class _State:
    """What is needed to find a running machine again (the `up` of the command line)."""

    folder: str
    disks: str
    port: int
    pids: dict[str, int]


class Machine:
    """A machine of one topology, with a disk of its own over the base disk, which never changes.

    Used as a context manager it is started on entry and stopped, with its files removed, on exit. Only one machine runs
    at a time on a computer: a second one waits (the lock goes with the QEMU process). Two machines that need each other
    are one in this: the second is started `beside` the first, and holds the first one's lock.
    """

    started: ClassVar[int] = 0  # in this process

    def __init__(
        self,
        topology: str | Topology,
        *,
        disk_overlay: Path | None = None,
        cmdline_extra: str = "",
        qemu_extra: tuple[str, ...] = (),
        memory_mib: int = 2048,
        base: Path | None = None,
        writable_base: bool = False,
        direct: Direct | None = None,
        detached: bool = False,
        beside: Machine | None = None,
        up_file: str = "up.json",
    ) -> None:
        """Nothing runs yet.

        Args:
            topology: a name below topologies/, or a Topology.
            disk_overlay: the qcow2 to use, made if absent and kept afterwards: two machines after one another that share
                it are one host with changed hardware. Default: a fresh one, removed at the end.
            cmdline_extra: kernel arguments that stand in /etc/default/grub (GRUB_CMDLINE_LINUX) and grub.cfg of the
                disk from the start, "intel_iommu=off" for example. Ignored if disk_overlay exists.
            qemu_extra: more QEMU arguments.
            memory_mib: the guest's memory.
            base: the folder of another base disk.
            writable_base: write to the base itself (building it).
            direct: boot this kernel instead of the disk's GRUB.
            detached: the processes outlive this one.
            beside: a machine that this process has started; this one runs together with it.
            up_file: the name below the cache under which `attach` finds a detached machine again.
        """
        self.topology = load(topology) if isinstance(topology, str) else topology
        self.disk_overlay = disk_overlay
        self._cmdline_extra = cmdline_extra
        self._qemu_extra = qemu_extra
        self._memory_mib = memory_mib
        self._base = base
        self._writable_base = writable_base
        self._direct = direct
        self._detached = detached
        self._beside = beside
        self._up_file = up_file
        self._lock: int | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._state: _State | None = None

    # -- life

    def __enter__(self) -> Self:
        """The machine is powered on; use wait_ssh next."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The machine is off and its files are gone, but the console's log."""
        self.stop()

    def start(self) -> None:
        """QEMU runs, and the server of its cards.

        Raises:
            LabUnavailable: the rig cannot run here (nothing to build or fetch it with).
            LabError: it did not start.
        """
        base = self._base or (variant(self._cmdline_extra) if self._cmdline_extra else disk())
        how = qemu.program(self.topology)
        if self._beside is None:
            lock, folder = upkeep.one_at_a_time(Machine.started), upkeep.fresh_folder()
        else:
            lock, folder = self._beside.share_lock(), upkeep.own_folder()
        self._lock = lock  # QEMU holds its own copy; this one is for a machine beside it
        Machine.started += not self._detached
        self._state = _State(str(folder), str(base), upkeep.free_port(), {})
        try:
            argv = self._command(base, folder, how)
            if self.topology.needs_vfio_user:
                self._serve_cards(folder)
            self._spawn("qemu", argv, how, keep=(lock,))
        except BaseException:
            self.stop()
            raise
        self._remember()

    def share_lock(self) -> int:
        """A copy of the descriptor that holds the lock, for a machine that runs beside this one.

        Raises:
            LabError: this process did not start the machine.
        """
        if self._lock is None:
            raise LabError("only the process that started a machine can start another one beside it")
        return os.dup(self._lock)

    def stop(self) -> None:
        """No process of the machine runs: as when the plug is pulled. The console's log is in the cache's logs/."""
        state = self._state
        if state is None:
            return
        self._connection().forget()
        for name in ("qemu", "pcihost"):
            if name in state.pids:
                upkeep.end(state.pids[name], self._children.pop(name, None))
        folder = Path(state.folder)
        upkeep.keep_log(folder / "serial.log", self.topology.name)
        shutil.rmtree(folder, ignore_errors=True)
        if self._detached:
            (cache_dir() / self._up_file).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._state = None
        Machine.started -= not self._detached

    def poweroff(self, deadline: float = BOOT_DEADLINE) -> None:
        """The guest has shut down properly (its disk is clean), then as stop()."""
        self.ssh("systemctl poweroff", check=False, timeout=60)
        self._connection().forget()
        until = time.monotonic() + deadline
        while self.running():
            if time.monotonic() > until:
                raise LabError(f"no poweroff within {deadline:.0f} s\n{self.console_tail()}")
            time.sleep(0.5)
        self.stop()

    @classmethod
    def attach(cls, up_file: str = "up.json") -> Machine | None:
        """The machine that `up` left running, or None."""
        path = cache_dir() / up_file
        if not path.exists():
            return None
        data = json.loads(path.read_text())
        machine = cls(data.pop("topology"), detached=True, up_file=up_file)
        machine._state = _State(**data)
        return machine

    def running(self) -> bool:
        """QEMU's process is alive."""
        child = self._children.get("qemu")
        if child is not None:
            return child.poll() is None
        return self._state is not None and upkeep.alive(self._state.pids.get("qemu", 0))

    # -- inside

    def wait_ssh(self, deadline: float = BOOT_DEADLINE, *, not_boot: str = "") -> str:
        """The guest answers by ssh and has finished booting; its boot id is returned.

        Args:
            deadline: seconds.
            not_boot: a boot id that does not count: the one before a reboot.

        Raises:
            LabError: not within the deadline, or QEMU ended.
        """
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            if not self.running():
                raise LabError(f"QEMU ended\n{self.console_tail()}")
            if self._connection().answers():
                self._connection().open()
                # `--wait` returns when no start job is left, so modules are loaded and drivers bound
                look = "cat /proc/sys/kernel/random/boot_id"
                boot = self.ssh(look, check=False, timeout=120)
                if boot.code == 0 and boot.out.strip() != not_boot:
                    self.ssh("systemctl is-system-running --wait; udevadm settle -t 300", check=False, timeout=deadline)
                    return boot.out.strip()
                self._connection().forget()
            time.sleep(1)
        raise LabError(f"no ssh within {deadline:.0f} s\n{self.console_tail()}")

    def ssh(self, command: str, *, check: bool = True, timeout: float = 600) -> Result:
        """The command has run in the guest as root, in its shell.

        Args:
            command: for the guest's shell; quote with shlex where words come from elsewhere.
            check: raise if it exits with anything but 0.
            timeout: seconds; then the result has code 124.

        Raises:
            LabError: a failure with check.
        """
        result = self._connection().run(command, timeout)
        if check and result.code:
            raise LabError(f"{command!r} gave {result.code}\n{result.out}{result.err}")
        return result

    def put(self, local: Path, remote: str) -> None:
        """The file or folder is in the guest."""
        self._connection().copy(str(local), f"{TARGET}:{remote}")

    def get(self, remote: str, local: Path) -> None:
        """The guest's file or folder is here."""
        self._connection().copy(f"{TARGET}:{remote}", str(local))

    def reboot(self, deadline: float = BOOT_DEADLINE) -> str:
        """The guest went down and came up through its own GRUB; the new boot id is returned."""
        before = self.ssh("cat /proc/sys/kernel/random/boot_id", timeout=120).out.strip()
        self.ssh("systemctl reboot", check=False, timeout=120)
        self._connection().forget()
        return self.wait_ssh(deadline, not_boot=before)

    def console(self) -> str:
        """Everything the serial line has printed so far."""
        path = Path(self._here().folder) / "serial.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def console_tail(self, lines: int = 25) -> str:
        """The end of the console, for messages, with what QEMU itself said."""
        if self._state is None:
            return ""
        folder = Path(self._state.folder)
        said = [(folder / f"{name}.log") for name in ("qemu", "pcihost")]
        tail = [line for path in said if path.exists() for line in path.read_text(errors="replace").splitlines()[-5:]]
        return "\n".join(["--- console", *self.console().splitlines()[-lines:], "--- QEMU and pcihost", *tail])

    def shell(self, words: list[str]) -> int:
        """An interactive ssh for a person (or `words` run in it) has ended with this code."""
        return self._connection().shell(words)

    # -- parts

    def _here(self) -> _State:
        if self._state is None:
            raise LabError("the machine is not started")
        return self._state

    def _command(self, base: Path, folder: Path, how: Qemu) -> list[str]:
        disk_file = base / "disk.qcow2"
        if not self._writable_base:
            disk_file = qemu.overlay_of(base, self.disk_overlay or folder / "disk.qcow2")
        argv = qemu.arguments(self.topology, disk_file, folder, port=self.port, memory_mib=self._memory_mib)
        if self._direct:
            argv += ["-kernel", str(self._direct.kernel), "-initrd", str(self._direct.initrd)]
            argv += ["-append", self._direct.cmdline]
        return [*how.argv, *argv, *self._qemu_extra]

    def _serve_cards(self, folder: Path) -> None:
        argv = [sys.executable, "-m", "tests.lab.host.pcihost", str(self.topology.path.resolve()), str(folder)]
        self._spawn("pcihost", argv, Qemu((), {"PYTHONPATH": str(REPOSITORY)}, vfio_user=False))
        until = time.monotonic() + 120
        while "serving" not in (folder / "pcihost.log").read_text():
            if self._children["pcihost"].poll() is not None or time.monotonic() > until:
                raise LabError(f"pcihost did not start: {(folder / 'pcihost.log').read_text()}")
            time.sleep(0.05)

    def _spawn(self, name: str, argv: list[str], how: Qemu, keep: tuple[int, ...] = ()) -> None:
        state = self._here()
        # a killed test run takes its machines with it
        leash = [] if self._detached else [find("setpriv") or "setpriv", "--pdeathsig", "TERM"]
        with (Path(state.folder) / f"{name}.log").open("w") as log:
            child = subprocess.Popen(
                [*leash, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **how.env},
                cwd=REPOSITORY,
                pass_fds=keep,
                start_new_session=True,
            )
        self._children[name] = child
        state.pids[name] = child.pid

    def _remember(self) -> None:
        if self._detached:
            text = json.dumps({**asdict(self._here()), "topology": self.topology.name})
            (cache_dir() / self._up_file).write_text(text)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 where the guest's ssh server answers."""
        return self._here().port

    @property
    def key(self) -> Path:
        """The private key that the guest lets in as root."""
        return Path(self._here().disks) / "id"

    def _connection(self) -> Connection:
        state = self._here()
        return Connection(state.port, Path(state.disks) / "id", Path(state.folder) / "ssh")

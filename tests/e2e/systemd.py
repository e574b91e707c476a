"""A machine whose first process is a real systemd: in namespaces of its own, on a simulated machine's files.

    with Booted(sim) as box:
        box.run("systemctl", "is-system-running")

Its root is a throw-away layer over the simulated machine's /etc, /boot, /var and /usr, over this machine's own root
(whose systemd, Python and gpuctl it runs). /sys is the simulated machine's, read-only inside and as it is now: what the
simulation does to it afterwards is seen at once. /proc is real, but for what facts are made of. This machine's own
systemd, if it has one, its journal, its kernel's variables and its network are out of reach. Needs root and cgroup v2.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sim import SimHost

if TYPE_CHECKING:
    from typing_extensions import Self

INIT = "/lib/systemd/systemd"
PROC = ("cmdline", "cpuinfo", "modules", "iomem", "sys/kernel/osrelease")  # of what facts are made
SEEN = "/run/sim-proc"
# What would reach the kernel that is everybody's, or waits for devices that nobody announces.
MASKED = (
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-random-seed.service", "systemd-binfmt.service",
    "modprobe@.service", "kmod-static-nodes.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-kernel-config.mount", "sys-fs-fuse-connections.mount", "dev-hugepages.mount", "dev-mqueue.mount",
    "proc-sys-fs-binfmt_misc.automount", "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-firstboot.service",
    "systemd-pstore.service", "systemd-update-utmp.service", "systemd-remount-fs.service", "tmp.mount",
)  # fmt: skip
START = """set -e
mount --make-rprivate /
B=$1 S=$2; shift 2
mount -t tmpfs none "$B"
mkdir "$B/up" "$B/work" "$B/root" "$B/sim" "$B/sim/usr"
for d in etc boot var usr; do [ ! -d "$S/$d" ] || cp -a "$S/$d" "$B/sim"; done
for d in bin sbin lib lib64; do
  if [ -d "$S/$d" ] && [ ! -L "$S/$d" ]; then mkdir -p "$B/sim/usr/$d"; cp -a "$S/$d/." "$B/sim/usr/$d"; fi
done
for d in bin sbin; do for f in "$B/sim/usr/$d"/*; do  # what this machine has is real; the others are there in name only
  [ ! -e "/usr/$d/${f##*/}" ] && [ ! -e "/usr/bin/${f##*/}" ] || rm -rf "$f"
done; done
R=$B/root
mount -t overlay overlay -o "lowerdir=$B/sim:/,upperdir=$B/up,workdir=$B/work" "$R"
mount --rbind "$S/sys" "$R/sys"
mount -o remount,bind,ro "$R/sys"
mount -t cgroup2 none "$R/sys/fs/cgroup"
mount -t proc none "$R/proc"
mount --bind "$R/proc/sys" "$R/proc/sys"
mount -o remount,bind,ro "$R/proc/sys"
for f in @PROC@; do
  [ ! -f "$S/proc/$f" ] || [ ! -e "$R/proc/$f" ] || mount --bind "$S/proc/$f" "$R/proc/$f"
done
for d in dev run tmp; do mount -t tmpfs none "$R/$d"; done
mkdir "$R@SEEN@"; mount --bind "$S/proc" "$R@SEEN@"
for d in null zero random urandom full tty; do : > "$R/dev/$d"; mount --bind "/dev/$d" "$R/dev/$d"; done
mkdir "$R/dev/shm" "$R/dev/pts"; ln -s /proc/self/fd "$R/dev/fd"
[ ! -d "$S/dev/vfio" ] || cp -a "$S/dev/vfio" "$R/dev"
rm -rf "$R/etc/systemd/system" "$R/etc/machine-id" "$R/var/log/journal"
mkdir "$R/etc/systemd/system"
echo 0123456789abcdef0123456789abcdef > "$R/etc/machine-id"
for u in "$@"; do ln -s /dev/null "$R/etc/systemd/system/$u"; done
ln -s /lib/systemd/system/basic.target "$R/etc/systemd/system/default.target"
ip link set lo up
cd "$R"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=gpuctl PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=no
""".replace("@PROC@", " ".join(PROC)).replace("@SEEN@", SEEN)


def why_not() -> str:
    """Say why no systemd can be started here; empty if it can."""
    if os.geteuid() != 0:
        return "a systemd of its own needs root"
    if not os.access(INIT, os.X_OK):
        return f"{INIT} is not here"
    missing = [name for name in ("ip", "unshare", "nsenter", "pivot_root", "journalctl") if not shutil.which(name)]
    if missing:
        return f"not here: {', '.join(missing)}"
    if _cgroups() is None:
        return "no cgroup v2 here that a systemd could have"
    probe = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
    argv = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "sh", "-c", probe]
    return "" if subprocess.run(argv, capture_output=True, check=False).returncode == 0 else "no namespaces here"


def _cgroups() -> Path | None:
    """Return this process's own folder among the cgroups of version 2; None where it cannot make one below it."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    place = next((words[4] for words in mounts if words[words.index("-") + 1] == "cgroup2" and words[3] == "/"), None)
    own = next(
        (line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), None
    )
    if place is None or own is None:
        return None
    folder = Path(place + own)
    return folder if os.access(folder, os.W_OK) else None


class Booted:
    """A context manager: it is up, and systemd has nothing left to start.

    Attributes:
        sim: the simulated machine whose files and /sys it has.
        root: its root folder, as seen from here.
    """

    def __init__(self, sim: SimHost) -> None:
        self.sim = sim
        self._place = Path()
        self._cgroup = Path()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        own = _cgroups()
        assert own is not None, why_not()
        self._place = Path(tempfile.mkdtemp(prefix="boot-", dir="/tmp"))
        self._cgroup = own / f"gpuctl-{self._place.name}"
        try:
            self._cgroup.mkdir()
            for folder in ("sys/fs/cgroup", "proc"):
                Path(self.sim.tree.root, folder).mkdir(parents=True, exist_ok=True)
            self._start()
            self.wait(lambda: self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        enter = f'echo $$ > {self._cgroup}/cgroup.procs; exec "$@"'
        words = ["sh", "-c", START, "start", str(self._place), self.sim.tree.root, *MASKED]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                ["sh", "-c", enter, "enter", "unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup",
                 "--fork", "--kill-child", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()  # and with it its child, the first process of the namespace, and so all of them
            self._child.wait()
        for folder in sorted(self._cgroup.rglob("*"), reverse=True):
            if folder.is_dir():
                self._gone(folder)
        self._gone(self._cgroup)
        shutil.rmtree(self._place, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    @staticmethod
    def _gone(cgroup: Path) -> None:
        for _ in range(100):
            with contextlib.suppress(OSError):
                cgroup.rmdir()
                return
            if not cgroup.exists():
                return
            time.sleep(0.05)

    @property
    def _log(self) -> Path:
        return self._place.with_suffix(".log")

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self._pid()}/root")

    def _pid(self) -> str:
        parent = self._child.pid if self._child is not None else 0
        children = Path(f"/proc/{parent}/task/{parent}/children")
        found = children.read_text().split() if children.exists() else []
        return found[0] if found else ""

    def run(self, *argv: str, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root with a login's environment; its exit status is for the caller to judge."""
        pid = self._pid()
        if not pid:
            return subprocess.CompletedProcess(argv, 255, "", "it is not up")
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", "-C", *argv],
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=env, cwd="/",
        )  # fmt: skip

    def drop_in(self, unit: str, text: str) -> None:
        """A unit has this drop-in, where the machine's own configuration does not show it."""
        folder = self.root / f"run/systemd/system/{unit}.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.conf").write_text(text)

    def sees_the_simulation(self, service: str) -> None:
        """A service that systemd gives a /proc of its own finds the simulated machine's in it all the same."""
        binds = [f"BindReadOnlyPaths=-{SEEN}/{name}:/proc/{name}\n" for name in PROC if Path(f"/proc/{name}").exists()]
        self.drop_in(service, "[Service]\n" + "".join(binds))

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return what systemd says of a unit's properties."""
        said = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names)).stdout
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def wait(self, true: Callable[[], bool], seconds: float = 60) -> None:
        """Return as soon as it is so.

        Raises:
            RuntimeError: it did not become so in time; with what was said meanwhile.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._child is not None and self._child.poll() is None:
            if true():
                return
            time.sleep(0.1)
        said = self._log.read_text() if self._log.exists() else ""
        raise RuntimeError(
            f"it is not so, or not in {seconds:.0f} s\n{said}\n{self.run('journalctl', '--no-pager', '-n', '40').stdout}"
        )

"""Host: the only door to files, links, commands and time. A captured tree is just another root.

Every path that goes in or out is absolute as the host itself would name it ("/etc/default/grub"), whatever the
root is. Below a root other than "/" links are resolved as a chroot would, so that nothing outside is read or written.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.errors import KernelRefused, KernelStuck, NotLive, OutsideRoot, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LINKS_MAX = 40  # what Linux allows in one path walk (path_resolution(7))
_READ_MAX = 64 * 1024 * 1024


@frozen
class Result:
    """What a command answered."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class Host:
    """The host below ``root``.

    Args:
        root: "/" for the machine itself, or a tree with the same paths.
        live: whether a kernel answers below the root: commands may be run and /sys written. By default true for "/".
    """

    def __init__(self, root: str = "/", *, live: bool | None = None) -> None:
        self.root = os.path.realpath(root)
        self.live = self.root == "/" if live is None else live
        self._dirs: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r}, live={self.live})"

    # ---- where things are

    def real(self, path: str, *, follow: bool = True) -> str:
        """Return where ``path`` really is on the machine that runs this.

        Args:
            path: absolute, as the host names it.
            follow: whether a link as the last part is followed.

        Raises:
            OutsideRoot: the path is not absolute, or holds a NUL, or its links run in a circle.
        """
        if not path.startswith("/") or "\0" in path:
            raise OutsideRoot(f"not an absolute path: {path!r}")
        if self.root == "/":
            return path
        head, _, tail = path.rstrip("/").rpartition("/")
        if tail in ("", ".", "..") or follow:
            return self._walk(path)
        return os.path.join(self._directory(head or "/"), tail)

    def _directory(self, path: str) -> str:
        """The real place of a folder; remembered for /sys/devices-like depths, forgotten on every write."""
        known = self._dirs.get(path)
        if known is None:
            known = self._dirs[path] = self._walk(path)
        return known

    def _walk(self, path: str) -> str:
        """Resolve every link of ``path`` as if the root were /."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                if done:
                    done.pop()
                continue
            here = "/".join((self.root, *done, part))
            try:
                target = os.readlink(here)
            except OSError:
                done.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise OutsideRoot(f"too many links on the way to {path}")
            if target.startswith("/"):
                done = []
            todo.extend(piece for piece in reversed(target.split("/")) if piece not in ("", "."))
        return "/".join((self.root, *done))

    def resolve(self, path: str) -> str:
        """Return ``path`` with its links resolved, named as the host names it."""
        if self.root == "/":
            return os.path.realpath(path)
        real = self._walk(path)
        return real[len(self.root) :] or "/"

    # ---- reading: what is missing or unreadable is None or empty, never an exception

    def read_bytes(self, path: str, limit: int = _READ_MAX) -> bytes | None:
        """Return the first ``limit`` bytes of a regular (or kernel) file, or None."""
        try:
            fd = os.open(self.real(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, OutsideRoot):
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            blocks = []
            while limit > 0:
                block = os.read(fd, min(limit, 1 << 20))
                if not block:
                    break
                blocks.append(block)
                limit -= len(block)
            return b"".join(blocks)
        except OSError:
            return None
        finally:
            os.close(fd)

    def read(self, path: str, limit: int = _READ_MAX) -> str | None:
        """Return a file as text (undecodable bytes become U+FFFD), or None if it cannot be read."""
        data = self.read_bytes(path, limit)
        return None if data is None else data.decode("utf-8", "replace")

    def word(self, path: str) -> str | None:
        """Return a one-line file without its white space; None if missing, unreadable or empty."""
        text = self.read(path, 65536)
        return (text.strip() or None) if text is not None else None

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder; empty if there is none."""
        try:
            return sorted(os.listdir(self.real(path)))
        except (OSError, OutsideRoot):
            return []

    def link(self, path: str) -> str | None:
        """Return the text of a link, or None if it is not one."""
        try:
            return os.readlink(self.real(path, follow=False))
        except (OSError, OutsideRoot):
            return None

    def link_name(self, path: str) -> str | None:
        """Return the last part of a link's target ("../../../bus/pci/drivers/nouveau" -> "nouveau")."""
        target = self.link(path)
        return os.path.basename(target.rstrip("/")) if target else None

    def exists(self, path: str) -> bool:
        """Say whether something is there (a dangling link is not)."""
        return self.stat(path) is not None

    def is_dir(self, path: str) -> bool:
        """Say whether ``path`` is a folder, links followed."""
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result | None:
        """Return what stat(2) says, or None."""
        try:
            return os.stat(self.real(path, follow=follow), follow_symlinks=follow)
        except (OSError, OutsideRoot, ValueError):
            return None

    def writable(self, path: str) -> bool:
        """Say whether this process may write ``path``."""
        try:
            return os.access(self.real(path), os.W_OK)
        except OutsideRoot:
            return False

    def which(self, name: str) -> str | None:
        """Return where the host keeps the command ``name``, or None; asks the root's own folders, not our PATH."""
        for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"):
            found = self.stat(f"{folder}/{name}")
            if found is not None and stat.S_ISREG(found.st_mode) and found.st_mode & 0o111:
                return f"{folder}/{name}"
        return None

    # ---- time

    def now(self) -> datetime:
        """Return the time, with its zone."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; a simulated host moves its clock instead."""
        time.sleep(seconds)

    # ---- acting: called from apply/ and tools/ alone

    def run(self, argv: Sequence[str], *, timeout: float, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """Run a command of the host and return what it answered; it and its children are gone when this returns.

        Args:
            argv: the command and its arguments; never a shell's line.
            timeout: seconds.
            stdin: text for its standard input.
            env: variables beside LC_ALL=C and a fixed PATH.

        Raises:
            NotLive: the root is a captured tree.
            ToolError: it is missing or did not end in time (a child stuck in the kernel is left, and named).
        """
        if not self.live or self.root != "/":
            raise NotLive(f"cannot run {argv[0]} below {self.root}")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C", "HOME": "/root"}
        environment.update(env or {})
        try:
            child = subprocess.Popen(  # noqa: S603 - argv lists only, no shell
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise ToolError(f"cannot run {argv[0]}: {error.strerror}", resolution=f"install the package that has {argv[0]}") from error
        try:
            out, err = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            _end_group(child)
            raise ToolError(
                f"{argv[0]} did not end within {timeout:g} s",
                details=" ".join(argv),
                resolution=f"run it by hand and see what it waits for; process {child.pid} may still hang in the kernel",
            ) from late
        except BaseException:
            _end_group(child)
            raise
        return Result(tuple(argv), child.returncode, out, err)

    def poke(self, path: str, data: str, *, timeout: float = 10.0) -> None:
        """Write ``data`` to a kernel file with one write(2), in a child with a deadline.

        Args:
            path: below /sys or /proc.
            data: what to write, a trailing newline included if the file wants one.
            timeout: seconds; an unbind of a device in use can block for ever (facts/kernel-lab.md section 4).

        Raises:
            KernelRefused: the kernel answered with an error (its errno is kept).
            KernelStuck: no answer in time; the child is left alone, never waited for.
            NotLive: the root is a captured tree.
        """
        if not self.live:
            raise NotLive(f"no kernel behind {self.root}{path}")
        self.forget()
        real = self.real(path)
        pid = os.fork()
        if pid == 0:  # the child: no Python clean-up, only an exit status that carries errno
            os._exit(_write_once(real, data.encode()))
        deadline = time.monotonic() + timeout
        pause = 0.0002
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)  # does not reach a task in an uninterruptible sleep; it does any other
                raise KernelStuck(
                    f"the kernel did not answer a write of {data.strip()!r} to {path} within {timeout:g} s",
                    details=f"process {pid} may hang in the kernel until the device's user lets go",
                    resolution="see who holds the device (gpuctl host check), or reboot",
                )
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        code = os.waitstatus_to_exitcode(status)
        if code:
            text = os.strerror(code) if code > 0 else f"signal {-code}"
            raise KernelRefused(f"the kernel refused {data.strip()!r} to {path}: {text}", errno=max(code, 0))

    def forget(self) -> None:
        """Drop what was remembered of links; to be called after anything below the root was changed."""
        self._dirs.clear()


def _write_once(real: str, data: bytes) -> int:
    try:
        fd = os.open(real, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, data)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _end_group(child: subprocess.Popen[str]) -> None:
    """Kill the child's whole group; wait a moment for it, no longer (a task stuck in the kernel does not die)."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        return
    try:
        child.wait(2)
    except subprocess.TimeoutExpired:
        return

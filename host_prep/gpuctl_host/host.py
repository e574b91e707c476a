"""Host: the only door to files, links, commands and time. A captured tree is just another root.

Every path that goes in or out is absolute as the host itself would name it ("/etc/default/grub"), whatever the
root is. Below a root other than "/" links are resolved as a chroot would, so that nothing outside is read or written.
"""

from __future__ import annotations

import os
import stat
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gpuctl_host.errors import NotLive, OutsideRoot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuctl_host.command import Result

_LINKS_MAX = 40  # what Linux allows in one path walk (path_resolution(7))
_DEPTH_MAX = 32  # folders deeper than sysfs has any are not remembered by their parents
_READ_MAX = 64 * 1024 * 1024


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
            head, _, tail = path.rpartition("/")
            if tail in ("", ".", "..") or path.count("/") > _DEPTH_MAX:
                known = self._walk(path)
            else:  # most folders are no links themselves, and their parents are known already
                real = f"{self._directory(head) if head else self.root}/{tail}"
                known = self._walk(path) if os.path.islink(real) else real
            self._dirs[path] = known
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

    def attributes(self, folder: str, names: Iterable[str]) -> dict[str, str]:
        """Return the stripped text of each small file of ``folder`` that can be read; the fast way through sysfs.

        Args:
            folder: absolute, as the host names it.
            names: files in it, never paths; a link is not followed (sysfs attributes are none). The first 64 KiB count.
        """
        try:
            real = folder if self.root == "/" else self._directory(folder)
        except OutsideRoot:
            return {}
        found = {}
        for name in names:
            try:
                fd = os.open(f"{real}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
            except (OSError, ValueError):
                continue
            try:
                found[name] = os.read(fd, 65536).decode("utf-8", "replace").strip()
            except OSError:
                continue
            finally:
                os.close(fd)
        return found

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
        """Return the state of a file, or None if it cannot be had."""
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

    def open_devices(self, nodes: Mapping[str, int | None], *, seconds: float = 3.0) -> list[tuple[int, str]] | None:
        """Return (pid, node) of each process that has one of these character devices open.

        Args:
            nodes: /dev/... -> device number (os.makedev). On a real host the number decides: a container may name a
                node as it likes. Below another root (a simulation) there are no device nodes, and the name decides.
            seconds: stat(2) of a file on a dead network file system may block: after that long the answer is None.

        Returns:
            None if it cannot be known: a captured tree, another user's processes, or no answer in time.
        """
        if not self.live:
            return None
        import threading

        from gpuctl_host.descriptors import open_devices

        numbers = {number: node for node, number in nodes.items() if number is not None}
        names = {} if self.root == "/" else {node: node for node in nodes}
        answer: list[list[tuple[int, str]] | None] = []
        proc = self.real("/proc")
        work = threading.Thread(target=lambda: answer.append(open_devices(proc, numbers, names)), daemon=True)
        work.start()
        work.join(seconds)
        return answer[0] if answer else None

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

    def run(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Result:
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
        from gpuctl_host.command import run_command  # subprocess is slow to import, and a check runs nothing

        return run_command(argv, timeout=timeout, stdin=stdin, env=env)

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
        from gpuctl_host.kernel_write import write_with_deadline

        write_with_deadline(self.real(path), path, data, timeout)

    def forget(self) -> None:
        """Drop what was remembered of links; to be called after anything below the root was changed."""
        self._dirs.clear()

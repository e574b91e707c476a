"""Write to a kernel file in a child with a deadline: an unbind of a device in use can block for ever."""

from __future__ import annotations

import errno
import os
import signal
import time

from gpuctl_host.errors import KernelRefused, KernelStuck


def write_with_deadline(real: str, path: str, data: str, timeout: float) -> None:
    """The kernel has taken ``data`` in one write(2).

    Args:
        real: where the file is.
        path: its name on the host, for messages.
        data: what to write.
        timeout: seconds.

    Raises:
        KernelRefused: the kernel answered with an error.
        KernelStuck: no answer in time; the child is left alone, never waited for (facts/kernel-lab.md section 4).
    """
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


def _write_once(real: str, data: bytes) -> int:
    try:
        fd = os.open(real, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, data)
    except OSError as error:
        return error.errno or errno.EIO
    return 0

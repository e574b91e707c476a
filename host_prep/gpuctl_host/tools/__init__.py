"""One external command a file: argv lists, deadlines, one ToolError.

`argv()` is what a plan holds (GENERATED changes); the other functions run the command and answer in our terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.command import Result
    from gpuctl_host.host import Host

QUICK = 60.0  # seconds: commands that only read or tell a daemon
BUILD = 900.0  # seconds: an initramfs with zstd -19 on a busy machine takes minutes


def ran(host: Host, argv: Sequence[str], *, timeout: float, what: str, resolution: str) -> Result:
    """Return what the command answered; it ended with status 0.

    Raises:
        ToolError: it is missing, failed, or did not end in time.
        NotLive: the root is a captured tree.
    """
    answer = host.run(argv, timeout=timeout)
    if answer.returncode:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()[-20:]
        raise ToolError(
            f"{what} failed: {argv[0]} ended with status {answer.returncode}",
            details="\n".join((" ".join(argv), *said)),
            resolution=resolution,
        )
    return answer

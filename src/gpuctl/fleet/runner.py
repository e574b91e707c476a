"""Many hosts asked at once: a bounded number of threads, one answer or one error for each host, as they come."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.remote.errors import RemoteError
from gpuctl.remote.host import RemoteHost
from gpuctl.remote.road import Jumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpuctl.remote.endpoint import Endpoint

MIN_ASK = 1.0  # seconds that are left for the answer, however long the login took


@dataclass(frozen=True, slots=True)
class Target:
    """A host to ask: its name in the inventory, its groups, and how to find out the way to it."""

    host: str
    groups: tuple[str, ...]
    way: Callable[[], Endpoint]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one host.

    Attributes:
        target: which.
        seconds: how long it took.
        document: its answer; None where there is an error.
        error: why there is no answer.
    """

    target: Target
    seconds: float
    document: dict[str, Any] | None = None
    error: OperatorError | None = None


class Unforeseen(RemoteError):
    """A defect of ours met one host; the others were asked all the same."""

    exit_code = 1
    code = "unforeseen"


def ask_all(
    targets: Sequence[Target],
    request: Mapping[str, Any],
    *,
    forks: int,
    timeout: float,
    debug: Callable[[str], None] | None = None,
) -> Iterator[Outcome]:
    """Yield one outcome for each target, in the order in which they come.

    Args:
        targets: the hosts.
        request: see gpuctl_host.entry; the same for all.
        forks: how many are asked at once.
        timeout: seconds for one host in all: connection, login and answer.
        debug: is told the traceback of an unforeseen error.
    """
    # Threads of our own: those of concurrent.futures are waited for when a person presses Ctrl-C.
    waiting: queue.SimpleQueue[Target] = queue.SimpleQueue()
    for target in targets:
        waiting.put(target)
    done: queue.Queue[Outcome] = queue.Queue(maxsize=max(forks, 1))
    with Jumps() as jumps:

        def work() -> None:
            while True:
                try:
                    target = waiting.get_nowait()
                except queue.Empty:
                    return
                done.put(_ask(target, request, timeout, jumps, debug))

        for _ in range(min(forks, len(targets))):
            threading.Thread(target=work, daemon=True).start()
        for _ in targets:
            yield done.get()


def _ask(
    target: Target, request: Mapping[str, Any], timeout: float, jumps: Jumps, debug: Callable[[str], None] | None
) -> Outcome:
    began = time.monotonic()

    def since() -> float:
        return time.monotonic() - began

    try:
        way = target.way()
        way = replace(way, connect_timeout=min(way.connect_timeout, timeout))
        with RemoteHost(way, jumps=jumps) as host:
            document, _ = host.ask(request, timeout=max(timeout - since(), MIN_ASK))
        return Outcome(target, since(), document)
    except OperatorError as error:
        return Outcome(target, since(), error=error)
    except Exception as error:  # noqa: BLE001 - one host's trouble, of whatever kind, is not the others'
        if debug is not None:
            import traceback

            debug(traceback.format_exc())
        return Outcome(
            target,
            since(),
            error=Unforeseen(
                f"{target.host}: unforeseen {type(error).__name__}: {error}",
                resolution="run it again with --debug and report what it prints; this is a defect of gpuctl",
            ),
        )

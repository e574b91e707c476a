"""Who goes when: the canary first, then the batches; and when it is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.errors import OperatorError
from gpuctl.fleet.run_state import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuctl.fleet.run_state import HostState


class BadSize(OperatorError):
    """A batch size or a share that is none."""

    exit_code = 2


def sizes(text: str) -> tuple[str, ...]:
    """Return the batch sizes of `--serial`: "5", "20%" or a list of both; checked.

    Raises:
        BadSize: naming the one that is no size.
    """
    found = tuple(part.strip() for part in text.split(","))
    for part in found:
        number = part.removesuffix("%")
        if not number.isdecimal() or int(number) < 1 or (part.endswith("%") and int(number) > 100):
            raise BadSize(
                f"--serial {part!r} is no batch size", resolution="a number, a share, or a list: 5, 20%, 1,10%"
            )
    return found


def share(text: str) -> float:
    """Return the percentage of `--max-fail`: "10%" or "10".

    Raises:
        BadSize: it is none.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = -1
    if not 0 <= value <= 100:
        raise BadSize(f"--max-fail {text!r} is no share of the hosts", resolution="0% to 100%")
    return value


def batches(hosts: Sequence[str], canary: int, serial: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the hosts in batches: the first ``canary`` alone, then by ``serial``, whose last size repeats.

    Args:
        hosts: in the order in which to go; shares are of all of them.
        canary: 0 for none. Where no host would be left after it, there is none.
        serial: from sizes(); empty for all the rest at once.
    """
    rest, found = list(hosts), []
    if 0 < canary < len(rest):
        found.append(tuple(rest[:canary]))
        del rest[:canary]
    step = 0
    while rest:
        size = _count(serial[min(step, len(serial) - 1)], len(hosts)) if serial else len(rest)
        found.append(tuple(rest[:size]))
        del rest[:size]
        step += 1
    return found


def _count(size: str, total: int) -> int:
    return max(1, total * int(size[:-1]) // 100) if size.endswith("%") else int(size)


def enough(states: Iterable[HostState], total: int, max_fail: float, *, canary: Sequence[str] = ()) -> str:
    """Return why no further batch may begin, or nothing.

    Args:
        states: of the hosts that had their turn.
        total: hosts in the run.
        max_fail: the percentage that may fail.
        canary: the hosts that went first, while only they had their turn: of them none may fail.
    """
    bad = [state for state in states if state.state not in GOOD]
    first = [state.host for state in bad if state.host in canary]
    if first:
        return f"{', '.join(first)} went first and did not make it; no other host was touched"
    if 100 * len(bad) > max_fail * total:
        return f"{len(bad)} of {total} hosts did not make it, more than --max-fail {max_fail:g}%"
    return ""

"""What an operator asks of a drain."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuctl.moves.drain.caps import Caps
from gpuctl.moves.errors import MoveError
from gpuctl.moves.move import Options


class BadShare(MoveError):
    """A --max-fail that is none."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class MaxFail:
    """When no further move may start.

    Attributes:
        number: so many that did not end well are enough.
        percent: more than this share of all is enough.
    """

    number: int | None = 1
    percent: float | None = None

    @classmethod
    def of(cls, text: str) -> MaxFail:
        """Return what "3" or "10%" means.

        Raises:
            BadShare: it is neither.
        """
        said = text.strip()
        number = said.removesuffix("%")
        if number.isdecimal() and said.endswith("%") and int(number) <= 100:
            return cls(None, float(number))
        if number.isdecimal() and number == said and int(number) >= 1:
            return cls(int(number))
        raise BadShare(
            f"--max-fail {text!r} is neither a number of servers nor a share", resolution="1 and more, or 0% to 100%"
        )

    def reached(self, failed: int, total: int) -> bool:
        """Say whether it is enough."""
        if self.percent is not None:
            return 100 * failed > self.percent * total
        return failed >= (self.number or 1)

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.number)


@dataclass(frozen=True)
class Settings:
    """How a drain is done.

    Attributes:
        caps: how many at a time.
        max_fail: when to stop.
        skip_failing: move those that can be moved, though others cannot.
        options: of each move.
        only: the hosts that may be gone to; empty for all.
        avoid: hosts that may not (those that will be drained next).
        any_zone: a server that is pinned to no zone may leave its own.
        evacuate: the host is dead; servers are rebuilt elsewhere.
        confirmed_dead: the host's name, typed by whoever knows that it is powered off.
        accept_disk_loss: evacuate servers whose local disks are lost by that.
    """

    caps: Caps = field(default_factory=Caps)
    max_fail: MaxFail = field(default_factory=MaxFail)
    skip_failing: bool = False
    options: Options = field(default_factory=Options)
    only: tuple[str, ...] = ()
    avoid: frozenset[str] = frozenset()
    any_zone: bool = False
    evacuate: bool = False
    confirmed_dead: str = ""
    accept_disk_loss: bool = False

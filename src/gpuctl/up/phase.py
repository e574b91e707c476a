"""A phase of the chain, what it came to, and hosts that are no longer part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECK, PREPARE, VERIFY, CONFIGURATION, FLAVORS, SMOKE = (
    "check",
    "prepare",
    "verify",
    "configuration",
    "flavors",
    "smoke",
)
PHASES = (CHECK, PREPARE, VERIFY, CONFIGURATION, FLAVORS, SMOKE)

# What a phase comes to.
HOLDS = "holds"  # looked at now: nothing had to be done
DONE = "done"  # done now, and read back
PART = "part"  # some hosts or flavors did not make it; the chain goes on with the others
WAITING = "waiting"  # for somebody: a reboot, a file to be laid down
FAILED = "failed"
NOT_ASKED = "not-asked"  # by an option: --no-smoke
INTERRUPTED = "interrupted"  # by Ctrl-C: what it had done by then is done
STATES = (HOLDS, DONE, PART, WAITING, FAILED, NOT_ASKED, INTERRUPTED)
GOOD = (HOLDS, DONE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a phase came to.

    Attributes:
        state: one of STATES.
        evidence: what was seen, a line each.
        resolution: one thing to do now; empty where nothing is to be done.
        exit_code: of the command, if the chain ends here.
    """

    state: str
    evidence: tuple[str, ...] = ()
    resolution: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A phase with its time: ``seconds`` of this run, ``earlier`` of the run that did it, where this one had not to."""

    phase: str
    outcome: Outcome
    seconds: float
    earlier: float | None = None

    def document(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {
            "phase": self.phase,
            "state": self.outcome.state,
            "seconds": round(self.seconds, 1),
            "earlier_seconds": self.earlier,
            "evidence": list(self.outcome.evidence),
            "resolution": self.outcome.resolution,
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A host that cannot be sold, and from which phase on.

    Attributes:
        host: its name in the inventory.
        phase: one of PHASES.
        why: in one line.
        resolution: one thing to do.
        exit_code: that the command would have, were this the only host.
    """

    host: str
    phase: str
    why: str
    resolution: str
    exit_code: int = 1

    def document(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {"host": self.host, "phase": self.phase, "why": self.why, "resolution": self.resolution}


def lost(left: Sequence[LeftOut], hosts: int) -> int:
    """Return the exit code of hosts that were left out, of so many: what they have in common if it is all of them."""
    if len(left) < hosts:
        return 5 if left else 0
    codes = {one.exit_code for one in left}
    return codes.pop() if len(codes) == 1 else 1

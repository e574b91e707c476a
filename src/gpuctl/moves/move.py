"""One move of one server: what is asked for, by which way, and what has been asked of Nova so far.

A Track is all that a way (ways/) knows besides the cloud itself. It is rebuilt from the journal after a kill, so that
nothing in it may say what *is*: only what was before, what was intended, and which answers came back.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuctl.moves.model import Action, Allocation, Fault, Finding, Migration, Row, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl.moves.proof import Proof

COLD, SHELVE, LIVE, LEGACY = "cold", "shelve", "live", "legacy"
STRATEGIES = (COLD, SHELVE, LIVE, LEGACY)

DEADLINES: Mapping[str, float] = {
    "begin": 120.0,  # until Nova shows that it began
    "move": 7200.0,  # disks are copied
    "confirm": 900.0,
    "revert": 1800.0,
    "shelve": 7200.0,  # a snapshot is uploaded
    "unshelve": 3600.0,
    "live": 7200.0,
    "power": 600.0,
    "audit": 180.0,
}
"""Seconds after which a step is reported as "unknown, still going": never as failed."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator asked for besides the destination.

    Attributes:
        strategy: one of STRATEGIES, or "auto".
        confirm: confirm once the guest is proven good; else leave it in VERIFY_RESIZE.
        on_bad: "leave" or "revert" a server whose guest is not good.
        force_locked: move it although it is locked.
        accept_ephemeral_loss: shelve it although its ephemeral disks and swap are lost by that.
        live_aliases: aliases of which the operator says that they are live_migratable (Nova shows it to nobody).
        settle: seconds in which a request whose answer was lost must have left a trace, else it was not taken.
        audit_interval: seconds between two audits of a nova-compute: its update_resources_interval.
        deadlines: kind of step -> seconds; DEADLINES for what is missing.
    """

    strategy: str = "auto"
    confirm: bool = True
    on_bad: str = "leave"
    force_locked: bool = False
    accept_ephemeral_loss: bool = False
    live_aliases: tuple[str, ...] = ()
    settle: float = 20.0
    audit_interval: float = 60.0
    deadlines: Mapping[str, float] = field(default_factory=dict)

    def deadline(self, kind: str) -> float:
        """Return how many seconds a kind of step may take before it is "unknown, still going"."""
        limit = self.deadlines.get(kind, DEADLINES[kind])
        return max(limit, self.audit + 60) if kind == "audit" else limit

    @property
    def audit(self) -> float:
        """Seconds within which every nova-compute that is up has surely begun and ended an audit."""
        return 2 * self.audit_interval + min(self.audit_interval, 10.0)


@dataclass(frozen=True, slots=True)
class Move:
    """One server is to leave its host.

    Attributes:
        id: of this move: in the journal, and in messages.
        server: as it was just before (host, power, flavor, ...).
        source: the host that it leaves.
        to: the host that it is to go to; None: Nova chooses.
        strategy: one of STRATEGIES.
        why: in one sentence, why this way.
        records: the ids of the server's migrations when it was planned; None where they were not kept.
    """

    id: str
    server: Server
    source: str
    to: str | None
    strategy: str
    why: str = ""
    options: Options = Options()
    records: tuple[int, ...] | None = None

    @property
    def ran(self) -> bool:
        """Whether the guest was powered on before."""
        return self.server.vm_state == "active"


ASKED, TAKEN, LOST, REFUSED, UNSENT = "asked", "taken", "lost", "refused", "unsent"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that changes something.

    Attributes:
        name: migrate, confirm, revert, shelve, offload, unshelve, live, stop, start, reset, allocation.
        at: when it was about to be sent, seconds since 1970 on this machine.
        outcome: ASKED (killed before the answer), TAKEN, LOST (no good answer), REFUSED (400..499), UNSENT.
        request: Nova's id of it, by which its action is found.
        detail: what Nova said, where it did not take it.
    """

    name: str
    at: float
    outcome: str = ASKED
    request: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """A move, and what has been asked for it so far.

    Attributes:
        known: the ids of the migrations that the server had before.
        requests: the request ids of the actions that it had before; None where they were not read.
        sent: what was asked of Nova, oldest first.
        since: when this process began or took up the move: deadlines count from there or from the last request.
        resumed: taken up after a kill, an interruption or a deadline.
        proof: of the guest on the destination, as seen in this process; a proof is never taken from the journal.
        checked: the findings of the last look after the move; None before it.
        checks: how often that look was had since the last request.
        held: since when cards of the shelved server are seen held on its old host; 0: they are not, or nobody sees.
        lingered: when the offloaded server was first and last seen on its old host still; None: it never was.
        right: what Placement should say instead, where the check found out (doubled allocations).
    """

    move: Move
    known: frozenset[int] = frozenset()
    requests: frozenset[str] = frozenset()
    sent: tuple[Sent, ...] = ()
    since: float = 0.0
    resumed: bool = False
    proof: Proof | None = None
    checked: tuple[Finding, ...] | None = None
    checks: int = 0
    held: float = 0.0
    lingered: tuple[float, float] | None = None
    right: Allocation | None = None

    def last(self, name: str) -> Sent | None:
        """Return the newest request of a name."""
        return next((one for one in reversed(self.sent) if one.name == name), None)

    def count(self, name: str) -> int:
        """Return how often it was asked for in this process."""
        return sum(1 for one in self.sent if one.name == name and one.at >= self.since)

    @property
    def asked_at(self) -> float:
        """When the last thing happened from which a deadline counts."""
        return max(self.since, self.sent[-1].at if self.sent else 0.0)

    def with_sent(self, one: Sent) -> Track:
        """Return the track with a new request; an older proof or check does not hold any more."""
        return replace(self, sent=(*self.sent, one), proof=None, checked=None, checks=0, held=0.0, right=None)

    def with_answer(self, one: Sent) -> Track:
        """Return the track with the newest request of that name answered."""
        at = max(index for index, sent in enumerate(self.sent) if sent.name == one.name)
        return replace(self, sent=(*self.sent[:at], one, *self.sent[at + 1 :]))


@dataclass(frozen=True, slots=True)
class Sight:
    """What Nova shows of one server at one moment.

    Attributes:
        now: seconds since 1970 on this machine.
        server: None: there is none any more.
        migrations: of this server, oldest first.
        close: server, migrations and actions were all read for this very sight: only such a one may end a move badly.
        actions: newest first, those that matter with their events; None where they were not read.
        rows: the cards that Nova's books give to the server; None: not read for this sight; () where nobody sees them.
        ahead: seconds by which Nova's clock is ahead of this machine's.
        blind: nobody sees the cards that Nova's books give to the server.
    """

    now: float
    server: Server | None
    migrations: tuple[Migration, ...] = ()
    close: bool = False
    actions: tuple[Action, ...] | None = None
    rows: tuple[Row, ...] | None = ()
    ahead: float = 0.0
    blind: bool = True


def new_id(now: datetime | None = None) -> str:
    """Return an id that sorts by time: 20261121T120145Z-1f3a."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(2)}"


def dump_move(move: Move) -> dict[str, Any]:
    """Return a move as JSON values; ``load_move`` reads it."""
    said = asdict(move)
    said["server"]["specs"] = dict(move.server.specs)
    return said


def load_move(said: Mapping[str, Any]) -> Move:
    """Return the move that ``dump_move`` wrote; fields that this version does not know are left out."""
    server = _known(Server, said["server"])
    server["fault"] = Fault(**server["fault"]) if server.get("fault") else None
    options = _known(Options, said.get("options") or {})
    move = _tuples(_known(Move, said))
    return Move(**{**move, "server": Server(**_tuples(server)), "options": Options(**_tuples(options))})


def _known(kind: Any, said: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    return {name: said[name] for name in kind.__dataclass_fields__ if name in said}


def _tuples(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}

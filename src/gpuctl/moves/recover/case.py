"""What is wrong with one server, in words, with what shows it and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuctl.moves.model import Migration
from gpuctl.moves.recover.holds import Hold

PROVEN, LIKELY, POSSIBLE = "proven", "likely", "possible"

IDS = frozenset(
    {
        *("healthy", "no-valid-host", "in-progress", "stuck", "interrupted", "two-guests"),
        *("leaked-card", "rolled-back", "retried-after-leak", "row-awaits-audit", "evacuation-holds"),
        *("reset-state-too-early", "reset-state-too-early-and-again"),
        *("verify-resize-left", "verify-resize-without-migration"),
        *("finish-failed", "finish-failed-and-started", "copy-failed", "rolled-back-and-rebooted"),
        *("confirm-failed", "revert-failed", "alias-missing", "claim-failed", "error-otherwise"),
        *("snapshot-failed", "start-refused", "unshelve-failed", "shelved-in-repair"),
        *("guest-not-running", "guest-wrong-cards"),
        *("evacuated-old-host-away", "evacuated-old-host-back", "evacuated-and-started", "evacuated-and-stopped"),
        *("double-allocation", "orphan-migration-allocation", "stale-resize", "stale-domain"),
    }
)
"""Every case; each has its heading in docs/reference/recovery-cases.md."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case; several may hold at once.

    Attributes:
        id: stable, of docs/reference/recovery-cases.md.
        title: in plain words.
        evidence: what was read, and where.
        certainty: proven, likely or possible.
        proof: what would make it proven; empty where it is.
        harmless: nothing has to be repaired: it is only explained.
        migration: the record that it is about.
        hold: the cards that it is about.
        guest: "runs", "off" or None (unknown), as the case implies it; what a host shows goes before.
        host: where the folder or the domain is that it is about.
        right: addresses on the server's host that Placement should have it hold, where they are known.
    """

    id: str
    title: str
    evidence: tuple[str, ...]
    certainty: str = PROVEN
    proof: str = ""
    harmless: bool = False
    migration: Migration | None = None
    hold: Hold | None = None
    guest: str | None = None
    host: str | None = None
    right: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse an id that nobody documented."""
        if self.id not in IDS:
            raise ValueError(self.id)

"""The records that every room of the moves reads: Nova's, Placement's, the hosts', as they were at one moment.

Field names are Nova's own. A record says what its source said; what it means is decided elsewhere (books/compare.py,
guards/, recover/diagnosis.py). Unknown is None, never a guess.
"""

from __future__ import annotations

from gpuctl.moves.model.books import Books, Unseen
from gpuctl.moves.model.cards import Allocation, Domain, Folder, HostView, Provider, Row
from gpuctl.moves.model.findings import Finding, Statement
from gpuctl.moves.model.nova import (
    ALIAS,
    AWAITS,
    BROKEN,
    OPEN,
    OVER,
    Action,
    Compute,
    Event,
    Fault,
    Migration,
    Server,
    Wish,
    moment,
)

__all__ = [
    "ALIAS",
    "AWAITS",
    "BROKEN",
    "OPEN",
    "OVER",
    "Action",
    "Allocation",
    "Books",
    "Compute",
    "Domain",
    "Event",
    "Fault",
    "Finding",
    "Folder",
    "HostView",
    "Migration",
    "Provider",
    "Row",
    "Server",
    "Statement",
    "Unseen",
    "Wish",
    "moment",
]

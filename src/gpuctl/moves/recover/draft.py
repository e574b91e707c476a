"""A plan in the making: what each case of a server adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuctl.moves.model import Statement
from gpuctl.moves.recover.step import Step

if TYPE_CHECKING:
    from gpuctl.moves.recover.sight import Sight

SETTLED = frozenset({"ACTIVE", "SHUTOFF"})
"""A server at rest, as it is to be."""


@dataclass
class Draft:
    """A plan in the making."""

    sight: Sight
    back: bool  # revert what waits, instead of confirming it
    steps: list[Step] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)

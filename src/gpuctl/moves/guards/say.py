"""How a guard answers."""

from __future__ import annotations

from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.model import Finding


def good(name: str, at: Situation, title: str, evidence: str = "") -> Finding:
    """Nothing speaks against the move here."""
    return Finding(name, "pass", at.server.id, title, evidence)


def warn(name: str, at: Situation, title: str, evidence: str, fix: str = "") -> Finding:
    """It may be done, and one should know."""
    return Finding(name, "warn", at.server.id, title, evidence, fix)


def fail(name: str, at: Situation, title: str, evidence: str, fix: str) -> Finding:
    """It is refused."""
    return Finding(name, "fail", at.server.id, title, evidence, fix)


def skip(name: str, at: Situation, title: str, evidence: str, fix: str = "") -> Finding:
    """It could not be known."""
    return Finding(name, "skip", at.server.id, title, evidence, fix)

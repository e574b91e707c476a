"""Which releases a newest microversion may stand for: neighbours share one, so the answer is a span."""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.cloud import Microversion
from gpuctl.nova.releases import FIRST, LAST, RELEASES


@dataclass(frozen=True, slots=True)
class Span:
    """The oldest and the newest release that it can be; take the one that is the more careful."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} or {self.high}"


def span(newest: Microversion) -> Span:
    """Return the releases whose newest microversion this is; a vendor's number in between has its neighbours'."""
    known = [(_pair(one.microversion), one.number) for one in RELEASES]
    same = [number for version, number in known if version == newest]
    if same:
        return Span(min(same), max(same))
    below = [number for version, number in known if version < newest]
    above = [number for version, number in known if version > newest]
    return Span(max(below, default=FIRST - 1), min(above, default=LAST + 1))


def _pair(text: str) -> Microversion:
    major, _, minor = text.partition(".")
    return int(major), int(minor)

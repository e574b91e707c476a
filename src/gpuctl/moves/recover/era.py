"""What a leaked card does to a server, by Nova's release (facts/nova.md 4.5); read off the newest microversion."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.cloud import Microversion

_VICTORIA_OR_USSURI = (2, 87)  # 21 and 22 share it: the more careful of both holds
_YOGA = (2, 90)  # 24 and 25


class Era(Enum):
    """How Nova treats the cards of a move that failed."""

    HEALS = "heals"
    """21 and older: an `error` migration owns nothing, the next periodic audit frees its card [source]."""

    DOUBLES = "doubles"
    """22 to 25: it stays allocated, and a start puts both cards' addresses into the guest's XML (run 25.3.0)."""

    KEY_ERROR = "key-error"
    """26 and newer: it stays allocated, and a start or hard reboot ends in KeyError with the guest destroyed."""

    @property
    def leaks(self) -> bool:
        """Whether `error` migrations keep their cards (255b3f2f91, 22.0.0)."""
        return self is not Era.HEALS

    @property
    def start_would(self) -> str:
        """What a start or hard reboot does to a server with cards of two claims."""
        if self is Era.DOUBLES:
            return "would give the guest a card that another may have"
        if self is Era.HEALS:
            return "could come before the audit that frees the other card"
        return "would end in KeyError, with the guest destroyed and undefined"


def era_of(newest: Microversion) -> Era:
    """Return the era of an API's newest microversion; what is not known to be older is KEY_ERROR, the most careful."""
    if newest < _VICTORIA_OR_USSURI:
        return Era.HEALS
    return Era.DOUBLES if newest <= _YOGA else Era.KEY_ERROR

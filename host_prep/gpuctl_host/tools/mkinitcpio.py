"""mkinitcpio: Arch's images, by preset."""

from __future__ import annotations


def argv(preset: str) -> tuple[str, ...]:
    """Return the command that makes every image of one preset anew."""
    return ("mkinitcpio", "-p", preset)

"""What a capture notes that no file of a host tells: answers of commands, and who held the cards at that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl_host.host import Host

PATH = "/gpuctl-capture.json"


def read_learned(host: Host) -> dict[str, object]:
    """Return the notes of a captured tree; empty on a live host and in a tree that gpuctl did not make."""
    if host.live:
        return {}
    text = host.read(PATH, 4 << 20)
    if text is None:
        return {}
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

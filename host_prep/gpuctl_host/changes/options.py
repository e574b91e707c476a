"""What the user asked of a prepare."""

from __future__ import annotations

from gpuctl_host.data import frozen

AUDIO = ("remove", "bind", "leave")
NVSWITCH = ("leave", "guest")


@frozen
class Options:
    """The words of `gpuctl host prepare`.

    Attributes:
        gpus: selectors as given (--gpu); empty means all.
        audio: what becomes of the cards' audio functions: "remove", "bind" or "leave".
        nvswitch: "leave" (they stay with the host) or "guest" (bound with the GPUs: one guest gets them all).
        live: whether the running kernel may be changed too; false for a captured tree.
    """

    gpus: tuple[str, ...] = ()
    audio: str = "remove"
    nvswitch: str = "leave"
    live: bool = True

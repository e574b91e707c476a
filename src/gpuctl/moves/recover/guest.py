"""What is known of a server's guest: the host's own view where there is one, else what Nova says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.moves.proof import gpus_of

if TYPE_CHECKING:
    from gpuctl.moves.model import Domain
    from gpuctl.moves.recover.sight import Sight

RUNS, OFF = "runs", "off"
GOOD, BAD, UNPROVEN = "good", "bad", "unproven"
_RUNNING = 1  # nova/compute/power_state.py


@dataclass(frozen=True, slots=True)
class Guest:
    """The guest on the server's own host.

    Attributes:
        state: runs, off (shut off, or not even defined) or None (unknown).
        seen: the host itself shows it; otherwise it is what Nova last heard, which a failed move leaves wrong.
        hostdevs: the addresses in its domain; None where the host did not show it.
    """

    state: str | None
    seen: bool
    hostdevs: tuple[str, ...] | None = None

    @property
    def words(self) -> str:
        """It as part of a sentence."""
        said = {RUNS: "the guest runs", OFF: "the guest is off"}.get(
            self.state or "", "whether the guest runs is unknown"
        )
        return f"{said} ({'seen on the host' if self.seen else 'not looked at on the host'})"


def guest_of(sight: Sight) -> Guest:
    """Return what is known of the guest."""
    if sight.server is None or sight.home is None:
        return Guest(OFF, seen=False)
    view = sight.view(sight.home)
    if view is not None:
        mine = domain_at(sight, sight.home)
        if mine is None:
            return Guest(OFF, seen=True, hostdevs=())
        return Guest(RUNS if mine.runs else OFF, seen=True, hostdevs=gpus_of(mine, view))
    if sight.status == "ERROR":
        return Guest(None, seen=False)  # Nova does not look after a failed move, for up to ten minutes
    return Guest(RUNS if sight.server.power_state == _RUNNING else OFF, seen=False)


def wrong_cards(sight: Sight, guest: Guest) -> str:
    """Return how the cards of a running guest differ from its own; empty where they do not, or nobody can say.

    Books that give it a wrong number of cards are a case of their own, and say nothing about the guest.
    """
    has, wanted = set(guest.hostdevs or ()), sight.server.cards if sight.server else 0
    said = f"its domain has {', '.join(sorted(has)) or 'no card'}"
    if sight.rows is not None:
        held = [one for one in sight.rows if not one.network]
        own = {one.address.lower() for one in held if one.host == sight.home}
        if len(own) == wanted == len(held) and has != own:
            return f"{said}; Nova's books give it {', '.join(sorted(own))}"
    elif len(has) > wanted:
        return f"{said}; its flavor asks for {wanted}"
    return ""


def domain_at(sight: Sight, host: str | None) -> Domain | None:
    """Return the server's domain on a host; None where there is none, or the host was not looked at."""
    return next((one for one in sight.domains if one.host == host), None)


def running_elsewhere(sight: Sight) -> tuple[Domain, ...]:
    """Return running domains of this server on hosts that Nova does not have it on."""
    return tuple(one for one in sight.domains if one.host != sight.home and one.runs)


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the guest of a move in VERIFY_RESIZE is good on its new host.

    Attributes:
        answer: GOOD, BAD or UNPROVEN.
        by: "host" or "api"; the API alone never proves a guest good.
        why: what was seen.
    """

    answer: str
    by: str
    why: str


def proof_of(sight: Sight) -> Proof:
    """Return whether the guest is proven good on the destination; a host's view goes before the API's."""
    server = sight.server
    if server is None:
        return Proof(UNPROVEN, "api", "there is no server")
    guest = guest_of(sight)
    if guest.seen:
        return _by_host(sight, guest, server.cards)
    if server.fault is not None:
        return Proof(BAD, "api", f"the server has a fault: {server.fault.message}")
    if sight.failed_action is not None:
        return Proof(BAD, "api", f"its last action failed: {sight.says(sight.failed_action)}")
    if guest.state != RUNS and not _was_stopped(sight):
        return Proof(BAD, "api", f"Nova says that no guest runs on {sight.home}")
    return Proof(UNPROVEN, "api", f"Nova says that all is well; nobody looked at the guest on {sight.home}")


def _by_host(sight: Sight, guest: Guest, wanted: int) -> Proof:
    """Judge the domain that the host shows."""
    mine = domain_at(sight, sight.home)
    if mine is None and not _was_stopped(sight):
        return Proof(BAD, "host", f"there is no domain of it on {sight.home}")
    if mine is not None and mine.state != "running" and not _was_stopped(sight):
        return Proof(BAD, "host", f"its domain on {sight.home} is {mine.state}: it does not run")
    shown = set(guest.hostdevs or ())
    if mine is not None and sight.rows is not None:
        booked = {one.address.lower() for one in sight.rows if one.host == sight.home}
        if not booked <= shown:
            return Proof(BAD, "host", f"its domain has {sorted(shown)}, the books say {sorted(booked)}")
    if mine is not None and len(shown) < wanted:
        return Proof(BAD, "host", f"its domain has {len(shown)} of {wanted} cards")
    if guest.state != RUNS:
        return Proof(GOOD, "host", f"it was stopped before the move, and is on {sight.home}")
    return Proof(GOOD, "host", f"its domain runs on {sight.home} with {', '.join(sorted(shown))}")


def _was_stopped(sight: Sight) -> bool:
    """Say whether the server was stopped when its newest move began, by the actions before that."""
    names = [one.action for one in sight.actions if one.message is None]
    if not any(one in _MOVING for one in names):
        return False
    before = names[: max(index for index, one in enumerate(names) if one in _MOVING)]
    power = [one for one in before if one in {"stop", "start", "reboot", "create", "unshelve"}]
    return bool(power) and power[-1] == "stop"


_MOVING = ("migrate", "resize")

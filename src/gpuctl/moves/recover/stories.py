"""What happened to a server that stands badly: told by its status, its newest move, and what was tried afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.model import BROKEN
from gpuctl.moves.recover.case import LIKELY, POSSIBLE, PROVEN, Case
from gpuctl.moves.recover.guest import OFF, RUNS, guest_of, wrong_cards
from gpuctl.moves.recover.phase import Phase, after, phase
from gpuctl.moves.recover.sight import STARTS, Sight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl.moves.model import Action, Migration

KEY_ERROR = "KeyError"
HOSTS = "--ssh: the host itself shows its domains"
_ENDED = {BROKEN, "failed", "reverted", "confirmed"}


def stories(sight: Sight) -> Iterator[Case]:
    """Yield the case of the server's state, if it is not as it should be: at most one."""
    if sight.server is None:
        return
    if sight.status == "ERROR":
        yield _error(sight)
    elif sight.status in {"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"}:
        yield from _standing(sight)
    elif sight.status in {"SHELVED_OFFLOADED", "SHELVED"}:
        yield from _shelved(sight)


def _error(sight: Sight) -> Case:
    """Return why it is in ERROR."""
    fault = sight.server.fault if sight.server else None
    newest = sight.migrations[-1] if sight.migrations else None
    if newest is None or newest.dest is None or newest.status not in _ENDED:
        return _other_error(sight)
    step, event = phase(sight, newest)
    said = "" if event is None else f"event {event.name}: {event.words}"
    evidence = (
        f"status ERROR on {sight.home}",
        f"migration {newest.id} {newest.source} -> {newest.dest} is {newest.status}",
        *((said,) if said else ()),
        *((f"fault: {fault.message}; {fault.words}",) if fault else ()),
    )
    tried = next((one for one in reversed(after(sight, newest, STARTS)) if one.message == "Error"), None)
    if tried is not None and _is_key_error(sight, tried):
        return _destroyed(sight, newest, tried, evidence)
    told = _BY_PHASE.get(step) if step is not None else None
    if told is None:
        return _guessed(sight, newest, evidence)
    name, title, guest = told
    if step is Phase.CLAIM and "alias" not in said.lower():
        name, title = "claim-failed", "the destination could not claim the cards; the guest runs on where it was"
    return Case(
        name,
        title.format(source=newest.source, dest=newest.dest),
        evidence,
        PROVEN if guest_of(sight).seen else LIKELY,
        "" if guest_of(sight).seen else HOSTS,
        migration=newest,
        guest=guest,
    )


_BY_PHASE = {
    Phase.DEST: ("finish-failed", "the move failed on {dest} when the guest was to start there; it is off", OFF),
    Phase.SOURCE: (
        "copy-failed",
        "the move failed on {source} while the disks were copied; the guest is off there",
        OFF,
    ),
    Phase.CONFIRM: (
        "confirm-failed",
        "the move worked, its confirmation failed on {source}; the guest runs on {dest}",
        RUNS,
    ),
    Phase.REVERT: ("revert-failed", "the move was taken back, and the guest did not start again on {source}", OFF),
    Phase.REVERT_DEST: ("revert-failed", "taking the move back failed on {dest}", None),
    Phase.CLAIM: (
        "alias-missing",
        "{dest} does not know the alias; nothing was moved and the guest runs on {source}",
        RUNS,
    ),
    Phase.SCHEDULE: ("claim-failed", "no host could take it; nothing was moved and the guest runs on {source}", RUNS),
}


def _guessed(sight: Sight, migration: Migration, evidence: tuple[str, ...]) -> Case:
    """Return the case by the host alone: the events are gone."""
    at_dest = sight.home == migration.dest
    return Case(
        "finish-failed" if at_dest else "copy-failed",
        "a move failed half way; no event is left that says at which step",
        evidence,
        POSSIBLE,
        HOSTS,
        migration=migration,
    )


def _destroyed(sight: Sight, migration: Migration, tried: Action, evidence: tuple[str, ...]) -> Case:
    """Return the case of a start with cards of two claims: the guest was destroyed, the disks are there."""
    name, title = _TRIED[_tried_kind(sight, migration)]
    return Case(
        name,
        f"{title}; a {tried.action} then ended in KeyError, and the guest is gone (its disks are not)",
        (*evidence, f"action {tried.action} at {tried.started}: {sight.says(tried)}"),
        migration=migration,
        guest=OFF,
    )


_TRIED = {
    "source": ("rolled-back-and-rebooted", "a move was rolled back and left a card on its destination"),
    "dest": ("finish-failed-and-started", "a move failed on its destination and left a card on its source"),
    "evacuation": ("evacuated-and-started", "it was evacuated, and its old host still holds its card"),
}


def _tried_kind(sight: Sight, migration: Migration) -> str:
    if migration.kind == "evacuation":
        return "evacuation"
    return "source" if sight.home == migration.source else "dest"


def _is_key_error(sight: Sight, action: Action) -> bool:
    """Say whether an action ended in the KeyError of cards of two claims."""
    fault = sight.server.fault if sight.server else None
    return KEY_ERROR in sight.says(action) or (fault is not None and fault.message == KEY_ERROR)


def _other_error(sight: Sight) -> Case:
    fault = sight.server.fault if sight.server else None
    return Case(
        "error-otherwise",
        "it is in ERROR, and not for a move: gpuctl does not know what would be right",
        (f"status ERROR on {sight.home}", f"fault: {fault.message if fault else 'none'}"),
        harmless=False,
    )


def _standing(sight: Sight) -> Iterator[Case]:
    """Yield what is wrong with a server that Nova says is well."""
    action, newest = sight.failed_action, sight.migrations[-1] if sight.migrations else None
    guest = guest_of(sight)
    if action is not None and action.action in STARTS and sight.status == "SHUTOFF":
        yield _start_failed(sight, action, newest)
    elif action is not None and action.action in {"shelve", "shelveOffload"} and sight.status == "ACTIVE":
        yield Case(
            "snapshot-failed",
            "a shelve failed at its snapshot: Nova says ACTIVE, but the guest was powered off for it",
            (f"action {action.action} at {action.started}: {sight.says(action)}", guest.words),
            PROVEN if guest.seen and guest.state == OFF else LIKELY,
            "" if guest.seen else HOSTS,
            guest=guest.state if guest.seen else None,
        )
    elif newest is not None and sight.status == "ACTIVE" and _never_started(sight, newest):
        yield Case(
            "finish-failed",
            f"a move failed on {newest.dest} and its state was reset: Nova says ACTIVE, but no guest was started there",
            (f"migration {newest.id} is {newest.status}, broken off in finish_resize", guest.words),
            PROVEN if guest.seen else LIKELY,
            "" if guest.seen else HOSTS,
            migration=newest,
            guest=guest.state if guest.seen else OFF,
        )
    elif guest.seen and guest.state == OFF and sight.status == "ACTIVE":
        yield Case(
            "guest-not-running",
            "Nova says ACTIVE, but there is no running guest on its host",
            (f"{sight.home} shows {'a domain that is off' if guest.hostdevs else 'no running domain'} of it",),
            guest=OFF,
        )
    elif guest.seen and guest.state == RUNS and sight.status == "ACTIVE" and (said := wrong_cards(sight, guest)):
        yield Case(
            "guest-wrong-cards",
            f"its guest on {sight.home} runs with other cards than are its own: one of them may be somebody else's",
            (said,),
            guest=RUNS,
        )
    if newest is not None and newest.status == BROKEN and newest.dest is None and action is not None:
        yield Case(
            "no-valid-host",
            "a move found no host; nothing was changed and nothing has to be repaired",
            (f"migration {newest.id} is error without a destination", f"action {action.action}: {sight.says(action)}"),
            harmless=True,
            migration=newest,
        )


def _never_started(sight: Sight, newest: Migration) -> bool:
    """Say whether the newest move broke off before its guest ran, and nothing has started it since."""
    if newest.status not in {BROKEN, "failed"} or phase(sight, newest)[0] is not Phase.DEST:
        return False
    guest = guest_of(sight)
    tried = after(sight, newest, (*STARTS, "unshelve"))
    return not any(one.message is None for one in tried) and not (guest.seen and guest.state == RUNS)


def _start_failed(sight: Sight, action: Action, newest: Migration | None) -> Case:
    """Return the case of a server that stays SHUTOFF; no fault is shown, only the action knows."""
    said = f"action {action.action} at {action.started}: {sight.says(action)}"
    if _is_key_error(sight, action) and newest is not None:
        return _destroyed(sight, newest, action, (f"status SHUTOFF on {sight.home}",))
    holders = _holders(sight)
    return Case(
        "start-refused",
        "its start was refused and it stays SHUTOFF: libvirt says that its card is in use"
        if not holders
        else f"its start was refused: {'; '.join(holders)}",
        (f"status SHUTOFF on {sight.home}", said, *holders),
        PROVEN if holders else LIKELY,
        "" if holders else "--ssh: the host shows which domain has the card",
        guest=OFF,
    )


def _holders(sight: Sight) -> tuple[str, ...]:
    """Return who has this server's cards on its host, as far as the host and the database show it."""
    view, mine = sight.view(sight.home), {one.address.lower() for one in sight.rows or () if one.host == sight.home}
    if view is None:
        return ()
    mine |= {address for one in view.domains or () if one.uuid == sight.id for address in one.hostdevs}
    return tuple(
        f"domain {one.name} ({one.uuid}) has {address}"
        for one in view.domains or ()
        if one.uuid != sight.id and one.runs
        for address in one.hostdevs
        if address in mine
    )


def _shelved(sight: Sight) -> Iterator[Case]:
    action = sight.failed_action
    if sight.owed is not None:
        yield Case(
            "shelved-in-repair",
            f"gpuctl shelved it as a repair and did not come to unshelve it again on {sight.owed.host}",
            (f"status {sight.status}", "gpuctl's own note of it"),
            guest=OFF,
        )
    elif action is not None and action.action == "unshelve":
        yield Case(
            "unshelve-failed",
            "its unshelve failed: it is shelved as before, and holds nothing",
            (f"status {sight.status}", f"action unshelve at {action.started}: {sight.says(action)}"),
            guest=OFF,
        )

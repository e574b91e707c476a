"""Read the lines of a journal into the run that they tell of."""

from __future__ import annotations

import json
from typing import Any

from gpuctl_host.apply.codec import (
    Malformed,
    card_in,
    change_in,
    driven_in,
    folders_in,
    images_in,
    maybe_text,
    number,
    seconds,
    section,
    text,
    texts,
)
from gpuctl_host.changes.past import DONE, ENDS, FAILED, INTENDED, UNDONE, PastChange, Run
from gpuctl_host.data import changed
from gpuctl_host.errors import JournalBroken

SCHEMA_FAMILY, SCHEMA_VERSION = "gpuctl.host.journal/", "1"
_CHANGE_ENTRIES = {"intend": INTENDED, "done": DONE, "failed": FAILED, "undone": UNDONE}


def retell(path: str, run: str, data: bytes) -> Run | None:
    """Return the run that whole lines tell of; None if there is not even the first.

    Args:
        path: for the error.
        run: the id that the journal must have.
        data: whole lines.

    Raises:
        JournalBroken: a line is no entry, or says what cannot be.
    """
    told: Run | None = None
    for place, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise Malformed("it is no object")
            told = _begun(run, entry) if told is None else _further(told, entry)
        except (ValueError, RecursionError) as error:  # Malformed is a ValueError, as what json and UTF-8 raise
            raise JournalBroken(
                f"{path}, line {place}, cannot be understood: {error}",
                details=line[:200].decode("utf-8", "replace"),
                resolution=(
                    "nothing was undone from it; with a newer gpuctl's journal use that gpuctl, "
                    f"else compare its files by hand with the before-images, then move {path} away"
                ),
            ) from error
    return told


def _begun(run: str, entry: dict[str, Any]) -> Run:
    schema = text(entry, "schema")
    if entry.get("entry") != "begin" or schema != SCHEMA_FAMILY + SCHEMA_VERSION:
        raise Malformed(f"it is no beginning of a journal that this version knows (schema {schema!r})")
    if text(entry, "run") != run:
        raise Malformed(f"it is the journal of run {entry['run']!r}")
    listed = entry.get("changes")
    cards = section(entry, "wish").get("cards", [])
    if not isinstance(listed, list) or not isinstance(cards, list):
        raise Malformed("its changes or cards are no list")
    changes = tuple(change_in(item) for item in listed)
    if [item.n for item in changes] != list(range(len(changes))):
        raise Malformed("its changes are not numbered one after the other")
    who = section(entry, "who")
    return Run(
        id=run,
        verb=text(entry, "verb"),
        version=text(entry, "version"),
        uid=number(who, "uid"),
        sudo_user=maybe_text(who, "sudo_user"),
        argv=texts(entry, "argv"),
        at=text(entry, "at"),
        boot_id=maybe_text(entry, "boot_id"),
        cards=tuple(card_in(item) for item in cards),
        drivers={address: driven_in(item) for address, item in section(entry, "drivers").items()},
        changes=changes,
        arguments=texts(section(entry, "wish"), "arguments"),
        reboot=texts(entry, "reboot"),
        of=texts(entry, "of"),
    )


def _further(told: Run, entry: dict[str, Any]) -> Run:
    name = text(entry, "entry")
    if name in _CHANGE_ENTRIES:
        n = number(entry, "n")
        if n >= len(told.changes):
            raise Malformed(f"there is no change {n}")
        changes = list(told.changes)
        changes[n] = _moved(changes[n], name, entry)
        return changed(told, changes=tuple(changes))
    if name == "end":
        state = text(entry, "state")
        if state not in ENDS:
            raise Malformed(f"a run does not end {state!r}")
        return changed(told, end=state, ended_at=text(entry, "at"), problems=texts(entry, "problems"))
    if name == "restored":
        return changed(told, restored_by=text(entry, "by"))
    if name == "begin":
        raise Malformed("a run begins once")
    return told  # a later version of the same schema may say more; what is needed here stays


def _moved(change: PastChange, name: str, entry: dict[str, Any]) -> PastChange:
    if name == "intend":
        note = section(entry, "note")
        if not all(isinstance(value, str) for value in note.values()):
            raise Malformed("'note' holds no texts")
        return changed(
            change,
            state=INTENDED,
            made=folders_in(entry, "made"),
            images=images_in(entry.get("images", {})),
            note=note,
            intended_at=seconds(text(entry, "at")),
        )
    if name == "done":
        results = entry.get("results")
        return changed(change, state=DONE, results=None if results is None else images_in(results))
    return changed(change, state=_CHANGE_ENTRIES[name])

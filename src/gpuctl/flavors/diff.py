"""What has to be done so that a cloud equals a catalogue: decided from records alone. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuctl.flavors.model import OWNER, Standing, Wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

IMMUTABLE = ("name", "id", "vcpus", "ram", "disk", "ephemeral", "swap", "public")
"""What Nova cannot change in a flavor (nova/api/openstack/compute/schemas/flavors.py: `update` takes a description)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as wished. ``None`` means: not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one flavor.

    Attributes:
        name: the flavor's.
        action: "create", "repair", "replace", "prune", "none", or "conflict" (nothing may be done; ``notes`` say why).
        wanted: what it is to be; None for prune.
        standing: what it is; None for create.
        differences: why.
        notes: what a person should know.
        servers: how many servers were made from it; None where nobody has counted.
    """

    name: str
    action: str
    wanted: Wanted | None = None
    standing: Standing | None = None
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    servers: int | None = None

    @property
    def fixed(self) -> tuple[str, ...]:
        """The fields that differ and that Nova cannot change."""
        if self.action != "replace":
            return ()
        return tuple(one.field for one in self.differences if one.field in IMMUTABLE)


def plan(wanted: Sequence[Wanted], standing: Sequence[Standing], *, prune: Collection[str] = ()) -> tuple[Step, ...]:
    """Return one step a flavor, in the catalogue's order, then what is to be pruned.

    Args:
        wanted: the catalogues' flavors.
        standing: every flavor of the cloud.
        prune: names of catalogues whose other flavors are to go.
    """
    by_name = {flavor.name: flavor for flavor in standing}
    by_id = {flavor.id: flavor for flavor in standing}
    steps, kept = [], set()
    for wish in wanted:
        step = _step(wish, by_name.get(wish.name), by_id.get(wish.id) if wish.id else None)
        if step.standing:
            kept.add(step.standing.id)
        steps.append(step)
    doomed = [one for one in standing if one.owner in prune and one.owner and one.id not in kept]
    steps += [Step(one.name, "prune", standing=one) for one in doomed]
    return tuple(steps)


def _step(wish: Wanted, named: Standing | None, same_id: Standing | None) -> Step:
    """Return what becomes of one wish."""
    if named and same_id and named.id != same_id.id:
        told = f"the id {wish.id} belongs to {same_id.name}, the name to {named.id}: delete or rename one of the two"
        return Step(wish.name, "conflict", wish, notes=(told,))
    found = same_id or named
    if found is None:
        return Step(wish.name, "create", wish, differences=_all_of(wish), notes=wish.notes)
    if found.owner and found.owner != wish.catalogue and wish.catalogue:
        told = f"it belongs to the catalogue {found.owner}: remove it from one of the two"
        return Step(wish.name, "conflict", wish, found, notes=(told,))
    differences = compare(wish, found)
    notes = wish.notes
    if wish.catalogue and not found.owner:
        notes = (*notes, "it was not made by gpuctl: taken over")
    action = "none"
    if differences:
        action = "replace" if any(one.field in IMMUTABLE for one in differences) else "repair"
    return Step(wish.name, action, wish, found, differences, notes)


def _all_of(wish: Wanted) -> tuple[Difference, ...]:
    """Return a flavor that is not there yet as differences: everything worth saying."""
    said = [(name, getattr(wish, name)) for name in (*IMMUTABLE[1:], "description")]
    said += [(f"extra_specs.{key}", value) for key, value in sorted(wish.specs.items())]
    said.append(("access", sorted(wish.access) if wish.access else None))
    return tuple(Difference(name, None, value) for name, value in said if value not in (None, 0, False))


def compare(wish: Wanted, found: Standing) -> tuple[Difference, ...]:
    """Return every difference; the access list only where both sides know it."""
    differences = [
        Difference(name, getattr(found, name), getattr(wish, name))
        for name in IMMUTABLE
        if getattr(found, name) != getattr(wish, name) and not (name == "id" and wish.id is None)
    ]
    if wish.description is not None and wish.description != (found.description or ""):
        differences.append(Difference("description", found.description, wish.description))
    specs = wish.specs
    if wish.catalogue is None and found.owner:  # a catalogue without a name owns nothing, and takes nothing away
        specs = {**specs, OWNER: found.owner}
    differences += [
        Difference(f"extra_specs.{key}", found.specs.get(key), specs.get(key))
        for key in sorted({*specs, *found.specs})
        if found.specs.get(key) != specs.get(key)
    ]
    if wish.access is not None and found.access is not None and set(wish.access) != set(found.access):
        differences.append(Difference("access", sorted(found.access), sorted(wish.access)))
    return tuple(differences)


def with_access(step: Step, access: tuple[str, ...]) -> Step:
    """Return the step with the access list that the flavor has, now that it was read."""
    if step.standing is None or step.wanted is None:
        return step
    again = _step(step.wanted, replace(step.standing, access=access), None)
    return replace(again, notes=step.notes)

"""Aliases: one per model and device type, under the operator's names or ours."""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.nova.config.choice import Meant
from gpuctl.nova.config.naming import default_alias
from gpuctl.nova.config.wishes import SCHEDULE, Wishes
from gpuctl.nova.problem import Problem


@dataclass(frozen=True, slots=True)
class Model:
    """Cards that one alias line stands for.

    Attributes:
        alias: its name.
        vendor_id: four hex digits.
        product_id: four hex digits.
        device_type: type-PCI, type-PF or type-VF, as the hosts themselves say.
        what: the model's name.
        resource_class: its name in Placement, where that was asked for.
    """

    alias: str
    vendor_id: str
    product_id: str
    device_type: str
    what: str
    resource_class: str | None = None

    @property
    def ids(self) -> str:
        """vendor:device."""
        return f"{self.vendor_id}:{self.product_id}"


def models_of(meant: tuple[Meant, ...], wishes: Wishes) -> tuple[tuple[Model, ...], tuple[str, ...]]:
    """Return the models among the meant cards, and what is to be said about their names.

    Raises:
        Problem: the names that were asked for do not fit the cards.
    """
    kinds: dict[tuple[str, str], str] = {}
    for one in meant:
        for card in one.cards:
            kinds.setdefault((card.ids, card.device_type), card.what)
    ids = list(dict.fromkeys(key[0] for key in kinds))
    _check_names(ids, kinds, wishes)
    names = _names(ids, kinds, wishes)
    notes: list[str] = []
    models: list[Model] = []
    for (each, device_type), what in sorted(kinds.items(), key=lambda item: ids.index(item[0][0])):
        alias = names[each]
        twin = next((model for model in models if model.ids == each), None)
        if twin:
            # One name for two device types is an error in Nova ("Device type mismatch for alias").
            alias = f"{alias}-{device_type.removeprefix('type-').lower()}"
            notes.append(
                f"{each} ({what}) is {twin.device_type} on one card and {device_type} on another, so it has two "
                f"aliases, {twin.alias} and {alias}: make SR-IOV the same in the firmware of all hosts to have one"
            )
        vendor, product = each.split(":")
        models.append(
            Model(alias, vendor, product, device_type, what, wishes.resource_classes.get(each, wishes.resource_class))
        )
    _check_shared(models, wishes)
    return tuple(models), tuple(notes)


def _check_names(ids: list[str], kinds: dict[tuple[str, str], str], wishes: Wishes) -> None:
    listing = "\n".join(f"{key[0]} {what}" for key, what in kinds.items())
    for option, one, many in (
        ("--alias", wishes.alias, wishes.aliases),
        ("--resource-class", wishes.resource_class, wishes.resource_classes),
    ):
        if one and len(ids) > 1:
            raise Problem(
                f"{option} {one} is for one model, and there are {len(ids)}",
                details=listing,
                resolution=f"name each: {option} {ids[0]}=NAME",
            )
        strange = sorted(set(many) - set(ids))
        if strange:
            raise Problem(
                f"{option} names a model that no host has to give: {', '.join(strange)}",
                details=listing,
                resolution="correct the ids, or prepare those cards first",
            )


def _names(ids: list[str], kinds: dict[tuple[str, str], str], wishes: Wishes) -> dict[str, str]:
    """The alias of each vendor:device; those that come out the same (40 and 80 GB) get their device id behind."""
    what = {each: next(name for key, name in kinds.items() if key[0] == each) for each in ids}
    made = {each: wishes.aliases.get(each) or wishes.alias or default_alias(what[each], each) for each in ids}
    asked = set(wishes.aliases)
    for each in ids:
        twins = [other for other in ids if made[other] == made[each]]
        if len(twins) > 1 and not asked.issuperset(twins):
            made |= {other: f"{made[each]}-{other.split(':')[1]}" for other in twins if other not in asked}
    return made


def _check_shared(models: list[Model], wishes: Wishes) -> None:
    """Two models under one name are an OR in Nova: of one device type, and not with pci_in_placement."""
    for first in models:
        same = [model for model in models if model.alias == first.alias]
        if len(same) > 1 and (wishes.placement == SCHEDULE or len({model.device_type for model in same}) > 1):
            raise Problem(
                f"one alias, {first.alias}, cannot stand for {' and '.join(model.ids for model in same)}",
                details="with pci_in_placement an alias has one line; and all its lines must have one device_type",
                resolution="give them different names: " + " ".join(f"--alias {model.ids}=NAME" for model in same),
            )

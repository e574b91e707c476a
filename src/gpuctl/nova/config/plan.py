"""Facts and wishes made into one configuration, from which every layout writes its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl.nova.config.choice import Meant, choose
from gpuctl.nova.config.filters import filter_line, numa_note
from gpuctl.nova.config.models import Model, models_of
from gpuctl.nova.config.wishes import OFF, SCHEDULE, Wishes, check_wishes
from gpuctl.nova.hosts import Host
from gpuctl.nova.releases import Release

Spec = Mapping[str, str]
# Nova's own advice starts at eight devices of one class a host (admin/pci-passthrough.rst; placement bugs 2070257,
# 2126751).
MANY = 8


@dataclass(frozen=True)
class Configuration:
    """What the services have to know, before it has a form.

    Attributes:
        release: whose option names are meant.
        hosts: every host with facts, by name.
        aliases: one object an alias line.
        specs: the device specs of all hosts that are not in host_specs.
        host_specs: the whole list of a host that differs; it stands instead of specs, never beside them.
        excluded: addresses that specs would take and must not, by host: for tools that only know one list.
        filters: the scheduler's line.
        filters_asked: whether that line is the operator's own, and not a default.
        report: whether computes report devices to Placement.
        schedule: whether the scheduler asks Placement for them.
        notes: what a person should know.
        restart: services, in the order in which to restart them, with why.
    """

    release: Release
    hosts: tuple[str, ...]
    aliases: tuple[Spec, ...]
    specs: tuple[Spec, ...]
    host_specs: Mapping[str, tuple[Spec, ...]]
    excluded: Mapping[str, tuple[str, ...]]
    filters: tuple[str, ...]
    filters_asked: bool
    report: bool
    schedule: bool
    notes: tuple[str, ...]
    restart: tuple[str, ...]


def configure(hosts: tuple[Host, ...], release: Release, wishes: Wishes) -> Configuration:
    """Return the configuration for these hosts.

    Raises:
        Problem: something asked for does not fit the release or the hosts.
    """
    check_wishes(wishes, release)
    meant, left = choose(hosts, wishes)
    models, named = models_of(meant, wishes)
    common = tuple(_spec(model, wishes) for model in _once(models) if _whole(model, meant))
    host_specs = {one.host.name: own for one in meant if (own := _specs_of(one, models, wishes)) is not None}
    if len(meant) == 1 and host_specs:
        common, host_specs = host_specs[meant[0].host.name], {}
    filters, about_filters = filter_line(release, wishes.filters)
    return Configuration(
        release=release,
        hosts=tuple(host.name for host in hosts),
        aliases=tuple(_alias(model, wishes) for model in models),
        specs=common,
        host_specs=host_specs,
        excluded={one.host.name: tuple(card.address for card, _ in one.left) for one in meant if one.left},
        filters=filters,
        filters_asked=wishes.filters is not None,
        report=wishes.placement != OFF,
        schedule=wishes.placement == SCHEDULE,
        notes=(*left, *named, *about_filters, *numa_note(filters, wishes.numa_policy), *_other_notes(meant, wishes)),
        restart=_restart(wishes),
    )


def _once(models: tuple[Model, ...]) -> tuple[Model, ...]:
    """One model an id: device type is the alias' business, a device spec does not know it."""
    return tuple({model.ids: model for model in reversed(models)}.values())[::-1]


def _whole(model: Model, meant: tuple[Meant, ...]) -> bool:
    """Whether some host gives all it has with these ids, so that they can be told by vendor and product there."""
    return any(model.ids not in one.partial_ids and any(card.ids == model.ids for card in one.cards) for one in meant)


def _specs_of(one: Meant, models: tuple[Model, ...], wishes: Wishes) -> tuple[Spec, ...] | None:
    """The host's own list, by address where ids would take too much; None where the common list is right for it.

    The common list names ids only, so it is right unless this host has a card (or another function) with one of the
    models' ids that is not meant.
    """
    if not any(model.ids in one.partial_ids for model in models):
        return None
    specs: list[Spec] = []
    for model in _once(models):
        cards = [card for card in one.cards if card.ids == model.ids]
        if not cards:
            continue
        if model.ids in one.partial_ids:
            # The ids stay as a guard: a card that is moved to this slot later is not taken for this one.
            specs += [_spec(model, wishes, card.address) for card in cards]
        else:
            specs.append(_spec(model, wishes))
    return tuple(specs)


def _spec(model: Model, wishes: Wishes, address: str | None = None) -> Spec:
    """One device spec. Never by address alone of a slot: a whole address, function and all, so that audio stays out."""
    spec = {"vendor_id": model.vendor_id, "product_id": model.product_id}
    if address:
        spec["address"] = address
    if model.resource_class:
        spec["resource_class"] = model.resource_class
    if wishes.traits:
        spec["traits"] = ",".join(wishes.traits)
    if wishes.managed:
        spec["managed"] = wishes.managed
    if wishes.live_migratable:
        spec["live_migratable"] = wishes.live_migratable
    if wishes.one_time_use:
        spec["one_time_use"] = "yes"
    return spec


def _alias(model: Model, wishes: Wishes) -> Spec:
    alias = {
        "name": model.alias,
        "vendor_id": model.vendor_id,
        "product_id": model.product_id,
        "device_type": model.device_type,
    }
    if wishes.numa_policy:
        alias["numa_policy"] = wishes.numa_policy
    # Without pci_in_placement an alias' resource_class and traits are ignored (27 to 31.3.0) or refused.
    if wishes.placement == SCHEDULE:
        if model.resource_class:
            alias["resource_class"] = model.resource_class
        if wishes.traits:
            alias["traits"] = ",".join(wishes.traits)
    if wishes.live_migratable:
        # Text: the alias' schema refuses a JSON boolean, other than a device spec's (run 33.0.2).
        alias["live_migratable"] = wishes.live_migratable
    return alias


def _other_notes(meant: tuple[Meant, ...], wishes: Wishes) -> tuple[str, ...]:
    notes = []
    if wishes.managed == "no":
        notes.append(
            "managed=no: Nova neither takes a card from its driver nor gives it back; it has to be on vfio-pci before "
            "every boot of a guest"
        )
    if wishes.live_migratable == "yes":
        notes.append(
            "live_migratable=yes is a promise of yours: it holds for cards with a vfio variant driver that can "
            "migrate, on both hosts"
        )
    if wishes.one_time_use:
        notes.append(
            "one_time_use: Nova keeps a used card reserved in Placement and never clears it; a cold migration keeps "
            "the card it left, too"
        )
    if wishes.placement == OFF:
        return tuple(notes)
    notes.append(
        "report_in_placement cannot be switched off again: nova-compute then refuses to start "
        "(ensure_tracking_was_not_enabled_before)"
    )
    notes.append(
        "order: first report_in_placement on every compute with cards, each restarted; then pci_in_placement on api, "
        "scheduler and conductors"
    )
    if wishes.placement == SCHEDULE:
        notes.append(
            "with pci_in_placement a cold migration or evacuation to a host with more than one free card can leave the "
            "server two allocations (seen on 33 and 34): move by shelve and unshelve, or let `gpuctl instance audit` "
            "look afterwards"
        )
    for one in meant:
        counts: dict[str, int] = {}
        for card in one.cards:
            counts[card.ids] = counts.get(card.ids, 0) + 1
        notes += [
            f"{one.host.name} has {count} cards {ids}: from {MANY} of one kind a host on, Placement's limits on "
            "candidates need tuning"
            for ids, count in counts.items()
            if count >= MANY
        ]
    return tuple(notes)


def _restart(wishes: Wishes) -> tuple[str, ...]:
    """Computes first: a server that asks for an alias must find hosts that know it."""
    steps = ["nova-compute: reads the device list and the aliases when it starts"]
    if wishes.placement == SCHEDULE:
        steps.append("nova-conductor: only when every nova-compute has reported to Placement")
    steps.append("nova-scheduler: reads its filters when it starts")
    steps.append("nova-api (also under a web server): reads the aliases when it starts")
    return tuple(steps)


def as_json(value: Mapping[str, Any]) -> str:
    """Return one object on one line, as Nova reads it."""
    return json.dumps(value, ensure_ascii=True)

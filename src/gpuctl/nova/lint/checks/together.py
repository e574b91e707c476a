"""Aliases against each other, between services, and against the device specs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gpuctl.nova.lint.answer import Answer, check, failed, skipped, warned
from gpuctl.nova.lint.objects import Item
from gpuctl.nova.lint.sources import Service
from gpuctl.nova.lint.view import View
from gpuctl.nova.vocabulary import FALSE_WORDS, TRUE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable


def _by_name(view: View, service: Service) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in view.good_aliases(service):
        found.setdefault(item.fields["name"].strip(), []).append(item)
    return found


def _policy(item: Item) -> object:
    return item.fields.get("numa_policy") or "legacy"


@check(
    "alias-duplicate",
    "Do lines of one alias name fit together?",
    answers="Fails when they differ in device_type or numa_policy, when none has a device_type, and when "
    "pci_in_placement is on; warns when two lines are the same.",
    matters="Lines of one name are alternatives. They must share numa_policy and device_type; if all leave "
    "device_type out, Nova says no more than Invalid PCI alias definition: 'dev_type'. With pci_in_placement a name "
    "has one line. A drop-in that repeats nova.conf's alias adds a line, it replaces nothing.",
    remedy="Keep one line, or make them agree.",
    sources=("nova/pci/request.py: get_alias_from_config, _validate_multispec", "run: nova 33.0.2"),
)
def duplicate(view: View) -> Iterable[Answer]:
    """Yield names that are defined more than once, and cannot be."""
    scheduling = any(view.schedules(one) for one in view.services)
    for service in view.services:
        for name, items in _by_name(view, service).items():
            if len(items) < 2:
                continue
            evidence = "; ".join(item.where for item in items)
            types = [item.fields.get("device_type") for item in items]
            if any(kind is None for kind in types):
                yield failed(
                    service.label,
                    f"alias {name}: a line without device_type beside another is an error",
                    evidence,
                    "add device_type",
                )
            elif len({json.dumps(kind) for kind in types}) > 1:
                yield failed(
                    service.label,
                    f"alias {name}: its lines differ in device_type",
                    evidence,
                    "give them names of their own",
                )
            elif len({json.dumps(_policy(item)) for item in items}) > 1:
                yield failed(
                    service.label,
                    f"alias {name}: its lines differ in numa_policy",
                    evidence,
                    "make numa_policy the same",
                )
            elif scheduling:
                yield failed(
                    service.label, f"alias {name}: with pci_in_placement a name has one line", evidence, "keep one line"
                )
            elif len({json.dumps(dict(item.fields), sort_keys=True) for item in items}) < len(items):
                yield warned(
                    service.label, f"alias {name} is there more than once", evidence, "keep one of the equal lines"
                )


@check(
    "alias-roles",
    "Do nova-api and every nova-compute have the same aliases?",
    answers="Fails for an alias that one side lacks or has otherwise. Cannot be known with one side's files alone.",
    matters="nova-api makes the request from its aliases; at a move the destination makes it again from its own: "
    "without the alias there the move fails, and leaves the server in ERROR or the card taken.",
    remedy="Give both the same lines.",
    sources=(
        "help of alias (34.0.0:nova/conf/pci.py)",
        "nova/compute/resource_tracker.py: _move_claim",
        "run: a cold migration to a host without the alias ends in ERROR (33, 34)",
    ),
)
def roles(view: View) -> Iterable[Answer]:
    """Yield aliases that are not the same on both sides."""
    apis = [service for service in view.services if service.role == "api"]
    computes = [service for service in view.services if service.role == "compute"]
    if not (apis and computes):
        if not any(service.role == "all" for service in view.services):
            side = "nova-compute" if apis else "nova-api"
            yield skipped(
                "nova", "aliases of api and computes were not compared", f"no file of {side} was given", "give it, too"
            )
        return
    for api in apis:
        for compute in computes:
            yield from _compare(view, api, compute)


def _compare(view: View, api: Service, compute: Service) -> Iterable[Answer]:
    ours, theirs = _by_name(view, api), _by_name(view, compute)
    for name in dict.fromkeys((*ours, *theirs)):
        if name not in theirs:
            evidence = f"{ours[name][0].where}; not in {', '.join(compute.files)}"
            yield failed(
                compute.label,
                f"alias {name} is on nova-api and not on nova-compute: moves fail",
                evidence,
                "add it there",
            )
        elif name not in ours:
            evidence = f"{theirs[name][0].where}; not in {', '.join(api.files)}"
            yield failed(
                api.label,
                f"alias {name} is on nova-compute and not on nova-api: no flavor can ask for it",
                evidence,
                "add it there",
            )
        elif _same(ours[name]) != _same(theirs[name]):
            evidence = "; ".join(item.where for item in (*ours[name], *theirs[name]))
            yield failed(
                compute.label,
                f"alias {name} is not the same on nova-api and nova-compute",
                evidence,
                "make the lines equal",
            )


def _same(items: list[Item]) -> set[str]:
    return {json.dumps(dict(item.fields), sort_keys=True) for item in items}


@check(
    "alias-live-migratable",
    "Can aliases that speak of live migration match?",
    answers='Fails for live_migratable "no" where no device spec says no, and "yes" where none says yes. From 31 on.',
    matters="An alias that says no takes only devices whose spec says no in so many words; unset is not no.",
    remedy="Say it in the device specs too, or take it out of the alias.",
    sources=("nova/pci/stats.py: _filter_pools_for_live_migratable_devices",),
)
def live_migratable(view: View) -> Iterable[Answer]:
    """Yield aliases for which no device says the same."""
    computes = view.of("compute")
    said = {_truth(item.fields.get("live_migratable")) for service in computes for item in view.specs(service)}
    if not computes or (view.number is not None and view.number < 31):
        return
    for service in computes:
        for item in view.good_aliases(service):
            wish = _truth(item.fields.get("live_migratable"))
            if wish is not None and wish not in said:
                word = "yes" if wish else "no"
                yield failed(
                    service.label,
                    f"an alias wants live_migratable {word}, and no device spec says so",
                    item.where,
                    f'add "live_migratable": "{word}" to the device specs, or take it out of the alias',
                )


def _truth(value: object) -> bool | None:
    word = str(value).strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


_GPU_VENDORS = ("10de", "1002", "8086")


@check(
    "ids-swapped",
    "Is vendor_id the vendor's, and product_id the product's?",
    answers="Warns when product_id is NVIDIA's, AMD's or Intel's vendor id and vendor_id is none of them.",
    matters="lspci -nn prints [vendor:product]: the two are easily written the wrong way round, and nothing matches.",
    remedy="Swap them.",
    sources=("configurations in the field: vendor_id 13c2 with product_id 10de",),
)
def swapped(view: View) -> Iterable[Answer]:
    """Yield device specs and aliases whose ids are the wrong way round."""
    for service in view.services:
        for item in (*view.specs(service), *view.aliases(service)):
            ids = (str(item.fields.get(key, "")).strip().lower() for key in ("vendor_id", "product_id"))
            vendor, product = ids
            if product in _GPU_VENDORS and vendor not in (*_GPU_VENDORS, "", "*"):
                yield warned(
                    service.label,
                    f"vendor_id {vendor} and product_id {product} look swapped: {product} is a vendor",
                    item.where,
                    f'write "vendor_id": "{product}", "product_id": "{vendor}"',
                )


CHECKS = (swapped, duplicate, roles, live_migratable)

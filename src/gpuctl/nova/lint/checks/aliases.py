"""Aliases, each for itself: JSON, the schema, ids, names."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from gpuctl.nova.lint.answer import Answer, check, failed, skipped, warned
from gpuctl.nova.lint.objects import Item
from gpuctl.nova.lint.sources import Service
from gpuctl.nova.lint.view import View
from gpuctl.nova.vocabulary import ALIAS_KEYS, DEVICE_TYPES, FALSE_WORDS, NUMA_POLICIES, TRUE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ID = re.compile(r"[\da-fA-F]{4}")


def each_alias(view: View) -> Iterator[tuple[Service, Item]]:
    """Yield the aliases of every service that reads them; the registry says once what several read from one file."""
    for service in view.services:
        if service.role not in ("scheduler", "conductor"):
            for item in view.aliases(service):
                yield service, item


@check(
    "alias-json",
    "Is every alias one JSON object?",
    answers="Fails for what is not JSON, or no object.",
    matters="No alias at all is known then: every boot that asks for one fails; from 31.3.1 and 32 on nova-api and "
    "nova-compute do not start.",
    remedy="Write one object a line, with double quotes, and none around it.",
    sources=("nova/pci/request.py: get_alias_from_config", "run: nova 33.0.2"),
)
def is_json(view: View) -> Iterable[Answer]:
    """Yield values that Nova cannot parse."""
    for service, item in each_alias(view):
        if item.error:
            yield failed(
                service.label,
                "an alias that Nova cannot read",
                f"{item.where}: {item.error}",
                "write it as one JSON object",
            )


@check(
    "alias-keys",
    "Is every key of an alias one that this release knows?",
    answers="Fails for unknown keys, for keys that came later, and for an alias without a name.",
    matters="The schema allows no other keys: one such alias spoils all of them (PciInvalidAlias).",
    remedy="Correct the key, or take it out.",
    sources=("nova/pci/request.py: _ALIAS_SCHEMA, 15.1.5 to 34.0.0",),
)
def keys(view: View) -> Iterable[Answer]:
    """Yield keys that the schema refuses."""
    for service, item in each_alias(view):
        if item.error:
            continue
        if "name" not in item.fields:
            yield failed(service.label, "an alias without a name", item.where, 'add "name"')
        for key in item.fields:
            since = ALIAS_KEYS.get(key)
            if since is None:
                near = difflib.get_close_matches(key, ALIAS_KEYS, 1, 0.6)
                fix = f"did you mean {near[0]}?" if near else "take it out; known are " + ", ".join(ALIAS_KEYS)
                yield failed(service.label, f"{key} is no key of an alias: Nova refuses it", item.where, fix)
            elif view.number is not None and since > view.number:
                yield failed(
                    service.label,
                    f"{key} came with {since}: Nova {view.release} refuses it",
                    item.where,
                    f"take {key} out",
                )


def _wrong(key: str, value: Any, number: int | None) -> str:  # noqa: ANN401 - whatever JSON holds
    """What the schema says against a value; empty where it takes it."""
    if not isinstance(value, str):
        return f"{value!r} is not text" + (': write "yes" or "no"' if isinstance(value, bool) else "")
    if key == "name" and not 1 <= len(value) <= 256:
        return "it is empty, or longer than 256"
    if key == "device_type" and value not in DEVICE_TYPES:
        return f"{value!r} is none of {', '.join(DEVICE_TYPES)}; the case counts"
    if key == "capability_type" and value != "pci":
        return f"{value!r} is not pci"
    if key == "numa_policy":
        since = NUMA_POLICIES.get(value)
        if since is None:
            return f"{value!r} is none of {', '.join(NUMA_POLICIES)}"
        if number is not None and number < since:
            return f"{value} came with {since}"
    if key == "live_migratable" and value.strip().lower() not in (*TRUE_WORDS, *FALSE_WORDS):
        return f"{value!r} is neither yes nor no"
    return ""


@check(
    "alias-values",
    "Is every value of an alias one that Nova takes?",
    answers="Fails for wrong types and words: device_type, numa_policy, capability_type, live_migratable, name.",
    matters="The schema refuses it, and with it all aliases. live_migratable has to be text here: JSON true is "
    "refused, though a device spec takes it.",
    remedy="Write what the message asks for.",
    sources=("nova/pci/request.py: _ALIAS_SCHEMA", "run: nova 33.0.2"),
)
def values(view: View) -> Iterable[Answer]:
    """Yield values that the schema refuses; ids have a check of their own."""
    for service, item in each_alias(view):
        for key, value in item.fields.items():
            if key in ALIAS_KEYS and key not in ("vendor_id", "product_id"):
                wrong = _wrong(key, value, view.number)
                if wrong:
                    yield failed(
                        service.label, f"{key} is not what Nova takes", f"{item.where}: {wrong}", f"correct {key}"
                    )


@check(
    "alias-ids",
    "Are the ids of every alias four hex digits?",
    answers="Fails for 0x10de, *, and any other form.",
    matters="The schema refuses it, and with it all aliases - other than in a device spec, which takes 0x10de and *.",
    remedy='Write "10de".',
    sources=("nova/pci/request.py, nova/pci/utils.py: PCI_VENDOR_PATTERN", "run: nova 33.0.2"),
)
def ids(view: View) -> Iterable[Answer]:
    """Yield ids that the schema refuses."""
    for service, item in each_alias(view):
        for key in ("vendor_id", "product_id"):
            value = item.fields.get(key, "0000")
            if not isinstance(value, str) or not _ID.fullmatch(value):
                yield failed(
                    service.label, f"{key} is not four hex digits", item.where, 'write it as "10de": no 0x, no *'
                )


@check(
    "alias-ids-missing",
    "Does every alias name its devices?",
    answers="Fails from 32 on for an alias without vendor_id and product_id, unless it has a resource_class and "
    "pci_in_placement is on; warns on 31, where it depends on the point release (31.3.1), and where the release is "
    "not known.",
    matters="From 31.3.1 and 32 on nova-api and nova-compute refuse to start; before that the alias matches any "
    "device of its type.",
    remedy="Add vendor_id and product_id.",
    sources=("nova/pci/request.py: _validate_required_ids", "commits acc6221660, ae064caf16; LP 2111440"),
)
def ids_missing(view: View) -> Iterable[Answer]:
    """Yield aliases without ids."""
    for service, item in each_alias(view):
        if item.error or {"vendor_id", "product_id"} <= set(item.fields):
            continue
        if "resource_class" in item.fields and view.schedules(service):
            continue
        missing = " and ".join(key for key in ("vendor_id", "product_id") if key not in item.fields)
        required = view.release.alias_ids_required if view.release else None
        if required:
            title = f"an alias without {missing}: Nova {view.release} does not start with it"
            yield failed(service.label, title, item.where, f"add {missing}")
        else:
            title = f"an alias without {missing}: from 31.3.1 and 32 on Nova does not start with it"
            yield warned(service.label, title, item.where, f"add {missing}")


@check(
    "alias-name",
    "Can a flavor ask for every alias?",
    answers="Fails for a name with ':' or ','; warns for blanks around it.",
    matters="A flavor says NAME:COUNT[,NAME:COUNT], and Nova splits it there. Nova takes the name, but nobody can ask "
    "for it.",
    remedy="Use letters, digits, '.', '_' and '-'.",
    sources=("nova/pci/request.py: _translate_alias_to_requests",),
)
def name(view: View) -> Iterable[Answer]:
    """Yield names that cannot be asked for."""
    for service, item in each_alias(view):
        given = item.fields.get("name")
        if not isinstance(given, str):
            continue
        if ":" in given or "," in given:
            yield failed(
                service.label,
                f"no flavor can ask for the alias {given!r}",
                item.where,
                "take ':' and ',' out of the name",
            )
        elif given != given.strip():
            yield warned(
                service.label, f"blanks around the name {given!r}: Nova takes them off", item.where, "take them out"
            )


@check(
    "alias-capability-type",
    "Can every alias match?",
    answers="Fails for an alias with capability_type.",
    matters="The key stays in the request, and no pool of devices has it: such an alias never matches.",
    remedy="Take capability_type out.",
    sources=("nova/pci/request.py, nova/pci/stats.py, 15.1.5 to 34.0.0",),
)
def capability_type(view: View) -> Iterable[Answer]:
    """Yield aliases that match nothing."""
    for service, item in each_alias(view):
        if "capability_type" in item.fields:
            yield failed(
                service.label,
                "an alias with capability_type never matches a device",
                item.where,
                "take capability_type out",
            )


@check(
    "alias-device-type",
    "Does every alias say which type of device it wants?",
    answers="Warns for an alias without device_type. With --facts, alias-hardware says whether it fits.",
    matters="Without it an alias never takes a card that can SR-IOV (type-PF), and may take a virtual function.",
    remedy="Say type-PCI or type-PF, as `gpuctl host facts` shows the cards.",
    sources=("nova/pci/stats.py: _filter_pools_for_unrequested_pfs",),
)
def device_type(view: View) -> Iterable[Answer]:
    """Yield aliases of any type."""
    for service, item in each_alias(view):
        if not item.error and "device_type" not in item.fields:
            yield warned(
                service.label,
                "an alias without device_type never takes an SR-IOV card",
                item.where,
                'add "device_type": "type-PCI", or "type-PF" for a card whose sriov_totalvfs is above 0',
            )


@check(
    "alias-placement",
    "Do resource_class and traits of aliases have Placement to go to?",
    answers="Fails when pci_in_placement is off. Cannot be known for a file of computes alone, which does not set it.",
    matters="From 27 to 31.3.0 they are passed over then: an alias with only a resource_class matches any device of "
    "its type.",
    remedy="Turn pci_in_placement on, or take the keys out.",
    sources=("nova/pci/stats.py: ignored_spec_tags", "nova/pci/request.py"),
)
def placement(view: View) -> Iterable[Answer]:
    """Yield keys for Placement without Placement."""
    for service, item in each_alias(view):
        used = [key for key in ("resource_class", "traits") if key in item.fields]
        if not used or any(view.schedules(one) for one in view.services):
            continue
        title = f"{' and '.join(used)} in an alias {'do' if len(used) > 1 else 'does'} nothing without pci_in_placement"
        if service.plays("api"):
            yield failed(service.label, title, item.where, "turn pci_in_placement on, or take the keys out")
        else:
            yield skipped(
                service.label, title, f"{item.where}; no file of nova-api was given", "give nova-api's files, too"
            )


CHECKS = (is_json, keys, values, ids, ids_missing, name, capability_type, device_type, placement)

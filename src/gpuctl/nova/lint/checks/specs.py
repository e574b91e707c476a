"""Device specs: JSON, keys, ids."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from gpuctl.nova.lint.answer import Answer, check, failed, warned
from gpuctl.nova.lint.objects import Item, matcher_of
from gpuctl.nova.lint.sources import Service
from gpuctl.nova.lint.view import View
from gpuctl.nova.matching import SpecError, hex_id
from gpuctl.nova.vocabulary import FALSE_WORDS, SPEC_BOOLEANS, SPEC_KEYS, SPEC_SELECTORS, TRUE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def each_spec(view: View) -> Iterator[tuple[Service, Item]]:
    """Yield the device specs of every service that reads them."""
    for service in view.of("compute"):
        for item in view.specs(service):
            yield service, item


@check(
    "spec-json",
    "Is every device spec a JSON object?",
    answers="Fails for what is not JSON, or neither an object nor a list of objects.",
    matters="nova-compute does not start (PciConfigInvalidSpec; PciConfigInvalidWhitelist up to 25).",
    remedy="Write one object a line, with double quotes, and none around it.",
    sources=("nova/pci/whitelist.py", "run: nova 33.0.2"),
)
def is_json(view: View) -> Iterable[Answer]:
    """Yield values that Nova cannot parse."""
    for service, item in each_spec(view):
        if item.error:
            yield failed(
                service.label,
                "a device spec that Nova cannot read",
                f"{item.where}: {item.error}",
                "write it as one JSON object",
            )


@check(
    "spec-unknown-key",
    "Does every key of a device spec mean something to Nova?",
    answers="Fails for a key that no release knows.",
    matters="There is no schema: an unknown key is taken for a tag, silently. A misspelt vendor_id leaves a spec that "
    "takes every PCI device of the host: network cards, disks, all of it.",
    remedy="Correct the key.",
    sources=("nova/pci/devspec.py, 15.1.5 to 34.0.0", "run: nova 33.0.2"),
)
def unknown_key(view: View) -> Iterable[Answer]:
    """Yield keys that are tags without meaning."""
    for service, item in each_spec(view):
        for key in item.fields:
            if key not in SPEC_KEYS:
                near = difflib.get_close_matches(key, SPEC_KEYS, 1, 0.6)
                fix = f"did you mean {near[0]}?" if near else "take it out; known are " + ", ".join(SPEC_KEYS)
                yield failed(service.label, f"{key} is no key of a device spec: it does nothing", item.where, fix)


@check(
    "spec-matches-all",
    "Does every device spec choose something?",
    answers="Fails for a spec that takes every PCI device: {}, only tags, or only wildcards.",
    matters="Every device of the host may then go to a guest, the host's own network card and disk among them.",
    remedy="Give vendor_id and product_id, or an address.",
    sources=("run: nova 33.0.2: {} and a misspelt key match every device", "nova/pci/devspec.py"),
)
def matches_all(view: View) -> Iterable[Answer]:
    """Yield specs without a choice."""
    for service, item in each_spec(view):
        if item.error or any(item.fields.get(key) and not _wild(item, key) for key in SPEC_SELECTORS):
            continue
        yield failed(
            service.label,
            "a device spec takes every PCI device of the host",
            item.where,
            "give vendor_id and product_id, or an address",
        )


def _wild(item: Item, key: str) -> bool:
    value = item.fields[key]
    if isinstance(value, str):
        return not value.strip("*:. ") if key == "address" else value.strip() == "*"
    if isinstance(value, dict):
        return all(part in (".*", "", ".+", "[0-9a-f]*") for part in value.values())
    return False


@check(
    "spec-key-ignored",
    "Does this release know every key?",
    answers="Fails for a key that came later. Cannot be known without --release.",
    matters="managed and live_migratable before 31, one_time_use before 32, resource_class and traits before 26: they "
    "parse, and do nothing.",
    remedy="Take the key out until after the upgrade.",
    sources=("nova/pci/devspec.py and nova/conf/pci.py, 15.1.5 to 34.0.0",),
)
def key_ignored(view: View) -> Iterable[Answer]:
    """Yield keys that are newer than the release."""
    for service, item in each_spec(view):
        for key in item.fields:
            since = SPEC_KEYS.get(key, 0)
            if view.number is not None and since > view.number:
                yield failed(
                    service.label,
                    f"{key} came with {since}: Nova {view.release} ignores it",
                    item.where,
                    f"take {key} out",
                )


@check(
    "spec-ids",
    "Are vendor_id and product_id hex texts?",
    answers="Fails for numbers, null, anything that is not hex, and more than ffff; warns where a vendor stands "
    "without a product.",
    matters="A JSON number or null crashes nova-compute without a hint (AttributeError, TypeError); the rest stops it "
    "with one. All devices of one vendor are more than its GPUs: audio, USB and NVSwitches too.",
    remedy="Write four hex digits in quotes; 0x and capitals are read as well.",
    sources=("run: nova 33.0.2", "nova/pci/devspec.py"),
)
def ids(view: View) -> Iterable[Answer]:
    """Yield ids that Nova cannot take."""
    for service, item in each_spec(view):
        bad = False
        for key in ("vendor_id", "product_id"):
            if key not in item.fields:
                continue
            try:
                hex_id(item.fields[key])
            except SpecError as error:
                bad = True
                yield failed(
                    service.label, f"{key} is not what Nova can take", f"{item.where}: {error}", 'write it as "10de"'
                )
        vague = item.fields.get("vendor_id", "*") != "*" and item.fields.get("product_id", "*") == "*"
        if vague and not bad and not item.fields.get("address"):
            yield warned(
                service.label,
                "a device spec takes all devices of a vendor",
                f"{item.where}: GPUs, their audio and USB functions, NVSwitches",
                "add product_id",
            )


@check(
    "spec-booleans",
    "Are yes and no written so that Nova takes them?",
    answers="Fails for another word in managed, live_migratable or one_time_use, and for one_time_use without "
    "report_in_placement.",
    matters="nova-compute does not start: these are read strictly, since 31.",
    remedy="Write yes or no; true and false, with or without quotes, do as well.",
    sources=("nova/pci/devspec.py (34.0.0): _normalize_device_spec_tag", "oslo_utils.strutils.bool_from_string"),
)
def booleans(view: View) -> Iterable[Answer]:
    """Yield switches that Nova refuses."""
    for service, item in each_spec(view):
        for key in SPEC_BOOLEANS:
            if key not in item.fields:
                continue
            word = str(item.fields[key]).strip().lower()
            if word not in (*TRUE_WORDS, *FALSE_WORDS):
                yield failed(service.label, f"{key} is neither yes nor no", item.where, f'write "{key}": "yes" or "no"')
            elif key == "one_time_use" and word in TRUE_WORDS and not view.reports(service):
                yield failed(
                    service.label,
                    "one_time_use needs report_in_placement",
                    f"{item.where}; [pci] report_in_placement is off",
                    "turn report_in_placement on, knowing that it cannot be turned off again, or take one_time_use out",
                )


@check(
    "spec-placement-keys",
    "Do resource_class and traits have Placement to go to?",
    answers="Warns when report_in_placement is off; fails when traits or resource_class is not text.",
    matters="They are only used when the compute reports to Placement; and traits is one text with commas, not a list.",
    remedy="Turn report_in_placement on, or take the keys out.",
    sources=("nova/compute/pci_placement_translator.py", "nova/conf/pci.py, help of device_spec"),
)
def placement_keys(view: View) -> Iterable[Answer]:
    """Yield keys for Placement without Placement."""
    for service, item in each_spec(view):
        for key in ("resource_class", "traits"):
            if key not in item.fields:
                continue
            if not isinstance(item.fields[key], str):
                yield failed(service.label, f"{key} is not text", item.where, f'write "{key}": "A,B"')
            elif not view.reports(service):
                yield warned(
                    service.label, f"{key} does nothing without report_in_placement", item.where, f"take {key} out"
                )


@check(
    "spec-shadowed",
    "Can every device spec be reached?",
    answers="Warns for a spec that an earlier one makes pointless.",
    matters="The first spec that matches a device decides its tags, managed and resource class: a later one never "
    "comes to it.",
    remedy="Put the narrower spec first, or take one out.",
    sources=("nova/pci/whitelist.py: get_devspec", "run: nova 33.0.2"),
)
def shadowed(view: View) -> Iterable[Answer]:
    """Yield specs that are equal to, or narrower than, an earlier one."""
    for service in view.of("compute"):
        seen: list[Item] = []
        for item in view.specs(service):
            if item.error:
                continue
            wider = next((earlier for earlier in seen if _covers(earlier, item)), None)
            if wider:
                yield warned(
                    service.label,
                    "a device spec is never reached: an earlier one takes its devices",
                    f"{item.where}, after {wider.where}",
                    "take one out, or put the narrower one first",
                )
            seen.append(item)


def _covers(earlier: Item, later: Item) -> bool:
    """Whether everything that ``later`` takes is taken by ``earlier`` already, as far as can be told without a host."""
    wide, narrow = matcher_of(earlier), matcher_of(later)
    if wide is None or narrow is None or "devname" in earlier.fields or "devname" in later.fields:
        return False
    if wide.vendor_id not in ("*", narrow.vendor_id) or wide.product_id not in ("*", narrow.product_id):
        return False
    if earlier.fields.get("address") == later.fields.get("address"):
        return True
    if wide.glob is None or narrow.glob is None:
        return False
    return all(wide.glob[part] in ("*", narrow.glob[part]) for part in wide.glob)


CHECKS = (is_json, unknown_key, matches_all, key_ignored, ids, booleans, placement_keys, shadowed)

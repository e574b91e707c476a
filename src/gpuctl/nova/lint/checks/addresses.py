"""Addresses in device specs: text with wildcards, or an object of regular expressions; devname."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.nova.lint.answer import Answer, check, failed, warned
from gpuctl.nova.lint.checks.specs import each_spec
from gpuctl.nova.lint.view import View
from gpuctl.nova.matching import SpecError, glob_address, prefix_extras, regex_address
from gpuctl.nova.vocabulary import ADDRESS_OBJECT_SINCE, ADDRESS_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable


@check(
    "spec-address",
    "Is every address one that Nova reads?",
    answers="Fails for regular expressions in a text, parts that are too high or not hex, wrong types, and objects on "
    "14.",
    matters="nova-compute does not start. A text is [[domain:]bus:]slot[.function] with * for a whole part, and "
    "nothing else; regular expressions belong into an object, which 14 does not know yet.",
    remedy='Write "0000:84:00.0", "84:00.*", or {"bus": "84", "slot": "00", "function": "[0-3]"}.',
    sources=("nova/pci/devspec.py: PciAddressGlobSpec, PciAddressRegexSpec", "run: nova 33.0.2"),
)
def address(view: View) -> Iterable[Answer]:
    """Yield addresses that stop nova-compute."""
    for service, item in each_spec(view):
        given = item.fields.get("address")
        if not given:
            continue
        try:
            if isinstance(given, str):
                glob_address(given)
            elif isinstance(given, dict):
                regex_address(given)
                _object(given, view.number)
            else:
                raise SpecError("it is neither text nor an object")  # noqa: TRY301 - told like every other mistake
        except SpecError as error:
            yield failed(
                service.label,
                "an address that Nova does not take as it is written",
                f"{item.where}: {error}",
                'write "0000:84:00.0", "84:00.*", or an object of regular expressions by domain, bus, slot, function',
            )


def _object(given: dict[str, object], number: int | None) -> None:
    if number is not None and number < ADDRESS_OBJECT_SINCE:
        raise SpecError(f"Nova takes an object from {ADDRESS_OBJECT_SINCE} on")
    strange = sorted(set(given) - set(ADDRESS_PARTS))
    if strange:
        raise SpecError(f"{', '.join(strange)}: not a part of an address, so it is passed over")


@check(
    "spec-address-prefix",
    "Does every regular expression take only what it says?",
    answers="Warns when a pattern also takes longer values, because Nova does not look at the end.",
    matters='{"bus": "4"} takes bus 40 to 4f: re.match looks for a beginning.',
    remedy='Write all digits ("04"), or end the pattern with $$ (a single $ is oslo.config\'s).',
    sources=("nova/pci/devspec.py: PciAddressRegexSpec.match", "run: nova 33.0.2"),
)
def prefix(view: View) -> Iterable[Answer]:
    """Yield patterns that match more by prefix."""
    for service, item in each_spec(view):
        given = item.fields.get("address")
        if not isinstance(given, dict):
            continue
        try:
            patterns = regex_address(given)
        except SpecError:
            continue
        for name in (part for part in ADDRESS_PARTS if part in given):
            extras = prefix_extras(name, patterns[name])
            if extras:
                yield warned(
                    service.label,
                    f"{name} takes more than it says: {', '.join(extras[:6])}{', ...' if len(extras) > 6 else ''}",
                    item.where,
                    "write every digit of it",
                )


@check(
    "spec-devname",
    "Is devname kept away from GPUs?",
    answers="Fails beside an address, and when report_in_placement is on; warns otherwise.",
    matters="devname is a network interface's name: no GPU has one. With an address beside it, or with Placement, "
    "nova-compute does not start (PciDeviceInvalidDeviceName; ensure_no_dev_spec_with_devname).",
    remedy="Use vendor_id and product_id, or address.",
    sources=("nova/pci/devspec.py", "nova/compute/pci_placement_translator.py"),
)
def devname(view: View) -> Iterable[Answer]:
    """Yield specs by interface name."""
    for service, item in each_spec(view):
        if not item.fields.get("devname"):
            continue
        if item.fields.get("address"):
            yield failed(service.label, "devname and address exclude each other", item.where, "keep address")
        elif view.reports(service):
            yield failed(
                service.label, "devname stops nova-compute once report_in_placement is on", item.where, "use address"
            )
        elif "physical_network" not in item.fields:
            yield warned(
                service.label, "devname is for network cards", item.where, "use vendor_id and product_id for GPUs"
            )


CHECKS = (address, prefix, devname)

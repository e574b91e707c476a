"""PCI devices in Placement: the switches of the services against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.nova.lint.answer import Answer, check, failed, warned
from gpuctl.nova.lint.view import View
from gpuctl.nova.releases import PCI_IN_PLACEMENT, REPORT_IN_PLACEMENT

if TYPE_CHECKING:
    from collections.abc import Iterable

# admin/pci-passthrough.rst (master); placement bugs 2070257 and 2126751.
_MANY = 8


@check(
    "placement-order",
    "Do computes report before the scheduler asks?",
    answers="Fails when pci_in_placement is on and a compute does not report, or when only some of api, scheduler and "
    "conductor have it.",
    matters="The scheduler finds no device of computes that do not report: No valid host. With only some services "
    "asking, requests are built by two rules.",
    remedy="First report_in_placement on every compute, each restarted; then pci_in_placement on api, scheduler and "
    "all conductors.",
    sources=("help of pci_in_placement (34.0.0:nova/conf/scheduler.py)", "admin/pci-passthrough.rst"),
)
def order(view: View) -> Iterable[Answer]:
    """Yield services that are not in step."""
    asking = [service for service in view.services if view.schedules(service)]
    if not asking:
        return
    first = view.flag(asking[0], PCI_IN_PLACEMENT)[1]
    evidence = f"{first.option} = {first.text} ({first.where})" if first else ""
    for service in view.of("compute"):
        if view.specs(service) and not view.reports(service):
            yield failed(
                service.label,
                "pci_in_placement is on, and this compute does not report",
                evidence,
                "turn [pci] report_in_placement on first; it cannot be turned off again",
            )
    for role in ("api", "scheduler", "conductor"):
        for service in (one for one in view.services if one.role == role):
            if not view.schedules(service):
                yield failed(
                    service.label,
                    f"pci_in_placement is on elsewhere, and not on {role}",
                    evidence,
                    "turn it on here, too",
                )


@check(
    "placement-irreversible",
    "Is report_in_placement left alone once it was on?",
    answers="Warns when it is set to off: if it ever was on, nova-compute does not start.",
    matters="nova-compute looks into Placement when it starts, and refuses if it reported devices before.",
    remedy="Leave it on; or, if it never was on, take the line out.",
    sources=("nova/compute/pci_placement_translator.py: ensure_tracking_was_not_enabled_before (34.0.0)",),
)
def irreversible(view: View) -> Iterable[Answer]:
    """Yield computes that say off in so many words."""
    for service in view.of("compute"):
        on, value = view.flag(service, REPORT_IN_PLACEMENT)
        if value is not None and not on:
            yield warned(
                service.label,
                "report_in_placement is switched off: if it ever was on, nova-compute does not start",
                f"{value.option} = {value.text} ({value.where})",
                "leave it on, or take the line out if it never was",
            )


@check(
    "placement-many",
    "Can Placement count this host's devices in time?",
    answers="With --facts, warns from 8 cards of one kind a host on, when the compute reports.",
    matters="Placement tries combinations of candidates; from 8 of one class a host on, its limits need tuning.",
    remedy="Read Nova's page on PCI passthrough, and set Placement's limits.",
    sources=("admin/pci-passthrough.rst (master)", "placement bugs 2070257 and 2126751"),
)
def many(view: View) -> Iterable[Answer]:
    """Yield hosts with many cards of one kind."""
    for service, host in view.on_hosts():
        if not view.reports(service):
            continue
        counts: dict[str, int] = {}
        for card in host.cards:
            counts[card.ids] = counts.get(card.ids, 0) + 1
        for ids, count in counts.items():
            if count >= _MANY:
                yield warned(
                    host.name,
                    f"{count} cards {ids} on one host in Placement",
                    host.name,
                    "tune Placement's candidate limits",
                )


CHECKS = (order, irreversible, many)

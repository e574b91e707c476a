"""The scheduler's filter line."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from gpuctl.nova.lint.answer import Answer, check, failed, skipped, warned
from gpuctl.nova.lint.sources import Service, Value
from gpuctl.nova.lint.view import View, is_option
from gpuctl.nova.releases import DEFAULT_FILTERS, Option
from gpuctl.nova.vocabulary import AGGREGATE_FILTER, FILTERS_GONE, FILTERS_KEPT, NUMA_FILTER, PCI_FILTER

if TYPE_CHECKING:
    from collections.abc import Iterable

_AVAILABLE = (Option("filter_scheduler", "available_filters"), Option("DEFAULT", "scheduler_available_filters"))
_STOCK = "nova.scheduler.filters.all_filters"


@check(
    "filters-ignored",
    "Does the release still read [DEFAULT] scheduler_default_filters?",
    answers="Fails from 24 (Xena) on; warns when the release is not known.",
    matters="24 dropped the old name without a word: the default filters run, PciPassthroughFilter is not one of "
    "them, and GPU servers land on hosts without GPUs.",
    remedy="Write [filter_scheduler] enabled_filters.",
    sources=("commit 50a7a3050a (24.0.0rc1)", "nova/conf/scheduler.py"),
)
def ignored(view: View) -> Iterable[Answer]:
    """Yield filter lines under the old name that nobody reads."""
    for service in view.services:
        for value in (value for value in service.values if is_option(value, DEFAULT_FILTERS)):
            evidence = f"{value.option} = {value.text[:160]} ({value.where})"
            fix = "write it as [filter_scheduler] enabled_filters"
            if view.number is None:
                yield warned(service.label, "the old name of the filter line: from 24 on it is ignored", evidence, fix)
            elif view.number >= 24:
                yield failed(
                    service.label, f"Nova {view.release} ignores the old name of the filter line", evidence, fix
                )


def _line(names: list[str], value: Value | None) -> str:
    if value is None:
        return "no filter line: the release's default, " + (", ".join(names) or "which never has PciPassthroughFilter")
    return f"{value.option} = {', '.join(names)} ({value.where})"


@check(
    "filters-removed",
    "Does the release still have every filter?",
    answers="Fails for a filter that is gone; warns, when the release is not known, for one that is gone in a later "
    "one.",
    matters="nova-scheduler does not start: SchedulerHostFilterNotFound. The line of 2016 breaks at 20, 22 and 28.",
    remedy="Take the name out; Placement does what those filters did.",
    sources=(
        "nova/scheduler/filters/*.py, 15.1.5 to 34.0.0",
        "nova/scheduler/host_manager.py",
        "release notes remove-core-ram-disk-filters, remove-retry-and-aggregate-filters, az-filter-removal",
    ),
)
def removed(view: View) -> Iterable[Answer]:
    """Yield the filters that are gone."""
    for service in view.services:
        names, value = view.filters(service)
        for name in names if value else ():
            gone = FILTERS_GONE.get(name)
            if gone is None or (view.number is not None and view.number < gone):
                continue
            say = failed if view.number is not None else warned
            yield say(
                service.label, f"{name} is gone since {gone}", _line(names, value), f"take {name} out of the line"
            )


@check(
    "filters-pci",
    "Is PciPassthroughFilter on?",
    answers="Fails when there is an alias and the scheduler does not have it. Cannot be known without the scheduler's "
    "files.",
    matters="Without it the scheduler does not ask whether a host has a free card: boots fail on the host, again and "
    "again.",
    remedy="Add PciPassthroughFilter to the line; a line replaces the default, so write that, too.",
    sources=("nova/conf/scheduler.py: it is in no release's default (14 to 34)",),
)
def pci(view: View) -> Iterable[Answer]:
    """Yield schedulers without the filter."""
    schedulers = view.of("scheduler")
    if not schedulers:
        yield skipped(
            "scheduler",
            "the scheduler's files were not given",
            "no service reads as nova-scheduler here",
            "give them, too",
        )
    for service in schedulers:
        names, value = view.filters(service)
        wanted = any(view.aliases(one) or view.specs(one) for one in view.services)
        if wanted and PCI_FILTER not in names:
            yield failed(
                service.label, f"{PCI_FILTER} is not among the filters", _line(names, value), f"add {PCI_FILTER}"
            )


@check(
    "filters-unknown",
    "Is every filter one of Nova's, or made available?",
    answers="Fails for a name that Nova never had where only Nova's own filters are available; warns for it elsewhere.",
    matters="nova-scheduler does not start with a filter that it cannot find; the name's case counts.",
    remedy="Correct the name, or name its class in available_filters.",
    sources=("nova/scheduler/host_manager.py", "nova/scheduler/filters/*.py, 15.1.5 to 34.0.0"),
)
def unknown(view: View) -> Iterable[Answer]:
    """Yield filters that are not Nova's."""
    for service in view.services:
        names, value = view.filters(service)
        for name in names if value else ():
            if name in FILTERS_KEPT or name in FILTERS_GONE:
                continue
            near = difflib.get_close_matches(name, (*FILTERS_KEPT, *FILTERS_GONE), 1, 0.8)
            fix = f"did you mean {near[0]}?" if near else "name its class in [filter_scheduler] available_filters"
            say = warned if _has_own(service) and not near else failed
            yield say(service.label, f"{name} is not a filter of Nova", _line(names, value), fix)


def _has_own(service: Service) -> bool:
    lines = [value.text for value in service.values if any(is_option(value, option) for option in _AVAILABLE)]
    return any(line.strip() != _STOCK for line in lines)


@check(
    "filters-aggregates",
    "Do flavors' keys suit AggregateInstanceExtraSpecsFilter?",
    answers="Warns when the filter is on and the release hides KVM by a key without a namespace (18 to 21).",
    matters="The filter takes every key without a namespace for one of its own: a flavor with hide_hypervisor_id "
    "finds no host.",
    remedy="Use hw:hide_hypervisor_id (22; 21.2.0; 20.6.1) or img_hide_hypervisor_id on the image, and "
    "aggregate_instance_extra_specs:KEY for aggregates.",
    sources=("LP 1841932", "nova/scheduler/filters/aggregate_instance_extra_specs.py"),
)
def aggregates(view: View) -> Iterable[Answer]:
    """Yield schedulers on which the old spelling hides hosts."""
    for service in view.of("scheduler"):
        names, value = view.filters(service)
        if AGGREGATE_FILTER in names and view.release and view.release.hide_hypervisor == "hide_hypervisor_id":
            yield warned(
                service.label,
                f"{AGGREGATE_FILTER} is on: a flavor with hide_hypervisor_id finds no host",
                _line(names, value),
                "hide KVM by hw:hide_hypervisor_id (from 20.6.1, 21.2.0) or the image's img_hide_hypervisor_id",
            )


@check(
    "filters-numa",
    "Does anybody look at NUMA nodes where an alias demands them?",
    answers="Warns when an alias' numa_policy is required or socket and NUMATopologyFilter is not on.",
    matters="The scheduler then picks hosts on which the claim fails; with few hosts the boot ends in No valid host.",
    remedy="Add NUMATopologyFilter to the line.",
    sources=("nova/scheduler/filters/numa_topology_filter.py", "nova/pci/stats.py"),
)
def numa(view: View) -> Iterable[Answer]:
    """Yield schedulers without NUMATopologyFilter where a strict alias is defined."""
    strict = [
        item
        for one in view.services
        for item in view.good_aliases(one)
        if item.fields.get("numa_policy") in ("required", "socket")
    ]
    for service in view.of("scheduler"):
        names, value = view.filters(service)
        if strict and (value or view.release) and NUMA_FILTER not in names:
            yield warned(
                service.label,
                f"an alias demands NUMA nodes, and {NUMA_FILTER} is off",
                f"{strict[0].where}; {_line(names, value)}",
                f"add {NUMA_FILTER}",
            )


CHECKS = (ignored, removed, unknown, pci, aggregates, numa)

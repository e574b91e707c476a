"""The scheduler's filter line: what runs today and PciPassthroughFilter, without names that are gone."""

from __future__ import annotations

from gpuctl.nova.releases import Release
from gpuctl.nova.vocabulary import AGGREGATE_FILTER, FILTERS_GONE, FILTERS_KEPT, NUMA_FILTER, PCI_FILTER


def filter_line(release: Release, asked: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the filters in order, and what is to be said about them.

    Args:
        release: whose scheduler reads them.
        asked: the operator's line as it is today; None for the release's default.
    """
    notes = []
    line = []
    for name in release.default_filters if asked is None else asked:
        gone = FILTERS_GONE.get(name)
        if gone is not None and release.number >= gone:
            notes.append(
                f"{name} is left out of the filters: it is gone since {gone}, and nova-scheduler does not start with it"
            )
        elif name not in line:
            line.append(name)
            if name not in FILTERS_GONE and name not in FILTERS_KEPT:
                notes.append(
                    f"{name} is not a filter of Nova itself: [filter_scheduler] available_filters has to name its class"
                )
    if PCI_FILTER not in line:
        line.append(PCI_FILTER)
    if AGGREGATE_FILTER in line:
        notes.append(_aggregates(release))
    return tuple(line), tuple(notes)


def default_note(*, asked: bool) -> tuple[str, ...]:
    """Return what is to be said of a line that replaces one that nobody showed us."""
    if asked:
        return ()
    note = (
        f"the filters are Nova's own default and {PCI_FILTER}: if yours are others today, give them with --filters, "
        "because this line replaces them all"
    )
    return (note,)


def numa_note(line: tuple[str, ...], numa_policy: str | None) -> tuple[str, ...]:
    """Return what is to be said of a strict numa_policy where nobody looks at NUMA nodes."""
    if numa_policy in ("required", "socket") and NUMA_FILTER not in line:
        reason = "the scheduler picks hosts that the compute then refuses"
        return (f"numa_policy {numa_policy} without {NUMA_FILTER}: {reason}; add it with --filters",)
    return ()


def _aggregates(release: Release) -> str:
    """AggregateInstanceExtraSpecsFilter takes every key without a namespace for one of its own (LP 1841932)."""
    hide = release.hide_hypervisor
    start = (
        f"{AGGREGATE_FILTER} reads every extra spec without a namespace as an aggregate's: write "
        "aggregate_instance_extra_specs:KEY"
    )
    if hide == "hide_hypervisor_id":
        return (
            f"{start}; and hide_hypervisor_id in a flavor then finds no host: use hw:hide_hypervisor_id (20.6.1 and "
            "21.2.0 have it), or img_hide_hypervisor_id on the image"
        )
    return f"{start}; and hw:hide_hypervisor_id, never the old hide_hypervisor_id" if hide else start

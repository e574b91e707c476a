"""What a Nova release calls things: option names, default filters, microversion, how KVM is hidden.

Every line was read in the release's source (nova/conf/pci.py, nova/conf/scheduler.py, nova/pci/*.py) or, for Newton, in
the git tag newton-eol; what is only in a release note or the API history says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpuctl.nova.problem import Problem

FIRST, LAST = 14, 34

_NAMES = (
    *("newton", "ocata", "pike", "queens", "rocky", "stein", "train", "ussuri", "victoria", "wallaby", "xena", "yoga"),
    *("zed", "antelope", "bobcat", "caracal", "dalmatian", "epoxy", "flamingo", "gazpacho", "hibiscus"),
)
# Since 27 a series is named for its half year; before that the name was the series.
_FIRST_YEAR_SERIES, _FIRST_YEAR = 27, 2023


@dataclass(frozen=True, slots=True)
class Option:
    """Where an option stands in nova.conf."""

    section: str
    name: str

    def __str__(self) -> str:
        return f"[{self.section}] {self.name}"


DEFAULT_WHITELIST = Option("DEFAULT", "pci_passthrough_whitelist")
PCI_WHITELIST = Option("pci", "passthrough_whitelist")
DEVICE_SPEC = Option("pci", "device_spec")
DEFAULT_ALIAS = Option("DEFAULT", "pci_alias")
ALIAS = Option("pci", "alias")
DEFAULT_FILTERS = Option("DEFAULT", "scheduler_default_filters")
FILTERS = Option("filter_scheduler", "enabled_filters")
REPORT_IN_PLACEMENT = Option("pci", "report_in_placement")
PCI_IN_PLACEMENT = Option("filter_scheduler", "pci_in_placement")

_SERVER_GROUP = ("ServerGroupAntiAffinityFilter", "ServerGroupAffinityFilter")
_COMPUTE = ("ComputeFilter", "ComputeCapabilitiesFilter", "ImagePropertiesFilter", *_SERVER_GROUP)


@dataclass(frozen=True, slots=True)
class Release:
    """One release of Nova, 14 (Newton) to 34 (2026.2).

    Attributes:
        number: the major version: 33.
        name: its code name, lower case: gazpacho.
        series: what packages and branches are named for: 2026.1; the name itself before 2023.1.
        microversion: the API's highest (rest_api_version_history.rst); some neighbours share one.
    """

    number: int
    name: str
    series: str
    microversion: str

    def __str__(self) -> str:
        return (
            f"{self.series} ({self.number})"
            if self.series == self.name
            else f"{self.series} ({self.name}, {self.number})"
        )

    @property
    def whitelist(self) -> Option:
        """The option that lists the devices for guests, under its newest name."""
        if self.number >= 26:
            return DEVICE_SPEC
        return PCI_WHITELIST if self.number >= 15 else DEFAULT_WHITELIST

    @property
    def whitelist_names(self) -> tuple[Option, ...]:
        """Every name that is read, oldest first: in that order the values are put together (run, 33.0.2)."""
        every = (DEFAULT_WHITELIST, PCI_WHITELIST, DEVICE_SPEC)
        return every[: every.index(self.whitelist) + 1]

    @property
    def alias(self) -> Option:
        """The option that names devices for flavors."""
        return ALIAS if self.number >= 15 else DEFAULT_ALIAS

    @property
    def alias_names(self) -> tuple[Option, ...]:
        """Every name that is read, oldest first; 34 still reads the one of 14."""
        return (DEFAULT_ALIAS, ALIAS) if self.number >= 15 else (DEFAULT_ALIAS,)

    @property
    def filters(self) -> Option:
        """The option that lists the scheduler's filters."""
        return FILTERS if self.number >= 15 else DEFAULT_FILTERS

    @property
    def filters_names(self) -> tuple[Option, ...]:
        """Every name that is read; 24 stopped reading the old one, silently (commit 50a7a3050a)."""
        if self.number < 15:
            return (DEFAULT_FILTERS,)
        return (DEFAULT_FILTERS, FILTERS) if self.number < 24 else (FILTERS,)

    @property
    def default_filters(self) -> tuple[str, ...]:
        """What runs where nothing is set; PciPassthroughFilter never is among it."""
        if self.number >= 24:
            return _COMPUTE
        if self.number >= 20:
            return ("AvailabilityZoneFilter", *_COMPUTE)
        if self.number >= 16:
            return ("RetryFilter", "AvailabilityZoneFilter", *_COMPUTE)
        return ("RetryFilter", "AvailabilityZoneFilter", "RamFilter", "DiskFilter", *_COMPUTE)

    @property
    def hide_hypervisor(self) -> str | None:
        """The flavor's extra spec that hides KVM; None where only the image can (16, 17), or nothing can (14, 15).

        20.6.1 and 21.2.0 have the namespaced key as a backport; 20 and 21 as such do not, and the old key works there.
        """
        if self.number >= 22:
            return "hw:hide_hypervisor_id"
        return "hide_hypervisor_id" if self.number >= 18 else None

    @property
    def hide_hypervisor_image(self) -> str | None:
        """The image's property that hides KVM; None before 16."""
        return "img_hide_hypervisor_id" if self.number >= 16 else None

    @property
    def can_report_in_placement(self) -> bool:
        """Whether nova-compute can tell Placement of PCI devices ([pci] report_in_placement)."""
        return self.number >= 26

    @property
    def can_schedule_in_placement(self) -> bool:
        """Whether the scheduler can ask Placement for PCI devices ([filter_scheduler] pci_in_placement)."""
        return self.number >= 27

    @property
    def numa_policies(self) -> tuple[str, ...]:
        """What an alias may say as numa_policy: since 17; `socket` since 23 (nova/objects/fields.py)."""
        if self.number >= 23:
            return ("legacy", "preferred", "required", "socket")
        return ("legacy", "preferred", "required") if self.number >= 17 else ()

    @property
    def alias_ids_required(self) -> bool | None:
        """Whether an alias without vendor_id and product_id keeps services from starting.

        None: it depends on the point release. 31.3.1 does (commits acc6221660, ae064caf16, LP 2111440), 31.3.0 not.
        """
        return None if self.number == 31 else self.number >= 32


def _series(number: int) -> str:
    if number < _FIRST_YEAR_SERIES:
        return _NAMES[number - FIRST]
    year, half = divmod(number - _FIRST_YEAR_SERIES, 2)
    return f"{_FIRST_YEAR + year}.{half + 1}"


_MICROVERSIONS = (
    *("2.38", "2.42", "2.53", "2.60", "2.65", "2.72", "2.79", "2.87", "2.87", "2.88", "2.90", "2.90", "2.93"),
    *("2.95", "2.95", "2.96", "2.96", "2.100", "2.100", "2.103", "2.104"),
)
RELEASES = tuple(
    Release(number, _NAMES[number - FIRST], _series(number), _MICROVERSIONS[number - FIRST])
    for number in range(FIRST, LAST + 1)
)
_BY_WORD = {word: release for release in RELEASES for word in (str(release.number), release.name, release.series)}


def parse_release(text: str) -> Release:
    """Return the release that ``text`` names: number (33), version (33.0.2), series (2026.1) or name (gazpacho).

    Raises:
        Problem: there is no such release, or its facts are not known here.
    """
    word = text.strip().lower()
    version = re.fullmatch(r"(\d\d)\.\d+(\.\d+)?", word)
    found = _BY_WORD.get(version[1] if version else word)
    if found:
        return found
    known = ", ".join(str(release) for release in RELEASES)
    raise Problem(
        f"no Nova release is known as {text!r}",
        details=f"known: {known}",
        resolution="give its number (33), series (2026.1) or name (newton); on a host `nova-manage --version` prints "
        "it",
    )


def by_microversion(maximum: str) -> tuple[Release, ...]:
    """Return the releases whose API's highest microversion is ``maximum``: one, or two that it cannot tell apart."""
    return tuple(release for release in RELEASES if release.microversion == maximum)

"""Everything that a check may look at: the services' values, the release and the hosts, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gpuctl.nova.hosts import Host
from gpuctl.nova.lint.objects import Item, alias_of, specs_of
from gpuctl.nova.lint.sources import Service, Value
from gpuctl.nova.releases import (
    ALIAS,
    DEFAULT_ALIAS,
    DEFAULT_FILTERS,
    DEFAULT_WHITELIST,
    DEVICE_SPEC,
    FILTERS,
    PCI_IN_PLACEMENT,
    PCI_WHITELIST,
    REPORT_IN_PLACEMENT,
    Option,
    Release,
)
from gpuctl.nova.vocabulary import TRUE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

WHITELISTS = (DEFAULT_WHITELIST, PCI_WHITELIST, DEVICE_SPEC)
ALIASES = (DEFAULT_ALIAS, ALIAS)
FILTER_LINES = (DEFAULT_FILTERS, FILTERS)
OURS = (*WHITELISTS, *ALIASES, *FILTER_LINES, REPORT_IN_PLACEMENT, PCI_IN_PLACEMENT)


def is_option(value: Value, option: Option) -> bool:
    """Say whether a value is that option's; oslo.config takes dashes for underscores nowhere in files."""
    return (value.section, value.key) == (option.section, option.name)


@dataclass(frozen=True)
class View:
    """What was given.

    Attributes:
        services: one a role, and one a host with files of its own.
        release: None where it was not said.
        hosts: None where no facts were given.
    """

    services: tuple[Service, ...]
    release: Release | None
    hosts: tuple[Host, ...] | None

    @property
    def number(self) -> int | None:
        """The release's number."""
        return self.release.number if self.release else None

    def of(self, role: str) -> tuple[Service, ...]:
        """Return the services of a role."""
        return tuple(service for service in self.services if service.plays(role))

    def values(self, service: Service, options: tuple[Option, ...]) -> list[Value]:
        """Return a repeating option's values in oslo.config's order: file by file, and in each the oldest name first.

        Args:
            service: whose.
            options: the option's names, oldest first (run: oslo.config 10.7, _Namespace._get_file_value).
        """
        return [
            value
            for file in dict.fromkeys(service.files)
            for option in options
            for value in service.values
            if value.file == file and is_option(value, option)
        ]

    @cached_property
    def _read_whitelists(self) -> tuple[Option, ...]:
        return self.release.whitelist_names if self.release else WHITELISTS

    def specs(self, service: Service) -> list[Item]:
        """Return the device specs in force, in the order in which Nova tries them."""
        return [item for value in self.values(service, self._read_whitelists) for item in specs_of(value)]

    def aliases(self, service: Service) -> list[Item]:
        """Return the aliases in force."""
        names = self.release.alias_names if self.release else ALIASES
        return [alias_of(value) for value in self.values(service, names)]

    def good_aliases(self, service: Service) -> list[Item]:
        """Return the aliases that are objects with a name."""
        return [item for item in self.aliases(service) if not item.error and isinstance(item.fields.get("name"), str)]

    def filters(self, service: Service) -> tuple[list[str], Value | None]:
        """Return the scheduler's filters in force and the value that says so; the last line read wins.

        Without a line, or with one that the release does not read, the release's default and None; an empty list where
        neither is known.
        """
        names = self.release.filters_names if self.release else FILTER_LINES
        # Of a plain option the last file wins, in a file the newest name, of equal ones the last line.
        lines = self.values(service, names)
        if lines:
            return [word.strip().strip("'\"") for word in lines[-1].text.split(",") if word.strip()], lines[-1]
        return (list(self.release.default_filters) if self.release else []), None

    def flag(self, service: Service, option: Option) -> tuple[bool, Value | None]:
        """Return a switch and the value that sets it; the last one wins, the default is off."""
        found = [value for value in service.values if is_option(value, option)]
        return (found[-1].text.strip().lower() in TRUE_WORDS, found[-1]) if found else (False, None)

    def reports(self, service: Service) -> bool:
        """Say whether this compute reports to Placement."""
        return self.flag(service, REPORT_IN_PLACEMENT)[0]

    def schedules(self, service: Service) -> bool:
        """Say whether this service asks Placement for devices."""
        return self.flag(service, PCI_IN_PLACEMENT)[0]

    def computes_of(self, host: Host) -> tuple[Service, ...]:
        """Return what nova-compute on a host reads: its own files if there are, else the common ones."""
        computes = self.of("compute")
        own = tuple(service for service in computes if service.host == host.name)
        return own or tuple(service for service in computes if service.host is None)

    def on_hosts(self) -> Iterator[tuple[Service, Host]]:
        """Yield each host that facts were given of, with the compute configuration that is in force there."""
        for host in self.hosts or ():
            for service in self.computes_of(host):
                yield service, host

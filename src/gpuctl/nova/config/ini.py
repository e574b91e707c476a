"""nova.conf text: sections, one value a line, nothing that oslo.config would take for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.nova.config.plan import Configuration, Spec, as_json
from gpuctl.nova.releases import PCI_IN_PLACEMENT, REPORT_IN_PLACEMENT, Option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Setting = tuple[Option, str]


def ini(settings: Sequence[Setting]) -> str:
    """Return the settings as text, grouped by section in order of first mention.

    A ``$`` is doubled: oslo.config takes $name for another option's value, and dies if there is none (run, 10.7).
    """
    sections = dict.fromkeys(option.section for option, _ in settings)
    blocks = []
    for section in sections:
        lines = [
            f"{option.name} = {value.replace('$', '$$')}" for option, value in settings if option.section == section
        ]
        blocks.append("\n".join([f"[{section}]", *lines]) + "\n")
    return "\n".join(blocks)


def alias_settings(configuration: Configuration) -> list[Setting]:
    """Return the alias lines: the same for nova-api and every nova-compute."""
    return [(configuration.release.alias, as_json(alias)) for alias in configuration.aliases]


def compute_settings(configuration: Configuration, specs: Iterable[Spec]) -> list[Setting]:
    """Return what a nova-compute reads: its devices, the aliases (moves need them there), and whether it reports."""
    settings = [(configuration.release.whitelist, as_json(spec)) for spec in specs]
    settings += alias_settings(configuration)
    if configuration.report:
        settings.append((REPORT_IN_PLACEMENT, "true"))
    return settings


def filter_settings(configuration: Configuration) -> list[Setting]:
    """Return the scheduler's filter line."""
    return [(configuration.release.filters, ",".join(configuration.filters))]


def placement_settings(configuration: Configuration) -> list[Setting]:
    """Return what api, scheduler and conductor have to agree on."""
    return [(PCI_IN_PLACEMENT, "true")] if configuration.schedule else []


def api_settings(configuration: Configuration) -> list[Setting]:
    """Return what nova-api reads."""
    return alias_settings(configuration) + placement_settings(configuration)


def scheduler_settings(configuration: Configuration) -> list[Setting]:
    """Return what nova-scheduler reads."""
    return filter_settings(configuration) + placement_settings(configuration)

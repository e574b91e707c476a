"""Option names: the right section, a name that this release reads, one name at a time, no accidental $name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.nova.lint.answer import Answer, check, failed, skipped, warned
from gpuctl.nova.lint.sources import Service, Value
from gpuctl.nova.lint.substitution import resolve
from gpuctl.nova.lint.view import ALIASES, OURS, WHITELISTS, View, is_option
from gpuctl.nova.releases import (
    ALIAS,
    DEVICE_SPEC,
    FILTERS,
    PCI_IN_PLACEMENT,
    PCI_WHITELIST,
    REPORT_IN_PLACEMENT,
    Option,
    Release,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

# Names that people write for the real ones, in whatever section -> the real one.
_MEANT = {
    "pci_passthrough_whitelist": PCI_WHITELIST,
    "passthrough_whitelist": PCI_WHITELIST,
    "whitelist": PCI_WHITELIST,
    "device_spec": DEVICE_SPEC,
    "device_specs": DEVICE_SPEC,
    "dev_spec": DEVICE_SPEC,
    "pci_device_spec": DEVICE_SPEC,
    "pci_alias": ALIAS,
    "alias": ALIAS,
    "aliases": ALIAS,
    "scheduler_default_filters": FILTERS,
    "default_filters": FILTERS,
    "enabled_filters": FILTERS,
    "report_in_placement": REPORT_IN_PLACEMENT,
    "pci_in_placement": PCI_IN_PLACEMENT,
}
# Sections where such a name would be an option of something else.
_SECTIONS = (
    "DEFAULT",
    "pci",
    "filter_scheduler",
    "scheduler",
    "nova",
    "compute",
    "libvirt",
    "devices",
    "placement",
    "api",
)


@check(
    "option-misplaced",
    "Does every PCI and filter option stand in its section, under its name?",
    answers="Fails for a name or section that no Nova reads.",
    matters="oslo.config takes no notice of options that nobody registered: the line does nothing, and nothing says "
    "so.",
    remedy="Write the option's real name in its real section.",
    sources=(
        "nova/conf/pci.py, nova/conf/scheduler.py, 15.1.5 to 34.0.0",
        "Nova's own guide shows dev_spec, which is none",
    ),
)
def misplaced(view: View) -> Iterable[Answer]:
    """Yield lines that look like ours and are not."""
    for service in view.services:
        for value in service.values:
            meant = _MEANT.get(value.key.lower().replace("-", "_"))
            if meant is None or value.section not in _SECTIONS or any(is_option(value, option) for option in OURS):
                continue
            right = _today(meant, view.release)
            yield failed(
                service.label,
                f"{value.option} is not an option of Nova",
                f"{value.option} ({value.where})",
                f"write {right}",
            )


def _today(option: Option, release: Release | None) -> Option:
    """The option's name in the release; the newest where that is not known."""
    if option in (PCI_WHITELIST, DEVICE_SPEC):
        return release.whitelist if release else option
    if option == ALIAS:
        return release.alias if release else option
    if option == FILTERS:
        return release.filters if release else option
    return option


@check(
    "option-ignored",
    "Does this release read every option?",
    answers="Fails for an option that the release does not have yet. Cannot be known without --release.",
    matters="The line does nothing: with device_spec on 25 the host offers no device at all.",
    remedy="Use the name that the release reads.",
    sources=("nova/conf/pci.py, nova/conf/scheduler.py, 15.1.5 to 34.0.0; git tag newton-eol",),
)
def ignored(view: View) -> Iterable[Answer]:
    """Yield our options that are newer than the release."""
    release = view.release
    if release is None:
        return
    for service in view.services:
        for value in service.values:
            since, instead = _since(value, release)
            if since > release.number:
                yield failed(
                    service.label,
                    f"Nova {release} does not read {value.option}",
                    f"{value.option} ({value.where}); it came with {since}",
                    f"write {instead}" if instead else "take it out, or upgrade first",
                )


def _since(value: Value, release: Release) -> tuple[int, Option | None]:
    """The release that brought an option, and what to write before that."""
    table = {
        DEVICE_SPEC: (26, release.whitelist),
        PCI_WHITELIST: (15, release.whitelist),
        ALIAS: (15, release.alias),
        FILTERS: (15, release.filters),
        REPORT_IN_PLACEMENT: (26, None),
        PCI_IN_PLACEMENT: (27, None),
    }
    return next((found for option, found in table.items() if is_option(value, option)), (0, None))


@check(
    "option-both-names",
    "Is each list set under one of its names only?",
    answers="Fails when an old and a new name are both set with different values; warns when they say the same.",
    matters="Nova puts both lists together, the old name's first, and the first spec that matches a device wins: a "
    "stale line of before the upgrade decides. An alias that stands under both names is there twice.",
    remedy="Keep the newest name that the release reads.",
    sources=("run: oslo.config 10.7 with nova 33.0.2", "nova/conf/pci.py: deprecated names"),
)
def both_names(view: View) -> Iterable[Answer]:
    """Yield lists that are set under more than one name."""
    for service in view.services:
        for options in (WHITELISTS, ALIASES):
            by_name = {option: view.values(service, (option,)) for option in options}
            if view.release:
                read = view.release.whitelist_names if options is WHITELISTS else view.release.alias_names
                by_name = {option: values for option, values in by_name.items() if option in read}
            used = {option: values for option, values in by_name.items() if values}
            if len(used) > 1:
                yield _both(service, used)


def _both(service: Service, used: dict[Option, list[Value]]) -> Answer:
    names = " and ".join(str(option) for option in used)
    evidence = "; ".join(f"{value.option} ({value.where})" for values in used.values() for value in values)
    same = len({tuple(sorted(value.text for value in values)) for values in used.values()}) == 1
    say = warned if same else failed
    return say(
        service.label, f"{names} are both set: their lists are added up", evidence, f"keep {list(used)[-1]} alone"
    )


@check(
    "option-role",
    "Does each option stand where its service reads it?",
    answers="Warns for device lists in files of api, scheduler or conductor, and filters in files of computes.",
    matters="The device list is nova-compute's, the filter line nova-scheduler's: elsewhere they do nothing.",
    remedy="Move the line.",
    sources=("nova/conf/pci.py, help of device_spec and alias (34.0.0)", "nova/scheduler/host_manager.py"),
)
def role(view: View) -> Iterable[Answer]:
    """Yield options in a file of a service that does not read them."""
    wrong = {
        "compute": (*_names(FILTERS), PCI_IN_PLACEMENT),
        "api": (*WHITELISTS, REPORT_IN_PLACEMENT, FILTERS),
        "scheduler": (*WHITELISTS, REPORT_IN_PLACEMENT),
        "conductor": (*WHITELISTS, REPORT_IN_PLACEMENT, FILTERS),
    }
    several = {
        file
        for service in view.services
        for file in service.files
        if sum(file in one.files for one in view.services) > 1
    }
    for service in view.services:
        for value in service.values:
            if value.file not in several and any(is_option(value, option) for option in wrong.get(service.role, ())):
                yield warned(
                    service.label,
                    f"{value.option} does nothing in {service.role}'s file",
                    f"{value.option} ({value.where})",
                    "move it to the file of the service that reads it",
                )


def _names(option: Option) -> tuple[Option, ...]:
    return (option, Option("DEFAULT", "scheduler_default_filters")) if option == FILTERS else (option,)


@check(
    "value-dollar",
    "Is every $ in a value doubled?",
    answers="Fails when oslo.config takes a part of a value for another option's name.",
    matters='"$bus" means the value of an option bus; there is none, and the service dies with NoSuchOptError.',
    remedy="Write $$ for a $.",
    sources=("run: oslo.config 10.7 with nova 33.0.2",),
)
def dollar(view: View) -> Iterable[Answer]:
    """Yield our values in which a $name is replaced."""
    for service in view.services:
        for value in service.values:
            if not any(is_option(value, option) for option in OURS):
                continue
            _, error = resolve(value.text)
            if error:
                yield failed(
                    service.label,
                    "a value holds a $name",
                    (
                        f"{value.option} = {' '.join(value.text.split())[:160]} ({value.where}): "
                        f"{' '.join(error.split())[:160]}"
                    ),
                    "write $$ for every $ that is meant as itself",
                )


@check(
    "pci-configured",
    "Is there anything to judge?",
    answers="Cannot be known when the files say nothing of PCI devices.",
    matters="A check that found nothing to look at is no proof that all is well.",
    remedy="Give every file that the service reads, drop-ins too.",
    sources=("gpuctl",),
)
def configured(view: View) -> Iterable[Answer]:
    """Say so if no file holds a device list or an alias."""
    if not any(view.values(service, (*WHITELISTS, *ALIASES)) for service in view.services):
        files = ", ".join(dict.fromkeys(file for service in view.services for file in service.files)) or "no file"
        yield skipped(
            "nova", "no device list and no alias in these files", files, "give every file that the services read"
        )


CHECKS = (configured, misplaced, ignored, both_names, role, dollar)

"""What the operator asks for, checked against what the release can do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import Release
from gpuctl.nova.vocabulary import NUMA_POLICIES

if TYPE_CHECKING:
    from collections.abc import Mapping

OFF, REPORT, SCHEDULE = "off", "report", "schedule"
# An alias goes into a flavor as name:count[,name:count], so it cannot hold ':' or ','; quotes, '$', '%' and '{' are
# left out for the sake of ini, shells and Jinja.
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CUSTOM = re.compile(r"[A-Z][A-Z0-9_]{0,254}")
_IDS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


@dataclass(frozen=True)
class Wishes:
    """The options of `gpuctl nova configure`.

    Attributes:
        alias: the name for the one model; None: made from the model's name.
        aliases: vendor:device -> name.
        filters: the scheduler's line as it is today; None: the release's default.
        placement: "off", "report" (computes tell Placement) or "schedule" (and the scheduler asks it).
        numa_policy: how near a guest's NUMA node the card must be.
        managed: "yes" or "no"; no: Nova leaves the card on vfio-pci.
        live_migratable: "yes" or "no".
        one_time_use: a card is given once, then kept back until an operator frees it.
        resource_class: the name in Placement for the one model.
        resource_classes: vendor:device -> name.
        traits: of the devices, in Placement.
        gpus: host -> the addresses meant there; hosts that are not named: all prepared cards.
        unprepared: count cards that are not on vfio-pci yet, too.
    """

    alias: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    filters: tuple[str, ...] | None = None
    placement: str = OFF
    numa_policy: str | None = None
    managed: str | None = None
    live_migratable: str | None = None
    one_time_use: bool = False
    resource_class: str | None = None
    resource_classes: Mapping[str, str] = field(default_factory=dict)
    traits: tuple[str, ...] = ()
    gpus: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unprepared: bool = False


def check_wishes(wishes: Wishes, release: Release) -> None:
    """Return if the release can do all that is asked.

    Raises:
        Problem: it cannot; the message says since when it could, and why it matters.
    """
    _placement(wishes, release)
    if wishes.numa_policy and wishes.numa_policy not in release.numa_policies:
        _too_old("numa_policy " + wishes.numa_policy, NUMA_POLICIES[wishes.numa_policy], release)
    for key, value in (("managed", wishes.managed), ("live_migratable", wishes.live_migratable)):
        if value and release.number < 31:
            _too_old(key, 31, release, "it would be read as a tag without effect, and without a word")
    if wishes.one_time_use and release.number < 32:
        _too_old("one_time_use", 32, release, "it would be read as a tag without effect, and without a word")
    for name in (wishes.alias, *wishes.aliases.values()):
        if name is not None and not SAFE_NAME.fullmatch(name):
            raise Problem(
                f"{name!r} cannot be an alias here",
                details="a flavor asks for it as NAME:COUNT[,NAME:COUNT], so ':' and ',' would split it",
                resolution="use letters, digits, '.', '_' and '-', 64 at most, a letter or digit first",
            )
    _custom_names(wishes)
    for name in wishes.filters or ():
        if not _CLASS.fullmatch(name):
            raise Problem(f"{name!r} is no filter's name", resolution="give names of classes, with commas between")


def _placement(wishes: Wishes, release: Release) -> None:
    if wishes.placement != OFF and not release.can_report_in_placement:
        _too_old("report_in_placement", 26, release)
    if wishes.placement == SCHEDULE and not release.can_schedule_in_placement:
        _too_old("pci_in_placement", 27, release, "26 can report devices, but not schedule by them: --placement=report")
    needs = [
        name
        for name, asked in (
            ("one_time_use", wishes.one_time_use),
            ("resource_class", wishes.resource_class or wishes.resource_classes),
            ("traits", wishes.traits),
        )
        if asked
    ]
    if needs and wishes.placement == OFF:
        raise Problem(
            f"{', '.join(needs)} needs Placement",
            details="without report_in_placement Nova ignores resource_class and traits, and nova-compute refuses "
            "one_time_use",
            resolution="add --placement, after reading what it cannot undo",
        )


def _custom_names(wishes: Wishes) -> None:
    for name in (wishes.resource_class, *wishes.resource_classes.values(), *wishes.traits):
        if name is not None and not _CUSTOM.fullmatch(name):
            raise Problem(
                f"{name!r} is no name for Placement",
                details="Nova would rewrite it to CUSTOM_..., and the flavor's author would look for the wrong name",
                resolution="use capitals, digits and '_', as CUSTOM_GPU_A100",
            )
    for ids in (*wishes.aliases, *wishes.resource_classes):
        if not _IDS.fullmatch(ids):
            raise Problem(f"{ids!r} is not vendor:device", resolution="write four hex digits each, as 10de:1b80")


def _too_old(what: str, since: int, release: Release, reason: str = "") -> None:
    raise Problem(
        f"Nova {release} does not know {what}",
        details=f"it came with {since}" + (f"; {reason}" if reason else ""),
        resolution="leave it out, or name the release that the services really run (`nova-manage --version`)",
    )

"""The first look: hosts, cloud and what each phase would change, before anybody is asked and anything is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.flavors.api import FlavorApi
from gpuctl.fleet.run_state import plan_document
from gpuctl.fleet.summary import FAILED
from gpuctl.moves.nova_api import NovaApi
from gpuctl.up import configuration, offers, preparing
from gpuctl.up.hosts import HostView, unreachable
from gpuctl.up.phase import LeftOut, lost
from gpuctl.up.smoke import models_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.flavors.diff import Step
    from gpuctl.nova.releases import Release
    from gpuctl.up.preparing import Planned
    from gpuctl.up.wish import Means, UpWish

SCHEMA = "gpuctl.up.plan/1"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen.

    Attributes:
        views: what each host said.
        seconds: that it took to ask the hosts.
        nova: the compute API.
        api: its flavors.
        release: of Nova.
        planned: what prepare would do.
        left_out: hosts that could not be asked.
        steps: what would become of each flavor, as far as it is known before hosts are prepared.
        aliases: of the models, in Nova.
    """

    views: tuple[HostView, ...]
    seconds: float
    nova: NovaApi
    api: FlavorApi
    release: Release
    planned: Planned
    left_out: tuple[LeftOut, ...]
    steps: tuple[Step, ...]
    aliases: tuple[str, ...]

    @property
    def lost(self) -> tuple[LeftOut, ...]:
        """The hosts that the chain would not touch."""
        return (*self.left_out, *self.planned.left_out)

    def document(self, wish: UpWish) -> dict[str, Any]:
        """Return what each phase would change (schema gpuctl.up.plan/1)."""
        return {
            "schema": SCHEMA,
            "inventory": list(wish.inventory),
            "hosts": {"asked": len(self.views), "ready": sum(view.ready for view in self.views)},
            "exit_code": lost(self.lost, len(self.views)),
            "left_out": [one.document() for one in self.lost],
            "prepare": plan_document(self.planned.wish, list(self.planned.states)) if self.planned.states else None,
            "reboot": {
                "hosts": [state.host for state in self.planned.states if state.reboot],
                "asked_again": not wish.reboot,
            },
            "configuration": {
                "release": str(self.release),
                "layout": wish.layout,
                "folder": str(wish.folder / configuration.NOVA),
                "aliases": list(self.aliases),
                "laid_down_on": None
                if wish.control is None
                else {service: list(names) for service, names in wish.control.items()},
            },
            "flavors": [{"name": step.name, "action": step.action} for step in self.steps],
            "smoke": list(models_of(self.steps)) if wish.smoke else None,
        }


def look(wish: UpWish, means: Means, hosts: Sequence[str]) -> Look:
    """Return what is there; the cloud is asked first, so that nothing waits for credentials later.

    Raises:
        CloudError: the cloud cannot be asked.
        Problem: the release is not known, or no configuration fits these hosts.
        FlavorError: a catalogue is wrong.
        KeyboardInterrupt: it was interrupted.
    """
    import time

    service = means.cloud.service("compute")
    nova = NovaApi.of(service)
    api = FlavorApi(service, nova.newest)
    release = configuration.release_of(wish.release, nova.newest)
    computes = nova.computes()
    began = time.monotonic()
    views = means.ask(hosts)
    seconds = time.monotonic() - began
    left = unreachable(views)
    bare = [view for view in views if not view.ready and view.state != FAILED]
    occupied = preparing.servers_on(nova, configuration.nova_names(bare, computes))
    planned = preparing.plan_hosts(wish, means, [view.host for view in bare], occupied)
    gone = {one.host for one in (*left, *planned.left_out)}
    staying = [view for view in views if view.host not in gone]
    steps: tuple[Step, ...] = ()
    aliases: dict[str, str] = {}
    if staying:
        aliases = configuration.aliases_of(configuration.plan_files(release, staying, unprepared=True))
        steps = offers.steps_for(means, api, offers.wanted(wish, staying, aliases)[0])
    return Look(
        tuple(views), seconds, nova, api, release, planned, tuple(left), steps, tuple(dict.fromkeys(aliases.values()))
    )

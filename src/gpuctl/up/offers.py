"""Phase flavors: a catalogue's, or those that fill the hosts, made equal in the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.flavors import division
from gpuctl.flavors.catalogue import entries_of, load
from gpuctl.flavors.hosts import Sizes, host_of
from gpuctl.flavors.prepare import prepare
from gpuctl.flavors.report import exit_code
from gpuctl.flavors.sync import Sync
from gpuctl.nova.config.write import write_files
from gpuctl.up.phase import DONE, FAILED, HOLDS, PART, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.flavors.api import FlavorApi
    from gpuctl.flavors.diff import Step
    from gpuctl.flavors.model import Entry
    from gpuctl.flavors.sync import Result
    from gpuctl.up.hosts import HostView
    from gpuctl.up.wish import Means, UpWish

CATALOGUE = "planned-flavors.yaml"  # in the folder of -o
_HEAD = "# Planned by gpuctl up from the hosts' facts, and written anew by each run: edit a copy, and give it.\n"
_NAME, _PREFIX, _DISK = "up", "gpu.", 100
_KEPT_CPUS, _KEPT_RAM = 4, 8 * 1024  # threads and MiB that stay with the host, as `gpuctl flavor plan` by default


def wanted(wish: UpWish, views: Sequence[HostView], aliases: Mapping[str, str]) -> tuple[tuple[Entry, ...], Any]:
    """Return the flavors, and the planned catalogue they are of (None where catalogues were given).

    Raises:
        BadCatalogue: a catalogue is wrong, or the facts do not say how large a host is.
    """
    if wish.catalogues:
        return load(wish.catalogues), None
    sizes = Sizes(wish.cpus, wish.ram, reserve_cpus=_KEPT_CPUS, reserve_ram=_KEPT_RAM)
    hosts = [host_of(view.named_facts, sizes, view.host) for view in views]
    document = division.catalogue(division.divide(hosts), name=_NAME, prefix=_PREFIX, disk=_DISK, aliases=dict(aliases))
    return entries_of(document), document


def steps_for(means: Means, api: FlavorApi, entries: Sequence[Entry]) -> tuple[Step, ...]:
    """Return what has to be done so that the cloud has these flavors; nothing is touched."""
    return prepare(api, entries, lambda: means.cloud.service("identity"))


def apply(wish: UpWish, means: Means, api: FlavorApi, steps: Sequence[Step], planned: Any) -> list[Result]:  # noqa: ANN401 - a catalogue's document
    """The cloud has the flavors, read back; a planned catalogue is in the folder."""
    if planned is not None:
        import yaml

        text = yaml.safe_dump(planned, sort_keys=False, allow_unicode=True, width=120)
        write_files(wish.folder, {CATALOGUE: _HEAD + text}, force=True)
    sync = Sync(api, told=lambda text, done, total: means.show({"text": text, "done": done, "total": total}))
    return sync.run(steps)


def outcome(results: Sequence[Result]) -> Outcome:
    """Return what the phase came to."""
    made = [one.step.name for one in results if one.state == "done"]
    good = [one for one in results if one.state in ("done", "unchanged")]
    lines = [f"{len(good)} of {len(results)} flavors are as they should be" + (f", {len(made)} written" * bool(made))]
    for one in results:
        if one.state == "waiting":
            lines.append(f"{one.step.name}: Nova cannot change {', '.join(one.step.fixed)}")
        elif one.error is not None:
            lines.append(f"{one.step.name}: {one.error.brief}")
    code = exit_code(results)
    state = FAILED if not good else PART if code else DONE if made else HOLDS
    fix = next((one.error.resolution for one in results if one.error is not None), "")
    if not fix and code:
        fix = "gpuctl flavor apply --replace, with this catalogue"
    return Outcome(state, tuple(lines), fix, code)


def names(results: Sequence[Result]) -> list[str]:
    """Return the flavors that the cloud has as wished."""
    return [one.step.name for one in results if one.state in ("done", "unchanged")]

"""Phase configuration: `gpuctl nova configure` from the hosts' facts, laid down by the collection where asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.nova.config.header import MARK
from gpuctl.nova.config.layouts import render
from gpuctl.nova.config.plan import configure
from gpuctl.nova.config.wishes import Wishes
from gpuctl.nova.config.write import write_files
from gpuctl.nova.hosts import host_of
from gpuctl.nova.lint.registry import check_document
from gpuctl.nova.lint.sources import read_services
from gpuctl.nova.lint.view import View
from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import Release, by_microversion, parse_release
from gpuctl.up.phase import CONFIGURATION, LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpuctl.moves.model import Compute
    from gpuctl.moves.nova_api import NovaApi
    from gpuctl.nova.config.plan import Configuration
    from gpuctl.up.hosts import HostView
    from gpuctl.up.wish import Means, UpWish

PLAIN = "plain"
POLL = 5.0  # seconds
NOVA, FACTS = "nova", "facts.jsonl"  # in the folder of -o


@dataclass(frozen=True, slots=True)
class Written:
    """Nova's configuration, on disk at the operator's.

    Attributes:
        configuration: what the services have to know.
        files: relative path -> text.
        changed: paths of the files that were not so before.
        notes: what a person should know.
    """

    configuration: Configuration
    files: Mapping[str, str]
    changed: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def aliases(self) -> dict[str, str]:
        """Model ("10de:2330") -> what Nova calls it."""
        return aliases_of(self.configuration)


def aliases_of(configuration: Configuration) -> dict[str, str]:
    """Return model -> alias; of two aliases of one model the first."""
    found: dict[str, str] = {}
    for one in configuration.aliases:
        found.setdefault(f"{one['vendor_id']}:{one['product_id']}", one["name"])
    return found


def release_of(said: str | None, newest: tuple[int, int]) -> Release:
    """Return the release that was said, or that the API's newest microversion gives away.

    Raises:
        Problem: there is no such release, or two share the microversion.
    """
    if said is not None:
        return parse_release(said)
    found = by_microversion(f"{newest[0]}.{newest[1]}")
    if len(found) == 1:
        return found[0]
    raise Problem(
        f"which release of Nova? Its API's newest microversion is {newest[0]}.{newest[1]}",
        details=f"that fits {' and '.join(map(str, found)) or 'no release that gpuctl knows'}",
        resolution="say --release; nova-manage --version says which",
    )


def plan_files(release: Release, views: Sequence[HostView], *, unprepared: bool = False) -> Configuration:
    """Return the configuration for these hosts; ``unprepared``: as it will be once they are prepared.

    Raises:
        Problem: it cannot be made from these facts.
    """
    hosts = tuple(host_of(view.named_facts, origin=view.host) for view in views)
    if not hosts:
        raise Problem("no host is left to configure Nova for", resolution="see why each was left out", exit_code=1)
    return configure(hosts, release, Wishes(unprepared=unprepared))


def write(wish: UpWish, release: Release, views: Sequence[HostView]) -> Written:
    """Nova's files are in the folder, and the facts beside them; plain ones pass `gpuctl nova check`.

    Raises:
        Problem: they cannot be made or written, or do not pass.
    """
    configuration = plan_files(release, views)
    rendered = render(wish.layout, configuration)
    folder = wish.folder / NOVA
    changed = write_files(folder, rendered.files, force=False)
    facts = "".join(json.dumps(view.named_facts, ensure_ascii=False) + "\n" for view in views)
    write_files(wish.folder, {FACTS: facts}, force=True)
    if wish.layout == PLAIN:
        _judge(folder, rendered.files, release, views)
    return Written(configuration, rendered.files, changed, (*configuration.notes, *rendered.notes))


def _judge(folder: Path, files: Mapping[str, str], release: Release, views: Sequence[HostView]) -> None:
    services, notes = read_services([str(folder / name) for name in files])
    hosts = tuple(host_of(view.named_facts, origin=view.host) for view in views)
    document = check_document(View(services, release, hosts), notes)
    fails = [one for one in document["findings"] if one["status"] == "fail"]
    if fails:
        raise Problem(
            f"what was written to {folder} does not pass `gpuctl nova check`",
            details="\n".join(f"{one['id']}: {one['evidence']}" for one in fails),
            resolution=fails[0]["fix"],
            exit_code=1,
        )


def what_to_lay(wish: UpWish, written: Written) -> tuple[str, ...]:
    """Return which file belongs where, and in which order to restart, for the person who does it."""
    folder = wish.folder / NOVA
    lines = [f"to be laid down: {folder / name}" for name, text in written.files.items() if _says_something(text)]
    return (*lines, *(f"then restart {step}" for step in written.configuration.restart))


def _says_something(text: str) -> bool:
    """Whether there is more than comments in it."""
    return not text.startswith(MARK) or any(line and not line.startswith("#") for line in text.splitlines())


@dataclass(frozen=True, slots=True)
class Laid:
    """What the collection's nova playbook came to: files changed, services' hosts in trouble (host -> what)."""

    changed: int
    problems: Mapping[str, str]


def lay_down(wish: UpWish, means: Means, hosts: Sequence[str]) -> Laid:
    """The files are laid down and their services restarted, computes first; nothing is restarted whose file was so.

    Raises:
        Problem: the playbook did not get to the hosts.
        KeyboardInterrupt: it was interrupted.
    """
    control = wish.control or {}
    groups = {"compute": tuple(hosts), **control}
    variables: dict[str, Any] = {"nova_source": str(wish.folder.absolute() / NOVA)}
    variables |= {f"nova_{service}_hosts": ",".join(names) for service, names in groups.items()}
    changed, problems = 0, dict[str, str]()

    def heard(event: dict[str, Any]) -> None:
        nonlocal changed
        data = event.get("event_data") or {}
        result = data.get("res") or {}
        if event.get("event") in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            problems.setdefault(str(data.get("host")), str(result.get("msg") or "no reason was given")[:300])
        elif event.get("event") == "runner_on_ok" and str(data.get("task_action")).endswith("copy"):
            changed += bool(result.get("changed"))
            means.show({"text": f"Nova's files: {data.get('host')}", "done": 0, "total": 0})

    everybody = dict.fromkeys(name for names in groups.values() for name in names)
    ended = means.player.play("nova", heard, hosts=everybody, variables=variables)
    if ended.stopped:
        raise KeyboardInterrupt
    if ended.code and not problems:
        raise Problem(
            "the nova playbook did not get to the hosts", details=ended.said[-600:], resolution="mend what it says"
        )
    return Laid(changed, problems)


def nova_names(views: Sequence[HostView], computes: Mapping[str, Compute]) -> dict[str, str]:
    """Return inventory name -> Nova's name of each host that Nova knows.

    Nova's is `[DEFAULT] host`, the host name or its FQDN by default: compared whole first, then up to the first dot.
    """
    short: dict[str, list[str]] = {}
    for name in computes:
        short.setdefault(name.partition(".")[0], []).append(name)
    found: dict[str, str] = {}
    for view in views:
        for name in (view.host, view.own_name):
            alike = [name] if name in computes else short.get(name.partition(".")[0], [])
            if len(alike) == 1:
                found[view.host] = alike[0]
                break
    return found


def wait_for_computes(wish: UpWish, means: Means, nova: NovaApi, views: Sequence[HostView]) -> list[LeftOut]:
    """Return the hosts whose nova-compute is not up and enabled, even after ``wish.wait`` seconds.

    A host that is disabled is not waited for: somebody meant that.
    """
    waited = 0.0
    while True:
        computes = nova.computes()
        left = _missing(views, computes)
        if waited >= wish.wait or not _coming(views, computes):
            return left
        means.show({"text": f"waiting for nova-compute of {len(left)} hosts", "done": 0, "total": 0})
        means.pause(POLL)
        waited += POLL


def _coming(views: Sequence[HostView], computes: Mapping[str, Compute]) -> bool:
    """Whether Nova has yet to hear of a host, or from it."""
    names = nova_names(views, computes)
    return any(view.host not in names or not computes[names[view.host]].up for view in views)


def _missing(views: Sequence[HostView], computes: Mapping[str, Compute]) -> list[LeftOut]:
    names, found = nova_names(views, computes), []
    for view in views:
        compute = computes.get(names.get(view.host, ""))
        if compute is None:
            why, fix = "Nova does not know it", "install nova-compute there, then run this again"
        elif not compute.up:
            why, fix = f"its nova-compute ({compute.host}) is down", "see its nova-compute log"
        elif not compute.enabled:
            why = f"its nova-compute is disabled: {compute.reason or 'no reason is noted'}"
            fix = f"openstack compute service set --enable {compute.host} nova-compute"
        else:
            continue
        found.append(LeftOut(view.host, CONFIGURATION, why, fix, 5))
    return found

"""A plan is made: catalogues beside what a cloud has. Everything here only reads."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from gpuctl.cloud import Service
from gpuctl.flavors.api import FlavorApi
from gpuctl.flavors.diff import Step, plan, with_access
from gpuctl.flavors.errors import NotFound, Refused
from gpuctl.flavors.model import Entry
from gpuctl.flavors.specs import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

AT_ONCE = 8
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def prepare(
    api: FlavorApi,
    entries: Sequence[Entry],
    identity: Callable[[], Service],
    *,
    prune: Collection[str] = (),
    window: bool = False,
) -> tuple[Step, ...]:
    """Return what has to be done so that the cloud equals the entries: two requests where no access list is asked for.

    Args:
        api: the cloud's flavors.
        entries: the catalogues' flavors.
        identity: Keystone, asked only where `access` has names.
        prune: catalogues whose other flavors go.
        window: whether a public flavor with GPUs may be made, bootable without them for a moment.

    Raises:
        Refused: a public flavor with GPUs, and ``window`` was not said.
        NotFound: a project of that name does not exist.
        CloudError: the cloud could not be read.
    """
    projects = resolve({name for entry in entries for name in entry.access or ()}, identity)
    wishes = []
    for entry in entries:
        access = None if entry.access is None else tuple(sorted({projects[name] for name in entry.access}))
        wishes.append(wanted(entry, api.newest, access))
    steps = plan(wishes, api.every(), prune=prune)
    refuse_window(steps, window=window)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="flavor") as pool:
        return tuple(pool.map(lambda step: _looked_at(api, step), steps))


def resolve(names: Iterable[str], identity: Callable[[], Service]) -> dict[str, str]:
    """Return the id of each project; what looks like an id is one."""
    return {name: name if _ID.fullmatch(name) else _project(name, identity()) for name in sorted(set(names))}


def _project(name: str, keystone: Service) -> str:
    found = keystone.ask("GET", f"/projects?name={quote(name, safe='')}", f"look up project {name}").body.get(
        "projects", []
    )
    if len(found) != 1:
        raise NotFound(
            f"project {name}: {'none' if not found else len(found)} of that name",
            resolution="say its id: openstack project list --long"
            if found
            else "openstack project list shows those that there are",
        )
    return str(found[0]["id"])


def refuse_window(steps: Iterable[Step], *, window: bool) -> None:
    """Refuse to make a public flavor with GPUs, unless it was said that its moment without them is accepted."""
    open_ = [
        step.name
        for step in steps
        if step.action in {"create", "replace"} and step.wanted and step.wanted.public and step.wanted.gpu
    ]
    if open_ and not window:
        raise Refused(
            f"{', '.join(open_)}: public, with GPUs: nothing was touched",
            details="Nova makes a flavor without its extra specs, and a public flavor can be used at once:\n"
            "for a moment anybody could boot a server that has no GPU. A private flavor can never be made public.",
            resolution="say `public: false` and list the projects in `access`; or --accept-public-window",
        )


def refuse_other(steps: Iterable[Step]) -> None:
    """Refuse to change a flavor of the same name that somebody made as something else; one half made may be finished.

    Raises:
        Refused: it is there, and differs.
    """
    for step in steps:
        if step.action in {"repair", "replace"} and step.standing and step.standing.specs:
            raise Refused(
                f"flavor {step.name} is there already, and is something else: nothing was touched",
                details="\n".join(f"{one.field}: is {one.before}, not {one.after}" for one in step.differences),
                resolution="choose another name, or --replace, or put it into a catalogue for gpuctl flavor apply",
            )


def _looked_at(api: FlavorApi, step: Step) -> Step:
    """Return the step with what only a request of its own shows: the access list, the number of servers."""
    standing = step.standing
    if step.action == "conflict" or standing is None:
        return step
    if step.wanted and step.wanted.access is not None and not standing.public:
        step = with_access(step, api.access(standing.id))
    if step.action in {"replace", "prune"}:
        step = replace(step, servers=api.servers(standing.id))
    return step

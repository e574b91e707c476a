"""Phases check and verify: hosts asked over SSH as `gpuctl fleet check` asks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.fleet.summary import FAILED, READY
from gpuctl.up.phase import CHECK, DONE, HOLDS, PART, VERIFY, LeftOut, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.fleet.ask import Question
    from gpuctl.fleet.runner import Target
    from gpuctl.fleet.summary import Summary
    from gpuctl.output.progress import Progress

_SHOWN = 4  # failed checks of a host that are named


@dataclass(frozen=True, slots=True)
class HostView:
    """What a host said.

    Attributes:
        host: its name in the inventory.
        state: fleet.summary's READY, NOT_READY or FAILED.
        facts: gpuctl.host.facts/1; None where there was no answer.
        fails: id and fix of each check that fails.
        error: why there is no answer: brief, resolution, exit_code.
    """

    host: str
    state: str
    facts: Mapping[str, Any] | None = None
    fails: tuple[tuple[str, str], ...] = ()
    error: Mapping[str, Any] | None = None

    @property
    def ready(self) -> bool:
        """Whether its cards can be given to guests now."""
        return self.state == READY

    @property
    def named_facts(self) -> dict[str, Any]:
        """Its facts under its name in the inventory, by which the collection's nova role looks for its file."""
        return {**(self.facts or {}), "host": self.host}

    @property
    def own_name(self) -> str:
        """What it calls itself."""
        return str((self.facts or {}).get("host") or self.host)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> HostView:
        """Return it from an entry of gpuctl.fleet.check/1 with facts."""
        findings = (entry.get("check") or {}).get("findings", ())
        fails = {one["id"]: one["fix"] for one in findings if one["status"] == "fail"}
        return cls(entry["host"], entry["state"], entry.get("facts"), tuple(fails.items()), entry["error"])


@dataclass(frozen=True, slots=True)
class FleetAsker:
    """Asks over SSH; the answers are kept as a run of `gpuctl fleet check`."""

    question: Question
    targets: Sequence[Target]
    progress: Progress

    def __call__(self, hosts: Sequence[str]) -> list[HostView]:
        """Return what each host said, in this order."""
        from gpuctl.fleet.ask import ask

        wanted = dict.fromkeys(hosts)
        found: dict[str, HostView] = {}

        def heard(entry: dict[str, Any], summary: Summary) -> None:
            found[entry["host"]] = HostView.of(entry)
            self.progress.show({"text": "hosts asked", "done": len(summary.states), "total": len(wanted)})

        ask(self.question, [target for target in self.targets if target.host in wanted], heard)
        return [found[host] for host in wanted]


def unreachable(views: Sequence[HostView], phase: str = CHECK) -> list[LeftOut]:
    """Return the hosts that gave no answer."""
    return [
        LeftOut(one.host, phase, str(one.error["brief"]), str(one.error["resolution"]), int(one.error["exit_code"]))
        for one in views
        if one.state == FAILED and one.error
    ]


def not_ready(views: Sequence[HostView]) -> list[LeftOut]:
    """Return the hosts that were asked again, and are not ready."""
    found = unreachable(views, VERIFY)
    for one in views:
        if not one.ready and one.state != FAILED:
            ids = [name for name, _ in one.fails]
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            why = f"not ready: {', '.join(ids[:_SHOWN]) or 'something essential is unknown'}{more}"
            fix = one.fails[0][1] if one.fails else f"gpuctl fleet check --limit {one.host}"
            found.append(LeftOut(one.host, VERIFY, why, fix))
    return found


def checked(views: Sequence[HostView]) -> Outcome:
    """Return what the first look came to."""
    ready, failed = sum(one.ready for one in views), sum(one.state == FAILED for one in views)
    said = [f"{ready} of {len(views)} ready"]
    if failed:
        said.append(f"{failed} could not be asked")
    return Outcome(PART if failed else HOLDS if ready == len(views) else DONE, ("; ".join(said),))


def verified(views: Sequence[HostView], *, asked_again: bool) -> Outcome:
    """Return what the second look came to; where nothing was changed the first one's answer stands."""
    ready = sum(one.ready for one in views)
    line = f"{ready} of {len(views)} ready" + ("" if asked_again else ", as they said at the first look")
    state = PART if ready < len(views) else DONE if asked_again else HOLDS
    return Outcome(state, (line,))

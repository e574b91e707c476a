"""A run in few words: each host's state, equal findings together, what changed since the last time.

Of each host only what is wrong is kept in memory; its whole answer goes to the run's file.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuctl.fleet.standing import ORDER, standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READY, NOT_READY, READ, FAILED = "ready", "not-ready", "read", "failed"
_WHERE = re.compile(r" \([^()]*port \d+\)")


@dataclass(slots=True)
class _Group:
    """Equal findings: the same id and status, on whatever hosts."""

    hosts: dict[str, int] = field(default_factory=dict)  # host -> how many subjects
    titles: Counter[str] = field(default_factory=Counter)
    fixes: dict[str, str] = field(default_factory=dict)  # title -> fix


@dataclass(slots=True)
class Summary:
    """Filled host by host.

    Attributes:
        states: host -> ready, not-ready, read or failed.
        errors: host -> the exit code of its error.
    """

    states: dict[str, str] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    _groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take one host's entry (docs/reference/fleet.md)."""
        host, error, check = entry["host"], entry["error"], entry.get("check")
        self.states[host] = entry["state"]
        if error is not None:
            self.errors[host] = error["exit_code"]
            self._put(host, error["code"], "error", _without(error["brief"], host), error["resolution"])
        for item in standing(check):
            self._put(host, item["id"], item["status"], item["title"], item["fix"])

    def _put(self, host: str, name: str, status: str, title: str, fix: str) -> None:
        group = self._groups.setdefault((name, status), _Group())
        group.hosts[host] = group.hosts.get(host, 0) + 1
        group.titles[title] += 1
        group.fixes.setdefault(title, fix)

    def findings(self) -> list[dict[str, Any]]:
        """Return the groups: what could not be asked, what fails, what is not known, what warns; most hosts first."""
        found = []
        for (name, status), group in self._groups.items():
            title = group.titles.most_common(1)[0][0]
            found.append(
                {
                    "id": name,
                    "status": status,
                    "title": title,
                    "fix": group.fixes[title],
                    "hosts": sorted(group.hosts),
                    "subjects": sum(group.hosts.values()),
                }
            )
        return sorted(found, key=lambda item: (ORDER[item["status"]], -len(item["hosts"]), item["id"]))

    def counts(self, good: str) -> dict[str, int]:
        """Return how many hosts there are in all and in each state; ``good`` is READY or READ."""
        count = Counter(self.states.values())
        found = {"hosts": len(self.states), good: count[good]}
        if good == READY:
            found["not_ready"] = count[NOT_READY]
        return {**found, "failed": count[FAILED]}

    def exit_code(self) -> int:
        """Return the run's exit code: 0, 1 not ready, 5 some could not be asked, 6 none could be reached."""
        if len(self.errors) == len(self.states):
            codes = set(self.errors.values())
            return codes.pop() if len(codes) == 1 else 1
        if self.errors:
            return 5
        return 1 if NOT_READY in self.states.values() else 0

    def problems(self) -> dict[str, list[str]]:
        """Return host -> the ids of what is wrong there, sorted; hosts that are well are not in it."""
        found: dict[str, list[str]] = {}
        for name, _ in sorted(self._groups):
            for host in self._groups[name, _].hosts:
                found.setdefault(host, []).append(name)
        return {host: sorted(set(ids)) for host, ids in found.items()}


def _without(brief: str, host: str) -> str:
    """A message without the host's own name, so that equal ones are equal."""
    return _WHERE.sub("", brief.removeprefix(f"{host}: ").replace(host, "the host"))


def changes(
    since: str,
    before: Mapping[str, str],
    problems_before: Mapping[str, Sequence[str]],
    now: Summary,
) -> dict[str, Any]:
    """Return what is other than it was: {"since", "hosts": [{"host", "before", "after", "came", "went"}]}."""
    problems_now = now.problems()
    found = []
    for host, state in now.states.items():
        was, is_now = set(problems_before.get(host, ())), set(problems_now.get(host, ()))
        if host not in before or (before[host] == state and was == is_now):
            if host not in before:
                found.append({"host": host, "before": None, "after": state, "came": sorted(is_now), "went": []})
            continue
        found.append(
            {
                "host": host,
                "before": before[host],
                "after": state,
                "came": sorted(is_now - was),
                "went": sorted(was - is_now),
            }
        )
    return {"since": since, "hosts": found}

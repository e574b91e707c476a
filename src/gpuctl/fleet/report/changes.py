"""What is not as it was in the last run, equal news told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.fleet.report.digest import natural
from gpuctl.fleet.report.model import FAILED, NOT_READY, READY, UNKNOWN, WARNED, HostState, Snapshot
from gpuctl.fleet.standing import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = {
    READY: "ready",
    WARNED: "ready with warnings",
    NOT_READY: "not ready",
    FAILED: "not answering",
    UNKNOWN: "not judged",
}


def news(before: Snapshot, now: Snapshot) -> list[tuple[str, list[str]]]:
    """Return (what happened, hosts) from one run to the next: hosts first, then cards, kernels and findings."""
    told: dict[tuple[int, str], set[str]] = {}

    def tell(rank: int, text: str, host: str) -> None:
        told.setdefault((rank, text), set()).add(host)

    for name in before.hosts.keys() - now.hosts.keys():
        tell(1, "no longer in the run", name)
    for name, host in now.hosts.items():
        old = before.hosts.get(name)
        if old is None:
            tell(1, "new in the run", name)
            continue
        if old.state != host.state:
            rank = 0 if host.state in (NOT_READY, FAILED) else 2
            tell(rank, f"{WORDS[old.state]} before, now {WORDS[host.state]}", name)
        # What a host that cannot be asked has today is not known: nothing of it has gone.
        if FAILED not in (old.state, host.state):
            for rank, text in _inside(old, host):
                tell(rank, text, name)
    return [(text, sorted(hosts, key=natural)) for (_, text), hosts in sorted(told.items())]


def _inside(old: HostState, host: HostState) -> Iterator[tuple[int, str]]:
    had, has = {card.address: card for card in old.cards}, {card.address: card for card in host.cards}
    for address in had.keys() - has.keys() if old.cards else ():
        yield 3, f"card gone: {had[address].model} at {address}"
    for address in has.keys() - had.keys():
        yield 3, f"new card: {has[address].model} at {address}"
    for address in had.keys() & has.keys():
        was, now = had[address], has[address]
        if was.model != now.model:
            yield 3, f"card swapped at {address}: {was.model} before, now {now.model}"
        if was.group is not None and now.group is not None and was.alone != now.alone:
            how = "has its IOMMU group to itself again" if now.alone else "shares its IOMMU group now"
            yield 3, f"{now.model} at {address} {how}"
    if old.kernel and host.kernel and old.kernel != host.kernel:
        yield 4, f"kernel {old.kernel} before, now {host.kernel}"
    if UNKNOWN in (old.state, host.state):
        return
    was_wrong, wrong = ({(item.id, item.status) for item in one.problems} for one in (old, host))
    for name, status in wrong - was_wrong:
        yield 5, f"{name}: {VERBS[status] or 'could not be asked'}, and did not before"
    gone = {name for name, _ in was_wrong} - {name for name, _ in wrong}
    for name in gone:
        yield 6, f"{name}: in order again"

"""Plan the live half of a restore: every card back with the driver it had, where that is safe while the host runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.changes.model import BIND, MODULE, OVERRIDE, RESCAN, SERVICE, UNBIND, Change
from gpuctl_host.changes.past import Driven, Run

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Card, Facts, PciFunction


def plan_live_restore(facts: Facts, runs: tuple[Run, ...]) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Return ``(steps for the running kernel, why a reboot is needed)``.

    Args:
        facts: what is there now.
        runs: the runs that are taken back, the oldest first.
    """
    cards: dict[str, Card] = {card.address: card for run in runs for card in run.cards}
    had: dict[str, Driven] = {}
    for run in reversed(runs):
        had.update(run.drivers)
    steps: list[Change] = []
    unsafe = {address: why for address, card in cards.items() if (why := _unsafe(facts, card))}
    waiting = list(unsafe.values())
    # A card's functions share a group: one that comes back to the host makes it unusable for whoever has the others.
    kept = {_slot(address) for address in unsafe}
    for card in cards.values():
        if facts.pci is not None and _slot(card.address) not in kept:
            goal = had.get(card.address)
            mine = _steps(facts, card, goal)
            steps.extend(mine)
            if goal is None and any(step.kind == UNBIND for step in mine):
                waiting.append(f"{card.address}: which driver it had is not known; it gets its own at the next boot")
    return _in_order(steps), tuple(waiting)


def _slot(address: str) -> str:
    return address.rpartition(".")[0]


def _in_order(steps: list[Change]) -> tuple[Change, ...]:
    """Every card lets go before any is taken again; a module is loaded once."""
    order = (UNBIND, OVERRIDE, RESCAN, MODULE, BIND)
    return tuple(dict.fromkeys(sorted(steps, key=lambda step: order.index(step.kind))))


def _unsafe(facts: Facts, card: Card) -> str | None:
    function = facts.function(card.address)
    if function is None or not _is_ours(function, card):
        return None
    if not _is_that(function, card):
        return f"{card.address} is another card than the one that was prepared; it is left as it is until the reboot"
    gpu = next((item for item in facts.gpus if any(member.address == card.address for member in item.members)), None)
    if gpu is None or gpu.holders is None:
        return f"{card.address}: whether somebody uses it cannot be seen; it goes back to its driver at the next boot"
    if gpu.holders:
        return f"{card.address} is in use by {gpu.holders[0].name}; it goes back to its driver at the next boot"
    return None


def _is_ours(function: PciFunction, card: Card) -> bool:
    return card.action == "bind" and card.driver in (function.driver, function.driver_override)


def _is_that(function: PciFunction, card: Card) -> bool:
    return (function.vendor_id, function.device_id) == (card.vendor_id, card.device_id)


def _steps(facts: Facts, card: Card, had: Driven | None) -> list[Change]:
    function = facts.function(card.address)
    goal = had or Driven(None, None, None)
    steps: list[Change] = []
    if function is None:
        if card.action != "remove":
            return []
        bridge = card.path.rstrip("/").split("/")[-2] if card.path.count("/") > 3 else "pci"
        bridge = bridge if facts.function(bridge) is not None else "pci"
        reason = "it was removed from the bus; a scan below its bridge brings it back"
        steps.append(Change(RESCAN, bridge, None, card.address, reason, SERVICE))
    elif not _is_that(function, card):
        return []
    driver = function.driver if function is not None else None
    override = function.driver_override if function is not None else None
    if _let_go(card, driver, goal):
        steps.append(Change(UNBIND, card.address, driver, None, f"taken from {driver}", SERVICE))
        driver = None
    if override == card.driver and override != goal.override:
        reason = "as it was before gpuctl"
        steps.append(Change(OVERRIDE, card.address, override, goal.override, reason))
    if goal.driver is not None and driver is None:
        if goal.module and not _is_loaded(facts, goal.module):
            steps.append(Change(MODULE, goal.module, None, goal.module, "holds the driver that the card had"))
        steps.append(Change(BIND, card.address, None, goal.driver, "the driver that it had before gpuctl", SERVICE))
    return steps


def _let_go(card: Card, driver: str | None, goal: Driven) -> bool:
    return card.action == "bind" and driver is not None and driver == card.driver != goal.driver


def _is_loaded(facts: Facts, module: str) -> bool:
    return module.replace("-", "_") in (*(facts.kernel.modules or ()), *(facts.kernel.builtin or ()))

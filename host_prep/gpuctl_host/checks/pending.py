"""Three states that can differ: running, next boot, configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, passed, skipped, warned
from gpuctl_host.checks.arguments import of_interest
from gpuctl_host.checks.view import is_vfio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View


def pending_reboot(view: View) -> Iterator[Answer]:
    """What runs is what the next boot brings, and what is configured."""
    running = of_interest(view.running) if view.facts.kernel.cmdline is not None else None
    entry = view.next_entry
    coming = of_interest(view.next) if entry and entry.cmdline is not None else None
    configured = of_interest(view.configured) if view.facts.boot.configured is not None else None
    states = "; ".join(
        f"{name}: {'unknown' if state is None else ' '.join(state) or 'nothing of interest'}"
        for name, state in (("running", running), ("next boot", coming), ("configured", configured))
    )
    waiting = list(_waiting(view))
    if coming is not None and configured is not None and not set(configured) <= set(coming):
        fix = f"run `{advice.regenerate(view)}`, and reboot"
        yield warned(
            HOST,
            "configured, but the boot loader does not know of it",
            f"{states} ({entry.source if entry else ''})",
            fix,
        )
    elif running is not None and coming is not None and set(running) != set(coming):
        yield warned(
            HOST, "the next boot will run with other arguments", f"{states} ({entry.source if entry else ''})", "reboot"
        )
    elif running is not None and coming is None and configured is not None and not set(configured) <= set(running):
        yield warned(HOST, "configured, but running otherwise", states, f"run `{advice.regenerate(view)}`, and reboot")
    elif waiting:
        yield warned(HOST, "prepared, but not yet in force", f"/etc/gpuctl/cards: {'; '.join(waiting)}", "reboot")
    elif running is None or (coming is None and configured is None):
        yield skipped(HOST, "running, next boot and configured could not be compared", states)
    else:
        yield passed(HOST, "running, next boot and configured agree", states)


def _waiting(view: View) -> Iterator[str]:
    """What the record asks for and the running system has not; a card that is another one is identity's business."""
    for card in view.cards.values():
        item = view.functions.get(card.address)
        if item is None or (item.vendor_id, item.device_id) != (card.vendor_id, card.device_id):
            continue
        if card.action == "remove":
            yield f"{card.address} is to be removed, and is there"
        elif view.facts.drivers_seen and not is_vfio(item.driver):
            yield f"{card.address} is for {card.driver}, and on {item.driver or 'nobody'}"


CHECKS = (
    Check(
        "pending-reboot",
        pending_reboot,
        "Is what runs what was configured?",
        "Warns when running, next boot and configured differ in what decides about passthrough, or a prepared card "
        "waits for a reboot.",
        "/proc/cmdline, the loader's own entry for the next boot, the configuration that it is made from; "
        "/etc/gpuctl/cards against the live drivers.",
        "A file that was edited is not yet a boot entry, and a boot entry is not yet a running kernel: each step is "
        "forgotten by somebody.",
        "Regenerate the loader's files where they lag behind; then reboot.",
        (
            "charm-sysconfig: update-grub is off by default",
            "GRUB drop-ins of cloud images",
            "EL 8.1 to 8.10 gap",
        ),
    ),
)

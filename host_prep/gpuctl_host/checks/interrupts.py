"""A guest's interrupts: remapped, or a hole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, arguments
from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View

_SAYS_ON = re.compile(r"Enabled (IRQ |Interrupt-)remapping|Interrupt remapping enabled")
_SAYS_OFF = re.compile(
    r"(interrupt|irq).remapping.*disabled|disabling interrupt remapping|enabl\w+ (irq|interrupt) remapping"
    r"|no interrupt remapping|not secure",
    re.IGNORECASE,
)
_ALLOW = "vfio_iommu_type1.allow_unsafe_interrupts"


def interrupt_remapping(view: View) -> Iterator[Answer]:
    """Interrupts of a guest's card are remapped, so that it cannot send any it likes to the host."""
    yield from _unsafe(view)
    on = view.facts.iommu.interrupt_remapping
    if on:
        told = [line for line in view.log_lines if _SAYS_ON.search(line)][-1:]
        said = f"kernel log: {told[0]}" if told else "the legacy interrupts have chips with remapping (IR-IO-APIC, ITS)"
        yield passed(HOST, "interrupt remapping is on", said)
    elif on is None:
        where = "neither the chips of the legacy interrupts nor the kernel's log tell"
        if view.foreign_arch:
            where = f"{where}; on {view.foreign_arch} the interrupt controller does it"
        yield skipped(HOST, "whether interrupts are remapped could not be seen", where)
    else:
        yield _off(view)


def _off(view: View) -> Answer:
    title = "interrupt remapping is off"
    for item in view.running:
        if item.name == "nointremap" or (item.name == "intremap" and "off" in item.values):
            return failed(HOST, title, f"/proc/cmdline: {item.text}", advice.drop_argument(view, item.text))
    told = [line for line in view.log_lines if _SAYS_OFF.search(line)][-1:]
    fix = f"turn on in the firmware: x2APIC and {advice.knob(view, 'iommu')}"
    if view.is_guest:
        fix = "give the guest's virtual IOMMU interrupt remapping (QEMU: intremap=on, kernel-irqchip=split)"
    evidence = f"kernel log: {told[0]}" if told else "the legacy interrupts have chips without remapping (IO-APIC)"
    return failed(HOST, title, evidence, fix)


def _unsafe(view: View) -> Iterator[Answer]:
    """The way round it, if somebody took it: a guest may then inject interrupts into the host."""
    title = "unsafe interrupts are allowed"
    for where, line in view.command_lines():
        found = arguments.last(line, _ALLOW)
        if found and arguments.truthy(found.value):
            yield failed(HOST, title, f"{where}: {found.text}", advice.drop_argument(view, found.text))
            return
    for rule, option in view.module_options("vfio_iommu_type1"):
        if option.name == "allow_unsafe_interrupts" and arguments.truthy(option.value):
            said = f"{rule.path}:{rule.line}: options {rule.module} {rule.rest}"
            fix = f"take allow_unsafe_interrupts out of {rule.path}, run `{advice.rebuild(view)}`, and reboot"
            yield failed(HOST, title, said, fix)
            return
    live = (view.facts.kernel.parameters or {}).get(_ALLOW)
    if live is not None and arguments.truthy(live):
        path = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
        yield failed(HOST, title, f"{path}: {live}, set by nothing that is configured", f"run `echo N > {path}`")


CHECKS = (
    Check(
        "interrupt-remapping",
        interrupt_remapping,
        "Are a guest's interrupts remapped?",
        "Fails when remapping is off, or when vfio_iommu_type1 was told allow_unsafe_interrupts.",
        "The kernel's interrupt set-up, the command lines, the options in modprobe's configuration.",
        "Without remapping a guest can write any interrupt message through its card, to the host or to another guest.",
        "Turn on remapping in the firmware; take allow_unsafe_interrupts out.",
        (
            "Linux drivers/vfio/vfio_iommu_type1.c, allow_unsafe_interrupts",
            "Proxmox VE qm-pci-passthrough.adoc",
        ),
    ),
)

"""Whether the card comes back from its sleep."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.checks import advice, arguments, models
from gpuctl_host.checks.answer import Answer, Check, passed, skipped, warned
from gpuctl_host.checks.kernels import version
from gpuctl_host.checks.view import ids, is_vfio, sysfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View
    from gpuctl_host.facts.model import PciFunction


# As Linux said it until 5.9, until 5.18 and since (drivers/pci/pci.c), and when it waited for the card in vain.
_STUCK = re.compile(r"(Refused to|can't|[Uu]nable to) change power state|not ready \d+ms after resume; giving up")

_LINES = 50  # of one card


def gpu_power(view: View) -> Iterator[Answer]:
    """Runtime power management does not put the card where it stays."""
    no_idle = _idle_off(view)
    kernel = version(view.facts.kernel.release)
    for gpu in view.facts.gpus:
        state = (
            f"{sysfs(gpu.pci)}: power_state {gpu.pci.power_state}, d3cold_allowed {_bit(gpu.pci.d3cold_allowed)}, "
            f"power/control {gpu.pci.power_control}"
        )
        fix = (
            f"add `options vfio-pci disable_idle_d3=1` in /etc/modprobe.d, run `{advice.rebuild(view)}`, and reboot: "
            "the card then idles awake"
        )
        if view.facts.software.vfio_pci == "builtin":
            fix = advice.add_argument(view, "vfio-pci.disable_idle_d3=1") + ": the card then idles awake"
        stuck = next(
            (line for item in gpu.members for line in view.log(item.address, limit=_LINES) if _STUCK.search(line)), None
        )
        cold = gpu.pci.power_state == "D3cold" and gpu.pci.config_dead
        if stuck or cold:
            yield warned(
                gpu.address,
                "the card went to sleep and did not come back",
                state + (f"; kernel log: {stuck}" if stuck else ""),
                fix,
            )
        elif no_idle:
            yield passed(gpu.address, "vfio-pci leaves the card awake", f"{no_idle}; {state}")
        elif (
            ids(gpu.pci) in models.D3COLD
            and gpu.pci.d3cold_allowed is not False
            and kernel >= (6, 2)
            and is_vfio(gpu.pci.driver)
        ):
            yield warned(
                gpu.address,
                "this model does not come back from D3cold, and may go there",
                f"{state}; Linux {view.facts.kernel.release}",
                fix,
            )
        elif kernel and kernel < (6, 4) and any(_wedges(item) for item in gpu.members):
            title = "the card's audio function can wedge the card when it leaves D3hot on this kernel"
            yield warned(gpu.address, title, f"{state}; Linux {view.facts.kernel.release}, corrected in 6.4", fix)
        elif gpu.pci.power_state is None and gpu.pci.d3cold_allowed is None and gpu.pci.power_control is None:
            yield skipped(
                gpu.address, "the card's power state could not be seen", f"{sysfs(gpu.pci, 'power_state')} is not there"
            )
        else:
            yield passed(gpu.address, "no trouble with the card's sleep is known", state)


def _wedges(item: PciFunction) -> bool:
    return ids(item) in models.D3HOT_AUDIO and is_vfio(item.driver)


def _bit(flag: bool | None) -> str:  # noqa: FBT001 - a fact as it was read, printed as sysfs prints it
    return "unknown" if flag is None else str(int(flag))


def _idle_off(view: View) -> str | None:
    """Where somebody told vfio-pci not to let idle cards sleep."""
    for name in ("vfio_pci", "vfio_pci_core"):
        live = (view.facts.kernel.parameters or {}).get(f"{name}.disable_idle_d3")
        if live is not None:  # the module is loaded: what holds is what it has, whatever is configured
            return f"/sys/module/{name}/parameters/disable_idle_d3: {live}" if arguments.truthy(live) else None
    found = arguments.last(view.running, "vfio_pci.disable_idle_d3")
    if found and arguments.truthy(found.value):
        return f"/proc/cmdline: {found.text}"
    for rule, option in view.module_options("vfio_pci"):
        if option.name == "disable_idle_d3" and arguments.truthy(option.value):
            return f"{rule.path}:{rule.line}: {option.text}"
    return None


CHECKS = (
    Check(
        "gpu-power",
        gpu_power,
        "Does the card come back from sleep?",
        "Warns when it went to D3cold and stayed, or model and kernel are known for it.",
        "power_state, d3cold_allowed, power/control; disable_idle_d3; model and kernel release; the log for 'Unable "
        "to change power state', in each kernel's own words.",
        "vfio-pci lets an idle card sleep. Some do not wake: the next guest finds no device until the machine is "
        "switched off.",
        "disable_idle_d3=1 keeps it awake, at the cost of its idle power.",
        (
            "kata-containers#11708",
            "linux-pci 20230413194042.605768-1",
            "tests/cases/hosts/nuc13-arc-a770-d3cold-vfio.yaml",
        ),
    ),
)

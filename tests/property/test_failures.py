"""Over generated hosts: a prepare that fails half way is taken back, and a card in use is never taken."""

from __future__ import annotations

import errno

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gpuctl_host.errors import KernelRefused, KernelStuck
from tests.property.scenario import difference, simulated
from tests.property.test_prepare_restore import (
    AUDIO,
    DONE,
    REBOOT,
    REFUSED,
    choose,
    never,
    refused_without_a_touch,
    rounds,
)
from tests.sim import Fault
from tests.sim.strategies import hosts

pytestmark = pytest.mark.property
TOOLS = {
    "debian": ("update-initramfs", "update-grub"),
    "rhel": ("dracut", "grubby"),
    "suse": ("dracut", "pbl"),
}


@rounds
@given(machine=hosts(), audio=AUDIO, kind=st.sampled_from(("fail", "hang", "missing", "lie")), data=st.data())
def test_a_tool_that_fails_leaves_the_host_as_it_was(machine, audio, kind, data):
    """A failed, hanging, missing or lying tool: no exit 0 or 4 over it, and what was written is taken back."""
    with simulated(machine) as watched:
        selected, members = choose(data, machine)
        files, drivers = watched.files(), watched.host.drivers()
        name = data.draw(st.sampled_from(TOOLS[machine.family]), label="tool")
        watched.host.faults[name] = Fault(kind)
        code, _, result = watched.change("prepare", gpus=selected, audio=audio)
        if code == REFUSED:
            refused_without_a_touch(watched, files, drivers)
            return
        if not any(call[0].endswith(name) for call in watched.host.calls) and kind != "missing":
            event("the tool was not needed")
            return
        if code in (DONE, REBOOT):
            assert kind == "missing", f"{name}: {kind}, and yet {result['verdict']}"
            return
        event(f"{name} {kind}: exit {code}")
        if kind != "lie":
            assert not difference(files, watched.files())
            assert not difference(drivers, watched.host.drivers())
            assert not watched.host.overrides()
        watched.host.faults.clear()
        code, _, result = watched.change("restore")
        assert code in (DONE, REBOOT, 2), result
        assert not difference(files, watched.files())
        watched.reboot()
        assert not difference(drivers, watched.host.drivers())
        never(watched, members)


@rounds
@given(machine=hosts(safe=True), audio=AUDIO, stuck=st.booleans(), which=st.integers(0, 12), data=st.data())
def test_a_kernel_that_refuses_one_write_leaves_no_half_made_host(machine, audio, stuck, which, data):
    """The n-th write below /sys fails or hangs; afterwards restore still brings everything back."""
    with simulated(machine.but(iommu_default_on=True)) as watched:
        selected, members = choose(data, machine)
        files, drivers = watched.files(), watched.host.drivers()
        inner, count = watched.host.before_write, [0]

        def fail(path, text):
            inner(path, text)
            count[0] += 1
            if count[0] == which + 1:
                if stuck:
                    raise KernelStuck(f"no answer to {text!r} to {path}")
                raise KernelRefused(f"refused {text!r} to {path}", errno=errno.EIO)

        watched.host.before_write = fail
        code, _, result = watched.change("prepare", gpus=selected, audio=audio)
        watched.host.before_write = inner
        reached = count[0] > which
        event(f"{'reached' if reached else 'not reached'}: exit {code}")
        if code == REFUSED:
            return
        if code not in (DONE, REBOOT):
            assert not difference(files, watched.files()), result
            if not result.get("problems"):
                assert not difference(drivers, watched.host.drivers()), result
        code, _, result = watched.change("restore")
        assert code in (DONE, REBOOT, 2), result
        assert not difference(files, watched.files())
        watched.reboot()
        assert not difference(drivers, watched.host.drivers())
        never(watched, members)


@rounds
@given(machine=hosts(safe=True), audio=AUDIO, data=st.data())
def test_a_card_in_use_is_refused_and_nothing_hangs(machine, audio, data):
    """Exit 3 before anything is written, in no simulated time to speak of."""
    with simulated(machine) as watched:
        selected, _ = choose(data, machine)
        victim = data.draw(st.sampled_from(selected), label="held")
        if watched.host.drivers()[victim] is None:
            return
        watched.host.hold(victim, "python3")
        files, drivers = watched.files(), watched.host.drivers()
        before = watched.host.monotonic()
        code, plan, _ = watched.change("prepare", gpus=selected, audio=audio)
        assert code == REFUSED, plan.get("verdict") or plan.get("changes")
        assert victim in {item["subject"] for item in plan["refusals"]}
        refused_without_a_touch(watched, files, drivers)
        assert watched.host.monotonic() - before < 5

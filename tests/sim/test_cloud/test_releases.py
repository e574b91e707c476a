"""What other releases do, and settings (facts/nova.md 4.5-4.8)."""

from __future__ import annotations

import pytest

from tests.sim.cloud import Client, MovesSim
from tests.sim.test_cloud.bench import Bench, failed_finish, of_release


def test_25_gives_the_guest_both_cards():
    with of_release(25) as cloud:
        bench = Bench(cloud)
        bench.cloud.boot("in the way", "gpu-b")  # so that the addresses differ
        failed_finish(bench)
        for name, said in (("os-resetState", {"state": "active"}), ("os-stop", None), ("os-start", None)):
            bench.act(name, said)
        # The source's address is another guest's card here: libvirt refuses. Once it is nobody's, the guest gets both.
        assert (bench.one.vm_state, bench.client.events(bench.id)[0]) == ("stopped", "Error")
        assert "domain instance-00000002" in cloud.actions[bench.id][0].events[0].traceback
        cloud.hosts["gpu-b"].domains.clear()
        bench.act("os-start")
        assert bench.one.vm_state == "active"
        assert cloud.hosts["gpu-b"].domains[bench.id].hostdevs == ("0000:04:00.0", "0000:05:00.0")


def test_21_heals_and_the_recipe_of_2016_is_right():
    with of_release(21) as cloud:
        bench = Bench(cloud)
        failed_finish(bench)
        assert bench.hosts_of_rows() == ["gpu-a", "gpu-b"]
        cloud.audit()
        assert bench.hosts_of_rows() == ["gpu-b"]
        for name, said in (("os-resetState", {"state": "active"}), ("os-stop", None), ("os-start", None)):
            bench.act(name, said)
        cloud.hosts["gpu-a"].folders.clear()
        cloud.hosts["gpu-a"].domains.clear()  # what `rm -r <uuid>_resize` forgets
        assert cloud.broken() == []


def test_13_starts_the_guest_with_the_sources_address():
    with of_release(13) as cloud:
        bench = Bench(cloud)
        cloud.boot("in the way", "gpu-b")
        bench.act("migrate", None)
        assert bench.one.vm_state == "error"
        assert "0000:04:00.0 is in use by driver QEMU, domain instance-00000002" in bench.one.fault["details"]


def test_an_old_resize_is_confirmed_or_after_a_reset_state_given_up(off):
    off.cloud.configure(resize_confirm_window=60)
    off.migrate()
    off.cloud.advance(1)
    off.cloud.audit()
    off.cloud.settle()
    assert (off.status(), off.cloud.broken()) == ("ACTIVE", [])
    off.migrate("gpu-a")
    off.act("os-resetState", {"state": "active"})
    off.cloud.advance(1)
    off.cloud.audit()
    assert off.records()[1][0] == "error"
    assert off.hosts_of_rows() == ["gpu-a", "gpu-b"]


@pytest.mark.parametrize(("double", "held"), [(0.0, 1), (1.0, 2)])
def test_the_double_allocation_is_a_setting_and_takes_a_card_away(double, held):
    with MovesSim(tracking=True, double=double) as cloud:
        cloud.add_host("gpu-a", ["h100"] * 2)
        cloud.add_host("gpu-b", ["h100"] * 2)
        one = cloud.boot("guest", "gpu-a", "h100:1")
        client = Client(cloud.url)
        client.act(one.id, "migrate", {"host": "gpu-b"})
        cloud.settle()
        client.server(one.id)
        client.act(one.id, "confirmResize")
        cloud.settle()
        assert len(cloud.placement.providers_of(one.id, "CUSTOM_PCI")) == held
        two = cloud.boot("second", "gpu-a", "h100:1")
        client.act(two.id, "migrate", {"host": "gpu-b"})
        cloud.settle()
        assert (cloud.migrations[-1].status == "error") == (held == 2)
        assert cloud.happened.confirmed_unproven == []

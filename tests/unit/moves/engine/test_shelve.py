"""Whole moves by shelve and unshelve on the simulated cloud: what is waited for, and what a failure leaves."""

from __future__ import annotations

import pytest

from tests.unit.moves.engine.kit import clean, ids


class TestShelve:
    def test_tracked_clouds_shelve(self, tracked):
        server = tracked.sim.boot("guest", "gpu-a")
        result = tracked.one("guest", look=True, db=True)
        assert (result.state, result.strategy) == ("done", "shelve")
        assert server.host != "gpu-a"
        assert not {one.status for one in result.findings} - {"pass"}
        clean(tracked)

    def test_stopped_is_stopped_again(self, tracked):
        server = tracked.sim.boot("guest", "gpu-a", running=False)
        result = tracked.one("guest", to="gpu-b", look=True)
        assert result.state == "done"
        assert [one.step for one in result.steps] == ["shelve", "unshelve", "stop", "check"]
        assert server.vm_state == "stopped"
        clean(tracked)

    def test_volumes_and_a_cloud_that_offloads_later(self, rig_of):
        rig = rig_of(shelved_offload_time=600)
        rig.sim.boot("guest", "gpu-a", volumes=1)
        rig.sim.boot("other", "gpu-a")
        result = rig.one("guest", to="gpu-b", look=True)
        assert (result.state, result.strategy) == ("done", "shelve")
        result = rig.one("other", to="gpu-b", strategy="shelve")
        assert [one.step for one in result.steps] == ["shelve", "offload", "unshelve", "check"]
        clean(rig)

    def test_a_snapshot_that_fails(self, tracked):
        tracked.sim.boot("guest", "gpu-a")
        tracked.sim.inject("gpu-a", "snapshot")
        result = tracked.one("guest", to="gpu-b")
        assert result.state == "failed"
        assert "powered off for the snapshot" in result.detail

    def test_an_unshelve_that_fails_can_be_asked_for_again_elsewhere(self, tracked):
        server = tracked.sim.boot("guest", "gpu-a")
        tracked.sim.inject("gpu-b", "spawn")
        result = tracked.one("guest", to="gpu-b")
        assert result.state == "unfinished"
        assert "holds no card" in result.detail
        # Nova keeps no more than the class of libvirt's exception, and a server that is not in ERROR shows no fault.
        (action,) = [one for one in tracked.sim.actions[server.id] if one.action == "unshelve"]
        assert f"libvirtError; nova-compute's log there has its words, at {action.request_id}" in result.detail
        assert server.host is None
        assert tracked.one("guest", to="gpu-c").state == "done"
        assert server.host == "gpu-c"
        clean(tracked)

    @pytest.mark.parametrize("look", [True, False], ids=["host", "api"])
    def test_what_an_unshelve_that_failed_before_its_claim_left_in_placement(self, tracked, look):
        """The scheduler adds its next claim to it: CPUs, memory and a card of a host that the server never was on."""
        server = tracked.sim.boot("guest", "gpu-a", volumes=1)
        tracked.sim.inject("gpu-b", "prep_block_device")
        assert tracked.one("guest", to="gpu-b").state == "unfinished"
        result = tracked.one("guest", to="gpu-c", look=look)
        if look:
            assert result.state == "done", result.detail
            clean(tracked)
        else:
            assert (result.state, ids(result, "fail")) == ("failed", {"moved-allocation"})
            assert any(name.startswith("gpu-b") for name in tracked.sim.allocations_of(server.id))

    @pytest.mark.parametrize("db", [True, False], ids=["database", "api"])
    def test_what_came_a_moment_ago_waits_for_the_audit(self, rig_of, db):
        """Nova tracks what a move brought from the next audit on: shelved before, the guest would get two cards."""
        rig = rig_of(tracking=True, audit_every=0.4)
        server = rig.sim.boot("guest", "gpu-a")
        assert rig.one("guest", to="gpu-b", look=True, strategy="cold").state == "done"
        rig.told.clear()
        result = rig.one("guest", to="gpu-c", look=True, db=db, audit_interval=1.0)
        assert result.state == "done", result.detail
        assert any("before the audit there" in detail for step, detail in rig.told if step == "wait")
        assert len(rig.sim.hosts["gpu-c"].domains[server.id].hostdevs) == 1
        clean(rig)

    @pytest.mark.parametrize("later", [0, 600], ids=["at once", "later"])
    def test_it_is_not_unshelved_before_its_old_host_has_let_go_of_it(self, rig_of, later):
        """Nova saves SHELVED_OFFLOADED first, frees the cards after the audit that is at it, writes "no host" last."""
        rig = rig_of(tracking=True, shelved_offload_time=later)
        rig.sim.seconds["update_usage"] = 80
        server = rig.sim.boot("guest", "gpu-a")
        result = rig.one("guest", to="gpu-b", look=True)
        assert result.state == "done", result.detail
        assert "offloaded, and gpu-a has not let go of it yet" in {detail for _, detail in rig.told}
        assert server.host == "gpu-b"
        assert len(rig.sim.hosts["gpu-b"].domains[server.id].hostdevs) == 1
        clean(rig)

    @pytest.mark.parametrize("db", [True, False], ids=["database", "api"])
    def test_an_audit_while_its_host_lets_go_of_it_leaves_the_card_to_the_next_one(self, rig_of, db):
        rig = rig_of(tracking=True)
        rig.sim.seconds["update_usage"] = 80
        heard = []

        class Heard(list):
            def append(self, said):
                super().append(said)
                for at, what in enumerate(("has not let go", "long in letting go", "waiting for the audit of")):
                    if what in said[1] and at not in heard:
                        heard.append(at)
                        rig.sim.audit()

        rig.told = Heard()
        server = rig.sim.boot("guest", "gpu-a")
        result = rig.one("guest", to="gpu-b", db=db, audit_interval=0.5)
        assert result.state == "done", result.detail
        assert heard == ([0, 2] if db else [0, 1])
        assert len(rig.sim.hosts["gpu-b"].domains[server.id].hostdevs) == 1
        clean(rig)

    def test_a_shelved_server_whose_old_host_still_has_its_card_is_not_unshelved(self, rig_of):
        rig = rig_of(tracking=True)
        server = rig.sim.boot("guest", "gpu-a")
        rig.sim.hosts["gpu-a"].tracked.clear()
        result = rig.one("guest", to="gpu-b", db=True, audit_interval=0.1)
        assert result.state == "unfinished"
        assert "gpu-a 0000:04:00.0: still its own in Nova's books" in result.detail
        assert server.vm_state == "shelved_offloaded"
        rig.sim.audit()
        assert rig.one("guest", db=True).state == "done"
        assert len(rig.sim.hosts["gpu-b"].domains[server.id].hostdevs) == 1
        clean(rig)

    def test_it_is_unshelved_once_the_audit_has_freed_the_card(self, rig_of):
        rig = rig_of(tracking=True)

        class Heard(list):
            def append(self, said):
                super().append(said)
                if said[1].startswith("waiting for the audit"):
                    rig.sim.audit()

        rig.told = Heard()
        server = rig.sim.boot("guest", "gpu-a")
        rig.sim.hosts["gpu-a"].tracked.clear()
        result = rig.one("guest", to="gpu-b", db=True, audit_interval=5.0)
        assert result.state == "done", result.detail
        assert "waiting for the audit of gpu-a to free gpu-a 0000:04:00.0" in {detail for _, detail in rig.told}
        assert len(rig.sim.hosts["gpu-b"].domains[server.id].hostdevs) == 1

    def test_the_card_goes_to_somebody_else_meanwhile(self, tracked, monkeypatch):
        from gpuctl.moves.conduct import Conduct

        server = tracked.sim.boot("guest", "gpu-a", "h100:2")
        ask = Conduct._ask

        def taking(self, one, step):
            if step.name == "unshelve":
                tracked.sim.boot("quicker", "gpu-b", "h100:1")
            ask(self, one, step)

        monkeypatch.setattr(Conduct, "_ask", taking)
        result = tracked.one("guest", to="gpu-b")
        assert result.state == "unfinished"
        assert "No valid host" in result.detail
        assert server.host is None
        # By then it is known that there is no card: the guards say so for the next one.
        tracked.sim.boot("next", "gpu-a", "h100:2")
        assert ids(tracked.one("next", to="gpu-b"), "fail") == {"move-free-card"}

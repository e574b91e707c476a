"""Whole cold moves on the simulated cloud: what is done, what is said, and that all three views agree at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuctl.moves.journal import peek
from gpuctl.moves.nova_api import NovaApi
from tests.unit.moves.engine.kit import clean, ids


class TestCold:
    def test_moved_proven_confirmed(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        result = rig.one("guest", to="gpu-b", look=True, db=True)
        assert (result.state, result.source, result.dest, result.strategy) == ("done", "gpu-a", "gpu-b", "cold")
        assert [one.step for one in result.steps] == ["migrate", "proof", "confirm", "check"]
        assert not {one.status for one in result.findings} - {"pass"}
        assert server.host == "gpu-b"
        assert server.vm_state == "active"
        assert len(rig.sim.migrations_of("guest")) == 1
        assert peek("sim", server.id) is None
        clean(rig)

    def test_stopped_stays_stopped(self, rig):
        server = rig.sim.boot("guest", "gpu-a", running=False)
        assert rig.one("guest", to="gpu-b", look=True).state == "done"
        assert server.vm_state == "stopped"
        clean(rig)

    def test_a_step_that_has_not_ended_is_waited_for(self, rig, monkeypatch):
        """A slow host shows VERIFY_RESIZE before compute_finish_resize has ended: nothing is judged until it has."""
        rig.sim.boot("guest", "gpu-a")
        asked, read = [], NovaApi.action

        def slow(self, server, request):
            action = read(self, server, request)
            asked.append(action.action)
            if action.action == "migrate" and len(asked) < 6 and action.events:
                *first, last = action.events
                return replace(action, events=(*first, replace(last, result=None)))
            return action

        monkeypatch.setattr(NovaApi, "action", slow)
        result = rig.one("guest", to="gpu-b")
        assert result.state == "done"
        assert [one.step for one in result.steps] == ["migrate", "proof", "confirm", "check"]
        assert len(asked) >= 6
        clean(rig)

    def test_by_the_api_alone_it_says_so(self, rig):
        rig.sim.boot("guest", "gpu-a")
        result = rig.one("guest")
        assert result.state == "done"
        assert next(one for one in result.steps if one.step == "proof").detail.startswith("good: by Nova's word alone")
        assert ids(result, "skip") == {"moved-guest", "moved-rows", "moved-source"}

    def test_doubled_allocation_is_put_right_where_the_card_is_seen(self, tracked):
        tracked.sim.boot("guest", "gpu-a")
        result = tracked.one("guest", to="gpu-b", look=True, strategy="cold")
        assert result.state == "done"
        assert [one.step for one in result.steps][-3:] == ["check", "allocation", "check"]
        clean(tracked)

    def test_doubled_allocation_is_told_where_nobody_sees_the_card(self, tracked):
        tracked.sim.boot("guest", "gpu-a")
        result = tracked.one("guest", to="gpu-b", strategy="cold")
        assert result.state == "failed"
        assert ids(result, "fail") == {"moved-allocation"}
        assert "instance recover" in result.resolution
        assert [one.step for one in result.steps].count("migrate") == 1

    def test_nobody_has_a_card(self, rig):
        rig.sim.boot("guest", "gpu-a", "h100:2")
        for host in ("gpu-b", "gpu-c"):
            rig.sim.boot(f"full-{host}", host, "h100:1")
        result = rig.one("guest")
        assert result.state == "failed"
        assert "No valid host" in result.detail
        assert "nothing was changed" in result.detail
        clean(rig)

    @pytest.mark.parametrize(
        ("fault", "where", "said"),
        [
            ("finish_migration", "gpu-b", "is in use by driver QEMU"),
            ("ssh", "gpu-a", "Host key verification failed"),
            ("disk_copy", "gpu-a", ""),
        ],
    )
    def test_a_failure_that_leaks_is_named_and_never_retried(self, rig, fault, where, said):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.inject(where, fault)
        result = rig.one("guest", to="gpu-b")
        assert result.state == "failed"
        assert "most likely stays held" in result.detail
        assert said in result.detail
        assert "instance recover" in result.resolution
        assert len(rig.sim.migrations_of("guest")) == 1
        # And the guards do not let it be asked for again.
        again = rig.one("guest", to="gpu-b")
        assert again.state == "refused"
        assert {"move-history"} <= ids(again, "fail")
        assert len(rig.sim.migrations_of("guest")) == 1

    def test_alias_missing_there(self, rig):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.hosts["gpu-b"].aliases.clear()
        result = rig.one("guest", to="gpu-b")
        assert result.state == "failed"
        assert "not defined" in result.detail
        assert "no card is held elsewhere" in result.detail

    def test_what_recover_calls_healthy_is_not_refused(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        rig.sim.hosts["gpu-b"].aliases.clear()
        assert rig.one("guest", to="gpu-b").state == "failed"
        rig.sim.set_server("guest", vm_state="active")  # the reset-state that recover does
        assert rig.sim.migrations_of("guest")[0].dest == "gpu-b"
        result = rig.one("guest", to="gpu-c")
        assert result.state == "done", result.detail
        assert server.host == "gpu-c"
        clean(rig)

    def test_a_confirm_that_fails(self, rig):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.inject("gpu-a", "confirm_migration")
        result = rig.one("guest", to="gpu-b")
        assert result.state == "failed"
        assert "gpu-a most likely stays held" in result.detail

    def test_a_dead_guest_is_not_confirmed(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        rig.sim.inject("gpu-b", "guest")
        result = rig.one("guest", to="gpu-b", look=True)
        assert result.state == "unfinished"
        assert "the guest is shut off" in result.detail
        assert server.vm_state == "resized"
        # Asked again, it is looked at again; with --on-bad revert it goes back.
        back = rig.one("guest", look=True, on_bad="revert")
        assert back.state == "failed"
        assert "taken back: ACTIVE on gpu-a" in back.detail
        clean(rig)

    def test_no_confirm_then_asked_again(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        result = rig.one("guest", to="gpu-b", confirm=False)
        assert (result.state, result.as_asked) == ("unfinished", True)
        assert server.vm_state == "resized"
        assert rig.one("guest").state == "done"
        assert len(rig.sim.migrations_of("guest")) == 1
        clean(rig)

    def test_somebody_resets_it_in_verify_resize(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        rig.one("guest", to="gpu-b", confirm=False)
        rig.sim.set_server("guest", vm_state="active")
        result = rig.one("guest")
        assert result.state == "failed"
        assert "somebody reset its state" in result.detail
        assert server.host == "gpu-b"

    def test_somebody_confirms_it_meanwhile(self, rig):
        from tests.sim.cloud import Client

        server = rig.sim.boot("guest", "gpu-a")
        rig.one("guest", to="gpu-b", confirm=False)
        Client(rig.sim.url).act(server.id, "confirmResize")
        rig.sim.settle()
        assert rig.one("guest").state == "done"
        clean(rig)

    def test_deleted_meanwhile(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        rig.one("guest", to="gpu-b", confirm=False)
        track = peek("sim", server.id)
        rig.sim.servers[server.id].deleted = True
        from gpuctl.moves.engine import Engine
        from gpuctl.moves.migrate import Line
        from gpuctl.moves.nova_api import NovaApi

        engine = Engine("sim", NovaApi.of(rig.cloud.service("compute")), lambda *_: None)
        (result,) = engine.run(Line([track], 1))
        assert result.state == "failed"
        assert "deleted" in result.detail

"""Whole moves on the simulated cloud: what is done, what is said, and that all three views agree at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuctl.moves.errors import Busy, Unsafe
from gpuctl.moves.journal import Journal, peek
from gpuctl.moves.nova_api import NovaApi
from tests.unit.moves.engine.kit import ids


def clean(rig):
    assert rig.sim.broken() == []
    assert rig.sim.happened.confirmed_unproven == []
    assert rig.sim.happened.overlaps == []


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


@pytest.mark.slow
class TestOthers:
    def test_live(self, rig_of):
        rig = rig_of()
        rig.sim.add_host("gpu-l", ["l40"])
        rig.sim.add_host("gpu-m", ["l40"])
        rig.sim.boot("guest", "gpu-l", "l40:1")
        assert rig.one("guest", to="gpu-m", strategy="live").state == "refused"
        result = rig.one("guest", to="gpu-m", live_aliases=("l40",), look=True)
        assert (result.state, result.strategy) == ("done", "live")
        clean(rig)

    def test_live_that_nova_refuses(self, rig):
        rig.sim.boot("guest", "gpu-a")
        result = rig.one("guest", to="gpu-b", live_aliases=("gtx1080",))
        assert result.state == "failed"
        assert "No valid host" in result.detail

    def test_legacy_heals_where_it_is_right(self, rig_of):
        rig = rig_of(release=20, audit_every=0.05)
        server = rig.sim.boot("guest", "gpu-a")
        rig.sim.inject("gpu-b", "finish_migration")
        result = rig.one("guest", to="gpu-b", strategy="legacy", look=True)
        assert result.state == "done", result
        assert [one.step for one in result.steps] == ["migrate", "reset", "stop", "start", "check"]
        assert server.vm_state == "active"
        assert rig.sim.rows("guest") == [("gpu-b", "0000:04:00.0")]

    def test_legacy_is_refused_where_it_is_not(self, rig_of):
        for release in (21, 22, 34):
            rig = rig_of(release=release)
            rig.sim.boot("guest", "gpu-a")
            result = rig.one("guest", to="gpu-b", strategy="legacy")
            assert result.state == "refused"
            assert rig.sim.migrations_of("guest") == []

    def test_several_at_once(self, rig):
        names = [f"guest-{n}" for n in range(3)]
        for one in names:
            rig.sim.boot(one, "gpu-a")
        results = rig.migrate(*names, to="gpu-b", parallel=3, look=True)
        assert [one.state for one in results] == ["done"] * 3
        clean(rig)

    def test_after_a_failure_nothing_new_is_started(self, rig):
        for one in ("one", "two"):
            rig.sim.boot(one, "gpu-a")
        rig.sim.inject("gpu-b", "finish_migration")
        first, second = rig.migrate("one", "two", to="gpu-b")
        assert (first.state, second.state) == ("failed", "refused")
        assert rig.sim.migrations_of("two") == []

    def test_one_that_waited_long_is_looked_at_again(self, rig, monkeypatch):
        from gpuctl.moves import migrate

        for one in ("one", "two"):
            rig.sim.boot(one, "gpu-a")
        monkeypatch.setattr(migrate, "STALE_S", 0.0)
        ended = migrate.Line.ended

        def disabled(line, result):
            ended(line, result)
            rig.sim.hosts["gpu-b"].disabled = True

        monkeypatch.setattr(migrate.Line, "ended", disabled)
        first, second = rig.migrate("one", "two", to="gpu-b")
        assert (first.state, second.state) == ("done", "refused")
        assert ids(second, "fail") == {"move-destination-up"}
        assert rig.sim.migrations_of("two") == []
        clean(rig)


class TestTakenUp:
    def test_each_has_an_answer_though_one_before_it_failed(self, rig):
        for one in ("one", "two"):
            rig.sim.boot(one, "gpu-a")
            assert rig.one(one, to="gpu-b", confirm=False).as_asked
        rig.sim.set_server("one", vm_state="active")
        first, second = rig.migrate("one", "two")
        assert (first.name, first.state) == ("one", "failed")
        assert (second.name, second.state) == ("two", "unfinished")
        assert "not tried" in second.detail
        assert rig.sim.server("two").vm_state == "resized"
        assert peek("sim", second.server) is not None

    def test_a_look_makes_no_journal(self, rig):
        from gpuctl.moves.migrate import prepare
        from tests.unit.moves.engine.kit import OPTIONS

        rig.sim.boot("guest", "gpu-a")
        prepare(rig.cloud, ["guest"], to="gpu-b", options=OPTIONS)
        assert not (rig.folder / "state/gpuctl").exists()

    def test_somebody_elses_move_since_the_plan(self, rig):
        from gpuctl.moves.migrate import prepare, run
        from tests.unit.moves.engine.kit import OPTIONS, QUICK

        server = rig.sim.boot("guest", "gpu-a")
        job = prepare(rig.cloud, ["guest"], to="gpu-b", options=OPTIONS)
        rig.sim.inject("gpu-a", "ssh")
        from tests.sim.cloud import Client

        Client(rig.sim.url, rig.sim.newest).act(server.id, "migrate", {"host": "gpu-c"})
        rig.sim.settle()
        assert (server.host, server.vm_state) == ("gpu-a", "active")  # as if nothing had happened, and a card leaked
        (result,) = run(job, pace=QUICK)
        assert result.state == "refused"
        assert "somebody else began migration 1, which is error" in result.detail
        assert len(rig.sim.migrations_of("guest")) == 1

    def test_a_deadline_says_unknown_and_the_same_command_goes_on(self, rig):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.stop_compute("gpu-b")
        rig.sim.hosts["gpu-b"].up = True  # says it is up, and does nothing
        rig.sim.seconds["finish_resize"] = 10_000.0
        result = rig.one("guest", to="gpu-b", deadlines={"begin": 0.3, "move": 0.3})
        assert result.state == "unknown"
        assert "still going" in result.detail
        rig.sim.settle()
        assert rig.one("guest").state == "done"
        assert len(rig.sim.migrations_of("guest")) == 1
        clean(rig)

    def test_two_at_once_are_not(self, rig):
        server = rig.sim.boot("guest", "gpu-a")
        import os

        with Journal.open("sim", server.id), pytest.raises(Busy, match=str(os.getpid())):
            rig.one("guest")

    def test_another_host_is_refused_for_a_cold_move_under_way(self, rig):
        rig.sim.boot("guest", "gpu-a")
        rig.one("guest", to="gpu-b", confirm=False)
        with pytest.raises(Unsafe):
            rig.one("guest", to="gpu-c")
        with pytest.raises(Unsafe):
            rig.one("guest", strategy="shelve")

    def test_ctrl_c(self, rig, monkeypatch):
        from gpuctl.moves import watch

        server = rig.sim.boot("guest", "gpu-a")
        poll = watch.Watch.poll

        def interrupted(self):
            poll(self)
            if rig.sim.migrations_of("guest"):
                raise KeyboardInterrupt

        monkeypatch.setattr(watch.Watch, "poll", interrupted)
        result = rig.one("guest", to="gpu-b")
        assert result.state == "interrupted"
        assert "instance migrate" in result.resolution
        monkeypatch.setattr(watch.Watch, "poll", poll)
        assert peek("sim", server.id) is not None
        assert rig.one("guest").state == "done"
        assert len(rig.sim.migrations_of("guest")) == 1
        clean(rig)

    def test_another_gpuctl_began_since_the_plan(self, rig):
        from gpuctl.moves.migrate import prepare, run
        from tests.unit.moves.engine.kit import OPTIONS, QUICK

        rig.sim.boot("guest", "gpu-a")
        job = prepare(rig.cloud, ["guest"], to="gpu-b", options=OPTIONS)
        rig.one("guest", to="gpu-b", confirm=False)
        (result,) = run(job, pace=QUICK)
        assert result.state == "refused"
        assert "another gpuctl" in result.detail
        late = prepare(rig.cloud, ["guest"], to="gpu-b", options=OPTIONS)
        assert rig.one("guest").state == "done"
        (result,) = run(late, pace=QUICK)
        assert result.state == "refused"
        assert len(rig.sim.migrations_of("guest")) == 1
        clean(rig)

    def test_changed_between_plan_and_start(self, rig):
        from gpuctl.moves.migrate import prepare, run
        from tests.unit.moves.engine.kit import OPTIONS, QUICK

        rig.sim.boot("guest", "gpu-a")
        job = prepare(rig.cloud, ["guest"], to="gpu-b", options=OPTIONS)
        rig.sim.set_server("guest", locked=True)
        (result,) = run(job, pace=QUICK)
        assert result.state == "refused"
        assert rig.sim.migrations_of("guest") == []


@pytest.mark.slow
class TestPolls:
    def test_two_requests_a_tick_however_many_move(self, rig_of, monkeypatch):
        import threading

        from gpuctl.cloud import Service
        from gpuctl.moves import watch

        figures, sent = [], []
        poll, send = watch.Watch.poll, Service._send

        def counting(self):
            sent.clear()
            poll(self)
            figures.append(len(sent))

        def noting(self, *args):
            if threading.current_thread() is threading.main_thread():
                sent.append(args)
            return send(self, *args)

        monkeypatch.setattr(watch.Watch, "poll", counting)
        monkeypatch.setattr(Service, "_send", noting)
        rig = rig_of()
        for n in range(6):
            rig.sim.add_host(f"more-{n}")
        names = []
        for n in range(12):
            names.append(f"guest-{n}")
            rig.sim.boot(names[-1], "gpu-a" if n < 3 else f"more-{n % 3}", "gtx1080:1")
        results = rig.migrate(*names, parallel=12)
        assert {one.state for one in results} == {"done"}
        assert figures
        assert set(figures) == {2}

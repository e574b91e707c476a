"""Moves that were begun before: by a gpuctl that is gone, by another one, or interrupted."""

from __future__ import annotations

import pytest

from gpuctl.moves.errors import Busy, Unsafe
from gpuctl.moves.journal import Journal, peek
from tests.unit.moves.engine.kit import clean


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

"""Live moves, the sequence of 2016, several moves at once and what they cost in requests."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace

import pytest

from gpuctl.moves.engine import Engine
from gpuctl.moves.nova_api import NovaApi
from tests.unit.moves.engine.kit import clean, ids


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

    def test_the_events_of_what_was_before_are_not_read(self, rig, monkeypatch):
        rig.sim.boot("guest", "gpu-a", "gtx1080:1")
        assert rig.one("guest").state == "done"
        done = []
        for name in ("action", "act"):
            real = getattr(NovaApi, name)
            note = lambda self, *args, _name=name, _real=real: (done.append(_name), _real(self, *args))[1]  # noqa: E731
            monkeypatch.setattr(NovaApi, name, note)
        assert rig.one("guest").state == "done"
        assert done[0] == "act"
        assert "action" in done

    @pytest.mark.parametrize(
        ("asked", "looked", "soon"),
        [
            (0.0, inf, True),  # what was asked for this instant has done nothing yet
            (0.3, inf, False),
            (0.3, 0.1, True),
            (60.0, 0.9, True),
            (60.0, 1.1, False),
            (-3600.0, inf, False),  # the clock was set back
            (-3600.0, 0.0, True),
        ],
    )
    def test_when_it_is_too_soon_for_a_close_look(self, monkeypatch, asked, looked, soon):
        monkeypatch.setattr("gpuctl.moves.engine.time.time", lambda: 1e9)
        one = SimpleNamespace(looked_ago=looked, track=SimpleNamespace(asked_at=1e9 - asked))
        assert Engine("sim", None, None)._too_soon(one) is soon

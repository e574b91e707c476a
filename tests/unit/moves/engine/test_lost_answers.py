"""Answers that are lost, errors, silence: never two migrations, never a confirm of what is not proven, no wrong "done"."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

BEFORE = ("reset-before", 500, 503)  # nothing was done
AFTER = ("reset-after", "504-after")  # it was done, and the answer is lost


def never(rig):
    assert rig.sim.happened.overlaps == []
    assert rig.sim.happened.leaky == []
    assert rig.sim.happened.confirmed_unproven == []
    assert rig.sim.happened.destroyed == []


class TestTheFirstRequest:
    @pytest.mark.parametrize("kind", AFTER)
    @pytest.mark.parametrize("strategy", ["cold", "shelve"])
    def test_done_and_the_answer_lost(self, rig, kind, strategy):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.fail("POST", "#migrate" if strategy == "cold" else "#shelve", kind)
        assert rig.one("guest", to="gpu-b", strategy=strategy).state == "done"
        assert len(rig.sim.migrations_of("guest")) == (1 if strategy == "cold" else 0)
        assert rig.sim.broken() == []
        never(rig)

    @pytest.mark.parametrize("kind", BEFORE)
    @pytest.mark.parametrize("strategy", ["cold", "shelve"])
    def test_not_done_is_not_asked_again_by_itself(self, rig, kind, strategy):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.fail("POST", "#migrate" if strategy == "cold" else "#shelve", kind)
        result = rig.one("guest", to="gpu-b", strategy=strategy)
        assert (result.state, result.not_taken) == ("failed", True)
        assert "nothing was changed" in result.detail
        assert rig.sim.migrations_of("guest") == []
        # The operator asks again: a new move, with its guards.
        assert rig.one("guest", to="gpu-b", strategy=strategy).state == "done"
        assert rig.sim.broken() == []
        never(rig)

    @pytest.mark.parametrize("kind", [400, 403, 404, 409])
    def test_refused_by_nova(self, rig, kind):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.fail("POST", "#migrate", kind)
        result = rig.one("guest", to="gpu-b")
        assert result.state == "refused"
        assert f"told to fail with {kind}" in result.detail
        assert rig.sim.broken() == []


class TestTheOthers:
    @pytest.mark.parametrize("kind", [*BEFORE, *AFTER])
    @pytest.mark.parametrize("action", ["confirmResize", "shelveOffload", "unshelve", "os-stop"])
    def test_what_ends_a_move_goes_on(self, rig_of, kind, action):
        rig = rig_of(shelved_offload_time=600)
        rig.sim.boot("guest", "gpu-a", running=action != "os-stop")
        rig.sim.fail("POST", f"#{action}", kind)
        strategy = "cold" if action == "confirmResize" else "shelve"
        result = rig.one("guest", to="gpu-b", strategy=strategy)
        assert result.state == "done", result.detail
        assert rig.sim.broken() == []
        never(rig)

    @pytest.mark.parametrize("kind", [409, 403])
    def test_a_confirm_that_nova_refuses_is_left(self, rig, kind):
        rig.sim.boot("guest", "gpu-a")
        rig.sim.fail("POST", "#confirmResize", kind)
        result = rig.one("guest", to="gpu-b")
        assert result.state == "unfinished"
        assert "did not take the confirm" in result.detail
        assert rig.one("guest").state == "done"
        assert rig.sim.broken() == []
        never(rig)

    @pytest.mark.parametrize("kind", [500, "reset-before", "reset-after", 409, 429])
    @pytest.mark.parametrize(
        "path", ["/os-migrations", "/servers/detail", "/os-instance-actions", "/resource_providers"]
    )
    def test_reading_is_tried_again(self, rig, kind, path):
        rig.sim.boot("guest", "gpu-a")
        from gpuctl.moves.migrate import prepare, run
        from tests.unit.moves.engine.kit import OPTIONS, QUICK

        job = prepare(rig.cloud, ["guest"], to="gpu-b", options=OPTIONS)
        rig.sim.fail("GET", path, kind, times=3)
        (result,) = run(job, pace=QUICK)
        assert result.state == "done", result.detail
        assert rig.sim.broken() == []
        never(rig)

    def test_a_token_runs_out_again_and_again(self, rig):
        rig.sim.boot("guest", "gpu-a")
        from gpuctl.moves import watch

        poll = watch.Watch.poll

        def expiring(self):
            rig.sim.expire_tokens()
            poll(self)

        watch.Watch.poll = expiring
        try:
            assert rig.one("guest", to="gpu-b").state == "done"
        finally:
            watch.Watch.poll = poll
        never(rig)

    def test_nova_is_away_for_good(self, rig):
        rig.sim.boot("guest", "gpu-a")
        rig.one("guest", to="gpu-b", confirm=False)
        rig.sim.fail("*", "/compute/v2.1/(os-migrations|servers/detail)", 503, times=10_000, skip=3)
        result = rig.one("guest", deadlines={"begin": 0.4, "move": 0.4, "confirm": 0.4})
        assert result.state == "unknown"
        rig.sim.clear_faults()
        assert rig.one("guest").state == "done"
        never(rig)


class TestJournalTrouble:
    def test_no_room_for_the_intent_and_nothing_is_asked(self, rig, monkeypatch):
        from gpuctl import own_state

        rig.sim.boot("guest", "gpu-a")

        def full(file, data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(own_state, "_write", full)
        result = rig.one("guest", to="gpu-b")
        assert result.state == "refused"
        assert "No space left" in result.detail
        assert rig.sim.migrations_of("guest") == []

    def test_no_room_for_the_answer(self, rig, monkeypatch):
        from gpuctl import own_state

        rig.sim.boot("guest", "gpu-a")
        write = own_state._write
        lines = []

        def filling(file, data):
            lines.append(data)
            if len(lines) > 2:
                raise OSError(28, "No space left on device")
            write(file, data)

        monkeypatch.setattr(own_state, "_write", filling)
        assert rig.one("guest", to="gpu-b").state == "unknown"
        monkeypatch.setattr(own_state, "_write", write)
        rig.sim.settle()
        assert rig.one("guest").state == "done"
        assert len(rig.sim.migrations_of("guest")) == 1
        never(rig)

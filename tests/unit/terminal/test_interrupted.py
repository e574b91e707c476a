"""Ctrl-C while it works, and a terminal that goes away: what is so is said, the journal is right, and the same command goes on."""

from __future__ import annotations

import pytest

from tests.sim.nova import NovaSim
from tests.unit.terminal.kit import CTRL_C, CTRL_D, ROOT
from tests.unit.up.cloud import UpSim

MIGRATE = ("instance", "migrate", "train-0")
DRAIN = ("instance", "drain", "gpu17", "--parallel", "1")
UP = ("up", "-i", "gpu01,gpu02", "--wait", "0", "--cpus", "16", "--ram", "72GiB", "--no-smoke")


@pytest.mark.slow
@pytest.mark.parametrize("often", [1, 2])
def test_a_move_that_is_interrupted_goes_on(often, sit, cloud):
    cloud.configure(pace=0.3)
    at = sit(cloud, *MIGRATE, "--yes", columns=40)
    at.until("shelve:").type(CTRL_C)
    if often == 2:
        at.type(CTRL_C)
    assert at.end() == 130, at.text
    assert "interrupted: Nova goes on by itself" in at.text
    assert "interrupted: interrupted" not in at.text
    at.tidy()
    again = sit(cloud, *MIGRATE, "--yes")
    assert again.end() == 0, again.text
    assert cloud.server("train-0").host == "gpu18"
    assert sum(count for one, count in cloud.counts().items() if one.endswith("#shelve")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 100])
def test_a_drain_says_what_one_ctrl_c_does_and_what_two_do(columns, sit, cloud):
    cloud.configure(pace=0.3)
    at = sit(cloud, *DRAIN, "--yes", columns=columns)
    at.until("under way").type(CTRL_C)
    at.until("Ctrl-C")
    assert at.end() == 130
    said = " ".join(at.text.split())
    assert "Interrupted: no more were started; 1 under way are waited for (Ctrl-C again leaves them to Nova)." in said
    assert cloud.server("train-1").host == "gpu17"
    at.tidy()
    again = sit(cloud, *DRAIN, "--yes", columns=columns)
    assert again.end() == 0, again.text
    assert not [one for one in cloud.servers.values() if one.host == "gpu17"]
    again.tidy()


@pytest.mark.slow
def test_a_drain_that_is_interrupted_twice_leaves_what_runs_to_nova(sit, cloud):
    cloud.configure(pace=0.5)
    at = sit(cloud, *DRAIN, "--yes", columns=60)
    at.until("under way").type(CTRL_C).until("again leaves").type(CTRL_C)
    assert at.end() == 130
    assert "Nova goes on by itself" in at.text
    at.tidy()
    cloud.settle()
    assert sit(cloud, *DRAIN, "--yes").end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["once", "twice", "gone"])
def test_a_host_that_was_being_prepared_is_as_it_was(how, sit, scene):
    """The bar is as wide as the terminal: the ^C that the terminal writes behind it does not break it."""
    at = sit(None, "host", "prepare", "--yes", scene="host", columns=40)
    at.until("6/8")
    if how == "gone":
        at.hang_up()
        assert at.process.wait(30) == 130
    else:
        at.type(CTRL_C)
        if how == "twice":
            at.type(CTRL_C)
        assert at.end() == 130
        assert "whatitdidistakenback" in at.words
        at.tidy()
    host = scene / "host"
    assert not (host / "etc/gpuctl").exists()
    assert not (host / "etc/modprobe.d/gpuctl.conf").exists()
    history = sit(None, "host", "history", "--root", host)
    assert history.end() == 0
    assert "undone" in history.text


@pytest.mark.slow
def test_flavors_that_were_interrupted_are_finished_by_the_same_command(sit, tmp_path):
    class Slow(NovaSim):
        def serve(self, *args, **more):
            import time

            time.sleep(0.1)
            return super().serve(*args, **more)

    with Slow() as nova:
        apply = ("flavor", "apply", ROOT / "flavors/farm-2016.yaml", "--yes")
        at = sit(nova, *apply, columns=40)
        at.until("writing").type(CTRL_C)
        assert at.end() == 130
        assert "nothing was changed" not in at.text
        assert "gpuctl: interrupted\n  what to do: run it again" in at.text
        at.tidy()
        assert sit(nova, *apply).end() == 0
        assert len(nova.flavors) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "code"),
    [(CTRL_C, 130), (CTRL_D, 4), ("n\n", 4), ("perhaps\nn\n", 4)],
    ids=["interrupt", "end", "no", "garbage"],
)
def test_hosts_are_not_rebooted_without_a_yes_and_what_was_done_is_said(answer, code, sit, scene, tmp_path):
    with UpSim({"gpu01": "up", "gpu02": "up"}) as nova:
        at = sit(nova, *UP, "-o", tmp_path / "out", scene="up", columns=60)
        at.until("with 2 hosts?").type("y\n").until("Reboot 2 hosts now").type(answer)
        assert at.end() == code
    assert "nothing was changed" not in at.text
    assert (scene / "gpu01/etc/gpuctl/cards").exists()
    assert "IOMMU" not in at.text[at.text.rindex("[y/N]") :]
    trail = (tmp_path / "state/gpuctl/audit.jsonl").read_text().splitlines()[-1]
    assert "/etc/gpuctl/cards" in trail, "the trail has what was changed before the question"
    assert ("interrupted" in trail) == (code == 130)
    if code == 130:
        assert "2 hosts changed, 0 not (gpuctl fleet history: " in " ".join(at.text.split())
    at.tidy()

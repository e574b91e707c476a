"""Every command that asks, at a terminal of 40 columns: what is not a yes changes nothing, and the screen is left tidy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.sim import SimHost, worlds
from tests.sim.cloud import Client
from tests.sim.nova import NovaSim
from tests.unit.leftovers import kit as quarantines
from tests.unit.terminal.kit import CTRL_C, CTRL_D, ENTER, ROOT
from tests.unit.up.cloud import UpSim

NO = {
    "no": "n\n",
    "enter": ENTER,
    "end": CTRL_D,
    "interrupt": CTRL_C,
    "garbage": "yess\n\udc80é?\n  No \n",
    "half": "y" + CTRL_C,
}
DAY_S = 24 * 3600


@dataclass
class Asked:
    """A command line and its question; ``changed`` says what a look at the world shows."""

    words: tuple[Any, ...]
    question: str
    cloud: Any = None
    scene: str = "real"
    env: dict[str, str] | None = None
    shows: str = ""
    changed: Any = None


def migrate(cloud, **_):
    return Asked(
        ("instance", "migrate", "train-0"), "Move it?", cloud, shows="gpu17 -> gpu18", changed=lambda: writes(cloud)
    )


def drain(cloud, **_):
    return Asked(("instance", "drain", "gpu17"), "Drain gpu17?", cloud, shows="train-1", changed=lambda: writes(cloud))


def purge(cloud, scene, **_):
    one = cloud.server("train-0").id
    root = quarantines.make_root(scene / "gpu17")
    quarantines.instance(root, f"{one}_resize")
    done, code = quarantines.quarantine(quarantines.ComputeHost(root), uuids=[one], proof=quarantines.proof(one))
    assert code == 0, done
    before = quarantines.tree(root)
    return Asked(
        ("instance", "leftovers", "purge", "gpu17"), "in the quarantine of gpu17?", cloud, "leftovers",
        {"LATER": str(15 * DAY_S)}, "in quarantine since", lambda: quarantines.tree(root) != before,
    )  # fmt: skip


def prepare(scene, **_):
    host = SimHost(worlds.two_gtx1080(), scene / "host")
    before = host.snapshot("/etc", "/boot", "/usr")
    return Asked(
        ("host", "prepare", "--root", scene / "host"), "Prepare this host?", shows="write /etc/gpuctl/cards",
        changed=lambda: host.snapshot("/etc", "/boot", "/usr") != before,
    )  # fmt: skip


def replace(stack, **_):
    nova = stack.enter_context(NovaSim())
    nova.add("gpu.gtx1080.1", vcpus=99)
    before = nova.snapshot()
    return Asked(
        ("flavor", "apply", ROOT / "flavors/farm-2016.yaml", "--replace"), "Do it?", nova, shows="- vcpus: 99",
        changed=lambda: nova.snapshot() != before,
    )  # fmt: skip


def up(scene, tmp_path, stack, **_):
    nova = stack.enter_context(UpSim({"gpu01": "up", "gpu02": "up"}))
    words = ("up", "-i", "gpu01,gpu02", "-o", tmp_path / "out", "--cpus", "16", "--ram", "72GiB", "--no-smoke")
    return Asked(words, "with 2 hosts?", nova, "up", shows="2 hosts changed", changed=lambda: anything(scene, nova))


def fleet(scene, tmp_path, **_):
    inventory = tmp_path / "inventory.ini"
    inventory.write_text("[gpu]\ngpu01\ngpu02\n")
    return Asked(
        ("fleet", "prepare", "-i", inventory), "2 hosts?", None, "fleet", shows="gpu01", changed=lambda: anything(scene)
    )


def writes(cloud):
    """What was asked of the cloud that could change it."""
    return [
        one for one in cloud.counts() if not one.startswith("GET ") and "/identity/" not in one and "/tokens" not in one
    ]


def anything(scene, nova=None):
    return list(scene.glob("*/etc/gpuctl")) or (nova is not None and nova.flavors)


COMMANDS = (migrate, drain, purge, prepare, replace, up, fleet)


@pytest.fixture
def stack():
    import contextlib

    with contextlib.ExitStack() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("answer", NO)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.__name__)
def test_what_is_no_yes_changes_nothing(command, answer, sit, cloud, scene, tmp_path, stack):
    asked = command(cloud=cloud, scene=scene, tmp_path=tmp_path, stack=stack)
    at = sit(asked.cloud, *asked.words, scene=asked.scene, env=asked.env, columns=40)
    at.until(asked.question)
    assert asked.shows.replace(" ", "") in at.words, "it says before what it will do"
    for line in NO[answer].splitlines(keepends=True):
        at.type(line)
        if answer == "garbage" and "No" not in line:
            at.until("Please say y or n.").until("[y/N]: ")
    assert at.end() == 130
    assert at.text.rstrip().endswith("\ngpuctl: nothing was changed"), at.text
    assert not asked.changed()
    at.tidy()


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"stdin": "closed"}, {"stdin": "/dev/null"}, {"stderr": "/dev/null"}, {"stderr": "pipe"}], ids=str
)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.__name__)
def test_where_nobody_can_be_asked_it_refuses(command, how, sit, cloud, scene, tmp_path, stack):
    asked = command(cloud=cloud, scene=scene, tmp_path=tmp_path, stack=stack)
    at = sit(asked.cloud, *asked.words, scene=asked.scene, env=asked.env, **how)
    assert at.end() == 2
    assert not asked.changed()
    said = at.err if how.get("stderr") == "pipe" else at.text
    assert ("say --yes to agree beforehand" in said.replace("\n", "")) == (how.get("stderr") != "/dev/null")
    at.tidy()


def test_a_yes_does_it(sit, cloud):
    at = sit(cloud, "instance", "migrate", "train-0")
    at.until("Move it?").type(" YES \n")
    assert at.end() == 0
    assert cloud.server("train-0").host == "gpu18"
    at.tidy()


def test_the_plan_is_seen_where_stdout_leads_elsewhere(sit, cloud):
    """A person who says `> file` is asked about something that is on the screen; the file gets the result alone."""
    at = sit(cloud, "instance", "migrate", "train-0", stdout="pipe")
    at.until("Move it?")
    assert "gpu17 -> gpu18" in at.text
    assert at.type("y\n").end() == 0
    assert at.out.startswith("✔ train-0")
    assert at.out.count("gpu17 -> gpu18") == 1
    at.tidy()


@pytest.fixture
def waiting(cloud):
    """Both servers were migrated by somebody, and wait to be confirmed."""
    for number in range(2):
        Client(cloud.url).act(cloud.server(f"train-{number}").id, "migrate", {"host": "gpu18"})
    cloud.settle()
    cloud.clear_counts()
    yield cloud
    for one in cloud.servers.values():
        if one.vm_state == "resized":
            Client(cloud.url).act(one.id, "confirmResize")
    cloud.settle()


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", ["\n", "n\n", "y\n", "yes\n", "Confirm\n", CTRL_D, "confirm" + CTRL_D * 2, "\udc80\n"]
)
def test_what_destroys_something_wants_its_name(answer, sit, waiting):
    at = sit(waiting, "instance", "recover", "train-0", columns=40)
    at.until("Type confirm to do it: ")
    assert "lost by it: the copy on gpu17" in at.text.replace("\n  ", " ")
    at.type(answer)
    if answer.startswith("confirm"):  # Ctrl-D sends what was typed: it is the name, and it was not taken back
        assert at.end() == 0
        return
    assert at.end() == 1
    assert "not agreed to" in at.text
    assert not [one for one in writes(waiting) if "confirmResize" in one]
    at.tidy()


@pytest.mark.slow
def test_a_recovery_that_is_interrupted_at_its_second_question_tells_of_the_first(sit, waiting, tmp_path):
    at = sit(waiting, "instance", "recover", "train-0", "train-1")
    at.until("Type confirm to do it: ").type("confirm\n")
    at.until("Type confirm to do it: ").type(CTRL_C)
    assert at.end() == 130
    told = at.text[at.text.rindex("Type confirm") :]
    assert "nothing was changed" not in told
    assert "train-0" in told
    assert "nothing is left to repair" in told
    assert "refused    interrupted: not begun" in told.replace("  refused", "refused")
    assert "(gone)" not in told, "that a server was not read to the end does not say that it is gone"
    assert '"confirm: done"' in (tmp_path / "state/gpuctl/audit.jsonl").read_text()
    at.tidy()

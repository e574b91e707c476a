"""Every command that a page shows in a block of its own is run, in a world in which it makes sense."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpuctl.cli.main import GROUPS
from tests.docs.pages import Said, commands
from tests.docs.world import World


@dataclass(frozen=True)
class Act:
    """Commands that begin like this, where they are run, and the exit codes which that world justifies."""

    begins: str
    scene: str
    codes: tuple[int, ...] = (0,)
    why: str = ""


#: The longest beginning that fits says it; a beginning that is here twice is run in both worlds.
ACTS = (
    Act("host check", "bare", (1,), "the IOMMU is off and host drivers have the cards"),
    Act("host check", "prepared"),
    Act("host check --strict", "bare", (1,), "as without --strict"),
    Act("host prepare --dry-run", "bare"),
    Act("host prepare", "bare", (4,), "the IOMMU is on after a reboot"),
    Act("host restore", "prepared", (4,), "the host is as it was after a reboot"),
    Act("host restore --dry-run", "prepared"),
    Act("host facts", "bare"),
    Act("host show", "bare"),
    Act("host show --facts", "facts_files"),
    Act("host capture", "bare"),
    Act("host history", "prepared"),
    Act("host watch install", "systemd"),
    Act("host watch remove", "watched"),
    Act("host watch status", "systemd", (1,), "it is not watched yet"),
    Act("host watch status", "watched"),
    Act("nova configure", "facts_files"),
    Act("nova configure --release 2026.1 --facts gpu*.json", "model_files"),
    Act("nova check nova/", "configured"),
    Act("nova check /etc/nova/nova.conf", "node"),
    Act("nova check /etc/nova/nova.conf --release 2026.2", "new_node"),
    Act("flavor apply", "empty_cloud"),
    Act("flavor create", "empty_cloud"),
    Act("flavor plan", "facts_files"),
    Act("flavor", "sold"),
    Act("instance audit", "readme_guests"),
    Act("instance audit", "broken", (1,), "the failed move holds a card"),
    Act("instance audit -f nagios", "readme_guests"),
    Act("instance list", "guests"),
    Act("instance show", "guests"),
    Act("instance migrate train-7 --host gpu-node-02", "readme_guests"),
    Act("instance migrate train-7 --host gpu18", "guests"),
    Act("instance migrate train-7", "guests"),
    Act("instance migrate train-1", "trains"),
    Act("instance drain gpu-node-01", "readme_guests"),
    Act("instance drain gpu17", "guests"),
    Act("instance drain gpu17 --evacuate", "dead"),
    Act("instance recover", "waiting"),
    Act("instance recover", "broken", (1,), "a statement is left to the operator"),
    Act("instance recover train-7 --dry-run", "broken"),
    Act("instance recover train-7 --nova-db", "broken", (1,), "a statement is left to the operator"),
    Act("instance recover train-7 --nova-db @nova-db.txt --ssh --dry-run", "broken"),
    Act("instance leftovers", "moved"),
    Act("instance leftovers restore", "shelved"),
    Act("instance leftovers purge", "shelved"),
    Act("fleet trust", "rack"),
    Act("fleet check", "rack", (1,), "bare hosts are not ready"),
    Act("fleet facts", "rack"),
    Act("fleet prepare", "rack"),
    Act("fleet prepare -i inventory.yml --drain", "rack_in_use"),
    Act("fleet prepare --resume", "unfinished", (4,), "they still need their reboot"),
    Act("fleet restore", "fleet_prepared", (4,), "the hosts are as they were after a reboot"),
    Act("fleet restore -i inventory.yml --limit rack3 --dry-run", "fleet_prepared"),
    Act("fleet report", "checked"),
    Act("fleet report --from", "reports"),
    Act("fleet history", "changed"),
    Act("up", "farm"),
    Act("up -i inventory.yml --limit gpu --reboot --nova-roles", "controllers"),
)
#: What is not run here, and why.
ELSEWHERE = {
    "lab": "starts a real Keystone, Placement, Glance and Nova: tests/lab/openstack (lab_openstack) does, by the same code",
}


def texts() -> dict[str, list[Said]]:
    """Each different command line, and where pages show it."""
    found: dict[str, list[Said]] = {}
    for one in commands():
        if one.shown and "..." not in one.words:  # with "..." it is a part of a line, which test_pages reads
            found.setdefault(" ".join(one.words[1:]), []).append(one)
    return found


def acts(text: str) -> list[Act]:
    """What is to be done with a command line; nothing for one that no act fits."""
    fit = [one for one in ACTS if f"{text} ".startswith(one.begins if one.begins.endswith("/") else f"{one.begins} ")]
    longest = max((len(one.begins) for one in fit), default=0)
    return [one for one in fit if len(one.begins) == longest]


def elsewhere(text: str) -> str:
    return next((why for begins, why in ELSEWHERE.items() if f"{text} ".startswith(f"{begins} ")), "")


RUNS = [(text, act) for text in texts() if not elsewhere(text) for act in acts(text)]


@pytest.fixture
def world(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        yield World(tmp_path, monkeypatch, stack)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "act"), RUNS, ids=[f"{text} ({act.scene})" for text, act in RUNS])
def test_it_runs(text: str, act: Act, world: World):
    said = texts()[text][0]
    getattr(world, act.scene)()
    ran = world.type(*said.words)
    assert ran.code in act.codes, f"{said}\n{ran.words}\n{ran.out}\n{ran.err}"
    assert ran.code not in (2, 3, 6), "no page shows what cannot be typed, is refused or reaches nobody"
    assert "unforeseen" not in ran.err
    assert "Traceback" not in ran.err
    if "-o" in said.words or "--output" in said.words:
        assert Path(ran.words[ran.words.index("-o") + 1]).exists(), ran
    else:
        assert ran.out.strip(), f"{said} says nothing"


def test_every_command_that_a_page_shows_is_run_or_said_not_to_be(capsys):
    unknown = [f"{where}" for text, where in texts().items() if not acts(text) and not elsewhere(text)]
    assert unknown == [], "say in ACTS in which world it makes sense, or in ELSEWHERE why it is not run"
    run = [text for text in texts() if not elsewhere(text)]
    left = [text for text in texts() if elsewhere(text)]
    with capsys.disabled():
        print(f"\n{len(run)} commands of the pages are run, in {len(RUNS)} worlds; {len(left)} are not: {', '.join(left)}")  # fmt: skip


def test_no_act_and_no_exception_is_left_over():
    used = {act for _, act in RUNS}
    assert [one for one in ACTS if one not in used] == []
    assert [one for one in ELSEWHERE if not any(f"{text} ".startswith(f"{one} ") for text in texts())] == []
    assert all(one.why for one in ACTS if one.codes != (0,))


def test_every_group_of_commands_is_shown_somewhere():
    assert {text.split()[0] for text in texts()} == set(GROUPS)

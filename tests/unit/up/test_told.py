"""What a person is asked and shown."""

from __future__ import annotations

import io
import sys

import pytest

from tests.unit.up.rig import changing, runs_of


class Person(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self):
        return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "code", "plays"),
    [
        ("n\n", 130, []),
        ("y\nn\n", 4, ["prepare", "prepare"]),
        # the hosts are rebooted one after the other, each by a run of its own kind: nothing is left to prepare there
        ("y\ny\n", 0, ["prepare", "prepare", "prepare", "reboot", "prepare", "reboot"]),
    ],
)
def test_a_person_is_asked_once_and_again_before_the_reboot(up, hosts, monkeypatch, typed, code, plays):
    monkeypatch.setattr("sys.stdin", Person(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert up("--no-smoke", yes=False)[0] == code
    assert [name for name, _ in changing(hosts)] == plays
    assert set(runs_of(hosts).values()) == {1 if plays else 0}


@pytest.mark.slow
def test_what_a_person_sees(up, hosts):
    hosts.dead.add("gpu01")
    code, text = up("--dry-run", form="table")
    assert code == 5
    assert "write /etc/gpuctl/cards" in text
    assert "it asks again before that" in text
    assert "2 to create" in text
    assert "gpu01  left out at check" in text
    code, text = up("--reboot", "--no-smoke", form="table")
    assert code == 5
    lines = text.splitlines()
    assert [line.split()[1] for line in lines if line[:1] in "✔!?" and " s " in line] == [
        "check", "prepare", "verify", "configuration", "flavors", "smoke",
    ]  # fmt: skip
    assert "Can be sold now, not proven by a server" in text
    assert "see its power" in text
    assert "nobody yet" in text

"""What Ansible's events say of a host. The messages are Ansible's and ssh's own, of ansible-core 2.19 and OpenSSH 9."""

from __future__ import annotations

import pytest

pytest.importorskip("click")

from gpuctl.fleet.ansible.answers import answer
from tests.unit.fleet_change.ansible_sim import event

PREPARE = "gpuctl.host.prepare"


@pytest.mark.parametrize(
    ("kind", "said", "state", "word"),
    [
        ("unreachable", "Failed to connect to the host via ssh: Host key verification failed.", "unreachable", "trust"),
        ("unreachable", "Failed to connect to the host via ssh: ssh: connect to host 10.9.0.2 port 22: Connection timed out",
         "unreachable", "power"),
        ("unreachable", "Failed to connect to the host via ssh: Connection timed out during banner exchange", "unreachable", "power"),
        ("unreachable", "Failed to connect to the host via ssh: ops@gpu1: Permission denied (publickey,password).", "unreachable", "ssh"),
        ("unreachable", "Failed to connect to the host via ssh: ssh: Could not resolve hostname gpu1: Name or service not known",
         "unreachable", "DNS"),
        ("unreachable", "Failed to create temporary directory. ... mkdir: cannot create directory '/root/.ansible': No space left on device",
         "failed", "df"),
        ("unreachable", "Failed to create temporary directory. In some cases ... mkdir: cannot create directory '/x': Permission denied",
         "failed", "ansible_remote_tmp"),
        ("failed", "ansible-core requires a minimum of Python version 3.8. Current version: 3.6.8", "failed", "Python 3.9"),
        ("unreachable", "something new", "unreachable", "ssh"),
        ("failed", "Task failed: Missing sudo password", "failed", "--ask-become-pass"),
        ("failed", "gpuctl-host.pyz: needs Python 3.9 or newer, this is 3.6.8", "failed", "Python 3.9"),
        ("failed", "Task failed: Module failed: something new", "failed", "mend"),
    ],
)  # fmt: skip
def test_what_went_wrong(kind, said, state, word):
    found = answer(event(f"runner_on_{kind}", "h", PREPARE, {"msg": said}), check_mode=False)
    assert (found.host, found.state) == ("h", state)
    assert word in found.resolution
    assert not found.what.startswith(("Task failed", "Failed to connect"))
    assert "\n" not in found.what


def test_what_the_hosts_half_says_is_believed_over_words_in_its_message():
    result = {"msg": "dracut: timed out after 600 s", "exit_code": 1, "resolution": "see its output"}
    found = answer(event("runner_on_failed", "h", PREPARE, result), check_mode=False)
    assert (found.state, found.resolution) == ("failed", "see its output")


def test_done_planned_and_reboot():
    result = {"changes": [], "reboot_required": True, "reboot_reasons": ["a", "b"], "fingerprint": "f"}
    done = answer(event("runner_on_ok", "h", PREPARE, {**result, "reboot_required": False}), check_mode=False)
    needs = answer(event("runner_on_ok", "h", PREPARE, result), check_mode=False)
    planned = answer(event("runner_on_ok", "h", PREPARE, result), check_mode=True)
    assert [one.state for one in (done, needs, planned)] == ["done", "reboot-needed", "planned"]
    assert needs.what == "a; b"
    assert planned.fingerprint == "f"


@pytest.mark.parametrize("kind", ["runner_on_start", "runner_on_skipped", "playbook_on_stats", "verbose"])
def test_what_settles_nothing(kind):
    assert answer(event(kind, "h", PREPARE, {}), check_mode=False) is None


def test_other_tasks_settle_nothing_unless_they_fail():
    assert answer(event("runner_on_ok", "h", "ansible.builtin.debug", {}), check_mode=False) is None
    assert (
        answer(event("runner_on_failed", "h", "ansible.builtin.debug", {"msg": "x"}), check_mode=False).state
        == "failed"
    )

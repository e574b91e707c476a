"""The modules on trees, through a real ansible-playbook and the tarball: what they say, and what they leave."""

from __future__ import annotations

import sys
import tarfile

import pytest

pytest.importorskip("ansible_runner")

from gpuctl_host.checks.render import ESSENTIAL
from tests.collection.conftest import OLD
from tests.sim import worlds
from tests.sim.host import SimHost

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.timeout(300)]
PREPARE, RESTORE, CHECK, FACTS = (f"gpuctl.host.{name}" for name in ("prepare", "restore", "check", "facts"))


@pytest.fixture
def host(tmp_path):
    return SimHost(worlds.two_gtx1080(), tmp_path / "root")


@pytest.fixture
def at(host):
    root = str(host.root)
    return {"h1": {f"{verb}_root": root for verb in ("prepare", "restore", "check", "reboot")}}


def snapshot(host):
    return host.snapshot("/etc", "/boot", "/usr", "/lib")


def test_check_mode_and_diff_show_exactly_what_an_apply_does(play, host, at):
    before = snapshot(host)
    planned = play("prepare", at, "--check", "--diff")
    assert planned.code == 0, planned.said
    assert snapshot(host) == before, "check mode wrote something"
    done = play("prepare", at, "--diff")
    assert done.code == 0, done.said
    one, two = planned.one(PREPARE), done.one(PREPARE)
    assert one["diff"] == two["diff"] != []
    assert one["changed"] is two["changed"] is True
    assert one["fingerprint"] == two["fingerprint"]
    assert [(step["kind"], step["target"]) for step in one["changes"]] == [
        (step["kind"], step["target"]) for step in two["changes"]
    ]
    assert [step["state"].replace("planned", "done") for step in one["changes"]] == [
        step["state"] for step in two["changes"]
    ]
    written = {path for path in snapshot(host) if path not in before}
    told = {step["target"].lstrip("/") for step in two["changes"] if step["state"] == "done"}
    assert {path.lstrip("/") for path in written} >= told
    for diff in two["diff"]:
        assert diff["prepared"].startswith(("--- ", "file ")), diff


def test_the_second_run_changes_nothing_and_restore_leaves_nothing(play, host, at):
    before = snapshot(host)
    assert play("prepare", at).one(PREPARE)["changed"] is True
    after = snapshot(host)
    for words in ((), ("--check",)):
        again = play("prepare", at, *words)
        assert again.one(PREPARE)["changed"] is False, again.said
        assert snapshot(host) == after
    assert again.one(PREPARE)["reboot_required"] is True
    assert play("restore", at, "--check").one(RESTORE)["changed"] is True
    assert snapshot(host) == after
    assert play("restore", at).one(RESTORE)["changed"] is True
    assert snapshot(host) == before
    assert play("restore", at).one(RESTORE)["changed"] is False


def test_one_task_a_host_and_phase(play, host, at):
    for name in ("prepare", "restore", "check"):
        done = play(name, at, "-e", "check_require_ready=false")
        assert [answer.action for answer in done.answers] == [f"gpuctl.host.{name}"], done.said


def test_a_plan_that_no_longer_fits_is_not_applied(play, host, at):
    before = snapshot(host)
    done = play("prepare", at, "-e", "prepare_fingerprint=0123")
    assert done.code == 2
    result = done.one(PREPARE)
    assert result["refused"] is True
    assert result["exit_code"] == 3
    assert snapshot(host) == before
    right = play("prepare", at, "--check").one(PREPARE)["fingerprint"]
    assert play("prepare", at, "-e", f"prepare_fingerprint={right}").one(PREPARE)["changed"] is True


def test_a_refusal_says_why_and_what_to_do(play, host, at):
    done = play("prepare", at, "-e", '{"prepare_gpus": ["0000:77:00.0"]}')
    result = done.one(PREPARE)
    assert done.code == 2
    assert result["exit_code"] in (2, 3)
    assert "0000:77:00.0" in result["msg"]
    assert result["resolution"]
    assert "Traceback" not in done.said


def test_check_says_what_fails_and_fails_only_if_told(play, at):
    strict = play("check", at)
    assert strict.code == 2
    assert "not ready: " in strict.one(CHECK)["msg"]
    lenient = play("check", at, "-e", "check_require_ready=false")
    assert lenient.code == 0
    result = lenient.one(CHECK)
    assert result["ready"] is False
    told = {
        status: [one for one in result["findings"] if one["status"] == status] for status in ("fail", "warn", "skip")
    }
    assert sum(map(len, told.values())) == len(result["findings"])
    assert all(one["fix"] for one in [*told["fail"], *told["warn"]])
    assert {one["id"] for one in told["skip"]} == set(result["unknown"]) & set(ESSENTIAL)


@pytest.mark.parametrize("python", ["this", "3.9"])
def test_it_runs_on_the_oldest_python_and_leaves_no_file_there(play, host, at, tmp_path, python):
    interpreter = sys.executable if python == "this" else str(OLD)
    if python == "3.9" and not OLD.exists():
        pytest.skip("no Python 3.9 (.ci/bootstrap py39)")
    at["h1"]["ansible_python_interpreter"] = interpreter
    done = play("prepare", at)
    assert done.code == 0, done.said
    assert done.one(PREPARE)["changed"] is True
    assert not list((tmp_path / ".ansible").rglob("*.pyz"))


def test_the_tarball_has_the_hosts_half_and_nothing_private(tarball):
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert "plugins/module_utils/archive.py" in names
    assert {f"plugins/modules/{name}.py" for name in ("facts", "check", "prepare", "restore")} < set(names)
    assert {f"playbooks/{name}.yml" for name in ("prepare", "check", "restore", "reboot", "nova")} < set(names)
    assert not [name for name in names if "/." in f"/{name}" or name.endswith((".pyc", ".tar.gz"))]


def test_with_reboots_it_is_one_host_after_the_other_and_ends_at_the_first_that_fails(play, host, at, tmp_path):
    """Ansible reboots nothing over a local connection: here the first reboot fails, whatever its command."""
    other = SimHost(worlds.two_gtx1080(), tmp_path / "other")
    before = snapshot(other)
    both = {**at, "h2": {"prepare_root": str(other.root), "reboot_command": "true"}}
    at["h1"]["reboot_command"] = "true"
    played = play("prepare", both, "-e", '{"prepare_reboot": true}')
    assert played.code != 0
    assert "local connection would reboot" in played.said
    assert played.of(PREPARE).keys() == {"h1"}
    assert snapshot(other) == before

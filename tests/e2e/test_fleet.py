"""`gpuctl fleet` against real sshds: 25 hosts, and everything that can be wrong with one of them."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.hosts import Hosts, why_not

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

DEAD, HANGING, STUCK, CHANGED, REFUSING, BARE, PASSWORD, DOWN, UNKNOWN = 3, 5, 7, 9, 11, 13, 15, 17, 19
WRONG = {DEAD, HANGING, STUCK, CHANGED, REFUSING, BARE, PASSWORD, DOWN, UNKNOWN}


@pytest.fixture(scope="module")
def rig():
    with Hosts(25) as made:
        yield made


@pytest.fixture(scope="module")
def answer(rig):
    """One check of all, as `ops` who has to become root, with nine hosts in trouble."""
    rig[DEAD].cut()
    rig[HANGING].hang()
    rig[STUCK].hang_after_login()
    rig[CHANGED].change_key()
    rig[REFUSING].refuse()
    rig[BARE].without_python()
    rig[PASSWORD].sudo_password()
    rig[DOWN].kill()
    known = rig.home / ".ssh/known_hosts"
    known.write_text(
        "".join(line for line in known.read_text().splitlines(True) if not line.startswith(rig[UNKNOWN].name))
    )
    ran = rig.gpuctl("fleet", "check", "-i", rig.inventory(user="ops"), "--timeout", "15", "-f", "json", timeout=100)
    return ran, json.loads(ran.stdout)


def test_the_ones_in_trouble_are_told_apart(rig, answer):
    _, document = answer
    codes = {entry["host"]: entry["error"]["code"] for entry in document["hosts"] if entry["error"]}
    assert codes.pop(rig[DEAD].name) in ("timed-out", "unreachable")  # the kernel's ARP may give up first
    assert codes == {
        rig[HANGING].name: "timed-out",
        rig[STUCK].name: "timed-out",
        rig[CHANGED].name: "host-key-changed",
        rig[REFUSING].name: "authentication-failed",
        rig[BARE].name: "no-python",
        rig[PASSWORD].name: "not-root",
        rig[DOWN].name: "unreachable",
        rig[UNKNOWN].name: "host-key-unknown",
    }


def test_every_error_says_what_to_do(answer):
    for entry in answer[1]["hosts"]:
        if entry["error"]:
            assert entry["error"]["resolution"], entry
            assert entry["host"] in entry["error"]["brief"], entry


def test_the_others_have_answered(rig, answer):
    ran, document = answer
    assert ran.returncode == 5, ran.stderr
    assert document["counts"] == {"hosts": 25, "ready": 0, "not_ready": 16, "failed": 9}
    good = [entry for entry in document["hosts"] if entry["error"] is None]
    assert {entry["host"] for entry in good} == {host.name for host in rig} - {rig[number].name for number in WRONG}
    for entry in good:
        assert entry["check"]["host"] == entry["host"]  # each answered for itself, in its own tree
        assert [gpu["address"] for gpu in entry["check"]["gpus"]] == ["0000:42:00.0", "0000:84:00.0"]
    assert all("facts" not in entry for entry in document["hosts"])


def test_a_host_that_hangs_costs_its_own_timeout(rig, answer):
    seconds = {entry["host"]: entry["seconds"] for entry in answer[1]["hosts"]}
    assert seconds[rig[STUCK].name] < 17  # the whole of --timeout, and no other's
    assert answer[1]["seconds"] < 20


def test_the_run_is_kept_and_shown_again(rig, answer):
    again = rig.gpuctl("fleet", "check", "--last", "-f", "json")
    assert json.loads(again.stdout) == answer[1]
    assert again.returncode == 5
    table = rig.gpuctl("fleet", "check", "--last")
    assert "9 could not be asked" in table.stdout
    assert f"on  {rig[CHANGED].name}" in table.stdout


def test_nothing_is_left_on_a_host(rig, answer):
    assert list((rig[1].tree / "tmp").iterdir()) == []
    assert not (rig[1].tree / "var/lib/gpuctl").exists()


def test_trust_files_a_new_key_and_no_changed_one(rig, answer):
    inventory = rig.inventory(user="ops")
    known = rig.home / ".ssh/known_hosts"
    before = known.read_text()
    alive = f"{rig[1].name},{rig[CHANGED].name},{rig[UNKNOWN].name}"
    refused = rig.gpuctl("fleet", "trust", "-i", inventory, "--limit", alive)
    assert refused.returncode == 2, refused.stdout
    assert known.read_text() == before
    ran = rig.gpuctl("fleet", "trust", "-i", inventory, "--limit", alive, "--yes", "-f", "json")
    assert ran.returncode == 1, ran.stderr  # one has changed, and --yes is no consent to that
    states = {entry["host"]: entry["state"] for entry in json.loads(ran.stdout)["hosts"]}
    assert states == {rig[1].name: "known", rig[CHANGED].name: "changed", rig[UNKNOWN].name: "new"}
    assert known.read_text().startswith(before)
    for number, code in ((UNKNOWN, 1), (CHANGED, 6)):
        ran = rig.gpuctl("fleet", "check", "-i", inventory, "--limit", rig[number].name)
        assert ran.returncode == code, ran.stdout + ran.stderr
    replaced = rig.gpuctl(
        "fleet", "trust", "-i", inventory, "--limit", alive, "--yes", "--replace-key", rig[CHANGED].name
    )
    assert replaced.returncode == 0, replaced.stdout + replaced.stderr
    assert rig.gpuctl("fleet", "check", "-i", inventory, "--limit", rig[CHANGED].name).returncode == 1
    shown = subprocess.run(
        ["ssh-keygen", "-F", rig[UNKNOWN].address, "-f", str(known)], capture_output=True, text=True, check=False
    )
    assert rig[UNKNOWN].public_key in shown.stdout  # OpenSSH reads what we wrote


def test_trust_into_another_file_files_each_key_once(rig, answer):
    inventory, other = rig.inventory(user="ops"), rig.folder / "other"
    known = rig.home / ".ssh/known_hosts"
    kept = known.read_text()
    known.write_text("")
    try:
        for state in ("new", "known"):
            ran = rig.gpuctl(
                "fleet", "trust", "-i", inventory, "-l", rig[1].name, "-o", str(other), "--yes", "-f", "json"
            )
            assert [entry["state"] for entry in json.loads(ran.stdout)["hosts"]] == [state]
    finally:
        known.write_text(kept)
    assert other.read_text() == f"{rig[1].address} {rig[1].public_key}\n"


def test_all_in_trouble_is_six(rig, answer):
    ran = rig.gpuctl("fleet", "check", "-i", rig.inventory(), "--limit", rig[DOWN].name)
    assert ran.returncode == 6, ran.stdout


def test_nagios_has_its_own_codes(rig, answer):
    ran = rig.gpuctl(
        "fleet", "check", "-i", rig.inventory(), "--limit", f"{rig[1].name},{rig[DOWN].name}", "-f", "nagios"
    )
    assert ran.returncode == 2, ran.stdout
    assert ran.stdout.startswith("GPUCTL FLEET CRITICAL - ")
    assert "hosts=2 ready=0 not_ready=1 failed=1" in ran.stdout


def test_a_jump_host_and_a_proxy_command_lead_there(rig, answer):
    config = rig.home / "jump_config"
    config.write_text(
        f"Host gpu02\n  HostName {rig[2].address}\n  User root\n  ProxyJump ops@{rig[1].address}\n"
        f"Host gpu04\n  HostName {rig[4].address}\n  User root\n  ProxyCommand ssh -i {rig.folder}/id -o UserKnownHostsFile={rig.home}/.ssh/known_hosts "
        f"-W %h:%p ops@{rig[1].address}\n"
        f"Host gpu06\n  HostName {rig[6].address}\n  User root\n  ProxyJump {rig[DOWN].address}\n"
    )
    for host, code in (("gpu02", 1), ("gpu04", 1), ("gpu06", 6)):
        ran = rig.gpuctl("fleet", "check", "-i", f"{host},", "--ssh-config", str(config))
        assert ran.returncode == code, (host, ran.stdout, ran.stderr)
    assert f"jump host {rig[DOWN].address}" in ran.stdout

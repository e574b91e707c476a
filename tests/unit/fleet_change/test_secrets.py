"""No secret stays behind: passwords, the environment, what a task returned. Searched for in every file, and meanwhile.

The real ansible-runner, with a stand-in for ansible-playbook that asks for passwords, looks at every file that is there
while it runs, and sends an event as ansible-runner's own callback plugin does.
"""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("ansible_runner")

from gpuctl.fleet.ansible import place, playbook
from gpuctl.fleet.ansible.playbook import Access, Ansible, AnsibleFailed
from gpuctl.fleet.errors import BadInventory

CANARY = "canary-4f1d"
ENV, SSH, BECOME, VAULT, RESULT = (f"{CANARY}-{kind}" for kind in ("env", "ssh", "become", "vault", "result"))

STAND_IN = r"""#!/bin/sh
echo $$ > @PID@
# the secrets arrive where they are meant to
[ "$GPUCTL_TEST_SECRET" = "@ENV@" ] || exit 91
ask() { printf '%s: ' "$1"; read -r word; [ "$word" = "$2" ] || exit 92; }
ask 'SSH password' "@SSH@"
ask 'BECOME password[defaults to SSH password]' "@BECOME@"
ask 'Vault password' "@VAULT@"
# what can be found on disk, right now (a pipe is no disk: -type f)
find @FOLDER@ @HOME@ -type f -exec grep -la @CANARY@ {} + >> @FOUND@
tr '\0' ' ' < /proc/$$/cmdline >> @CMDLINE@
mkdir -p "$AWX_ISOLATED_DATA_DIR/job_events"
echo '{"uuid": "u1", "event": "runner_on_ok", "event_data": {"host": "h1", "res": {"msg": "@RESULT@"}}}' \
    > "$AWX_ISOLATED_DATA_DIR/job_events/u1-partial.json"
printf '\033[K@HEADER@\033[Ksaid\n\033[K@HEADER@\033[K\n'
[ ! -e @HANG@ ] || exec sleep 60
exit 0
"""


def header() -> str:
    """An event's header as ansible-runner's callback writes it: base64, and the escape sequence that hides it."""
    text = base64.b64encode(b'{"uuid": "u1"}').decode()
    return f"{text}\\033[{len(text)}D"


@pytest.fixture
def rig(tmp_path, monkeypatch):
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    run.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    monkeypatch.setenv("GPUCTL_TEST_SECRET", ENV)
    text = STAND_IN
    for key, value in {
        "ENV": ENV, "SSH": SSH, "BECOME": BECOME, "VAULT": VAULT, "RESULT": RESULT, "CANARY": CANARY, "FOLDER": run,
        "HOME": home, "FOUND": tmp_path / "found", "CMDLINE": tmp_path / "cmdline", "HANG": tmp_path / "hang", "HEADER": header(), "PID": tmp_path / "pid",
    }.items():  # fmt: skip
        text = text.replace(f"@{key}@", str(value))
    (tmp_path / "bin").mkdir()
    for name in ("ansible-playbook", "ansible"):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(playbook, "ansible_playbook", lambda: tmp_path / "bin/ansible-playbook")
    return tmp_path


def access():
    return Access(("h1,h2,",), passwords={"ssh": SSH, "become": BECOME, "vault": VAULT})


def canaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def test_no_file_holds_a_secret_while_it_runs_nor_after(rig):
    heard = []
    with place.private_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        ended = Ansible(folder, access()).play(
            "prepare", heard.append, hosts=["h1"], variables={"prepare_gpus": ["all"]}
        )
        assert ended.code == 0, ended  # 91, 92: a secret did not arrive
        (event,) = [event for event in heard if event.get("event") == "runner_on_ok"]
        assert event["event_data"]["res"]["msg"] == RESULT, "the stand-in's event came through"
        assert canaries(folder) == [], "the event was taken out of its file"
        assert "prepare_gpus" in (folder / "env/extravars").read_text()
    assert (rig / "found").read_text() == ""
    assert CANARY not in (rig / "cmdline").read_text()
    assert not folder.exists()
    assert not any(CANARY in repr(one) for one in (access(), ended))


def test_the_search_would_find_one(rig):
    (rig / "home" / "leak").write_text(f"x {ENV}")
    with place.private_folder() as folder:
        Ansible(folder, access()).play("prepare", lambda event: None, hosts=["h1"], variables={})
    assert (rig / "found").read_text().split() == [str(rig / "home" / "leak")]


def test_stop_ends_ansible_and_says_so(rig):
    (rig / "hang").touch()
    heard = []
    with place.private_folder() as folder:
        ended = Ansible(folder, access(), stop=lambda: bool(heard)).play(
            "prepare", heard.append, hosts=["h1"], variables={}
        )
    assert ended.stopped
    assert canaries(rig / "run") == []


def test_a_defect_in_what_hears_is_raised_and_ansible_is_ended(rig):
    (rig / "hang").touch()

    def heard(_event):
        raise OSError("full")

    with place.private_folder() as folder, pytest.raises(OSError, match="full"):
        Ansible(folder, access()).play("prepare", heard, hosts=["h1"], variables={})


def test_an_inventory_that_cannot_be_read_is_told_in_ansibles_words(rig):
    (rig / "bin" / "ansible").write_text("#!/bin/sh\necho '[ERROR]: no such host pattern'; exit 4\n")
    with place.private_folder() as folder, pytest.raises(AnsibleFailed) as error:
        Ansible(folder, Access(("h1,",))).hosts()
    assert "no such host pattern" in error.value.details


def test_hosts_are_listed_in_the_inventorys_order(rig):
    listed = "printf '  hosts (3):\\n    b\\n    a\\n    [weird]-name\\n'"
    (rig / "bin" / "ansible").write_text(f"#!/bin/sh\necho '[WARNING]: x'\n{listed}\n")
    with place.private_folder() as folder:
        assert Ansible(folder, Access(("b,a,",))).hosts() == ("b", "a", "[weird]-name")


@pytest.mark.parametrize("name", ["!gpu1", "gpu*", "~gpu", "@hosts", "-e", "a;b", "$(id)", "../x", "a b", "a\x1bb"])
def test_a_name_that_ansible_or_a_shell_takes_for_something_else_is_refused(rig, name):
    (rig / "bin" / "ansible").write_text(f"#!/bin/sh\ncat <<'E'\n  hosts (1):\n    {name}\nE\n")
    with place.private_folder() as folder, pytest.raises(BadInventory, match="no host's name"):
        Ansible(folder, Access(("b,a,",))).hosts()


def test_host_keys_are_checked_and_ssh_asks_nobody(rig, monkeypatch):
    out = rig / "seen"
    (rig / "bin" / "ansible").write_text(f"#!/bin/sh\nenv > {out}\n")
    monkeypatch.setenv("ANSIBLE_SSH_EXTRA_ARGS", "-o Compression=yes")
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    with place.private_folder() as folder:
        Ansible(folder, Access(("h1,",))).hosts()
    seen = dict(line.partition("=")[::2] for line in out.read_text().splitlines())
    assert seen["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert seen["ANSIBLE_SSH_EXTRA_ARGS"].startswith("-o Compression=yes -o StrictHostKeyChecking=yes")


def test_what_a_killed_run_left_is_swept_and_what_is_not_ours_stays(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True, text=True
    )
    left = tmp_path / f"gpuctl-fleet-{dead.stdout.strip()}-abc"
    mine, link, other = (
        tmp_path / name for name in (f"gpuctl-fleet-{os.getpid()}-x", "gpuctl-fleet-1-link", "gpuctl-fleet-notes")
    )
    (left / "env").mkdir(parents=True)
    mine.mkdir()
    other.mkdir()
    link.symlink_to(other)
    place.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in (mine, link, other))


def test_what_goes_into_the_pipe_is_forgotten_whatever_its_size(tmp_path):
    before = set(threading.enumerate())
    with place.forgotten(tmp_path / "command"):
        (tmp_path / "command").write_bytes(b"x" * 1_000_000)  # far more than a pipe holds
    assert set(threading.enumerate()) <= before
    with place.forgotten(tmp_path / "unused"):
        pass
    assert stat.S_ISFIFO((tmp_path / "command").stat().st_mode)


@pytest.mark.slow
def test_a_run_killed_with_sigkill_leaves_no_password_and_no_environment(rig):
    (rig / "hang").touch()
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from gpuctl.fleet.ansible import place, playbook\n"
        f"playbook.ansible_playbook = lambda: Path({str(rig / 'bin/ansible-playbook')!r})\n"
        f"access = playbook.Access(('h1,',), passwords={{'ssh': {SSH!r}, 'become': {BECOME!r}, 'vault': {VAULT!r}}})\n"
        "with place.private_folder() as folder:\n"
        "    playbook.Ansible(folder, access).play('prepare', lambda event: print('heard', flush=True), hosts=['h1'], variables={})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with child.stdout:
        assert child.stdout.readline() == "heard\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    os.kill(int((rig / "pid").read_text()), signal.SIGKILL)  # it has a session of its own, and would sleep on
    left = list((rig / "run").iterdir())
    assert len(left) == 1, "SIGKILL leaves the folder"
    # what a task returned may be in the file of an event that was under way; no password and no environment is anywhere
    for path in canaries(rig / "run"):
        assert not [secret for secret in (ENV, SSH, BECOME, VAULT) if secret.encode() in path.read_bytes()], path
    place.sweep(rig / "run")
    assert list((rig / "run").iterdir()) == []

"""Two ways to a host, for what asks (`fleet check`, our own SSH) and for what changes (`fleet prepare`, Ansible).

Through a jump host that the inventory names, with no other way in; and as a user whom sudo asks for a password.
GPUCTL_ANSIBLE names the bin folder of another Ansible to try (tests/collection/conftest.py).
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("ansible_runner")
import pexpect

from tests.collection.conftest import ANSIBLE, OWN, ROOT
from tests.e2e.hosts import Hosts, why_not

REASON = why_not()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.machine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]
CARDS = "etc/gpuctl/cards"
PASSWORD = "correct horse $battery 'staple"
BEHIND = "gpu02:gpu03"
NOW = ("--canary", "0", "--yes")


@pytest.fixture(scope="module", autouse=True)
def ansible():
    if ANSIBLE == OWN:
        subprocess.run([sys.executable, str(ROOT / ".ci/bootstrap"), "ansible"], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def rig():
    with Hosts(3) as hosts:
        # ssh looks for ~/.ssh in the password database, not in HOME; and -o of one hop does not hold for the next
        config = (
            f"Host *\n  IdentityFile {hosts.home}/.ssh/id_ed25519\n  UserKnownHostsFile {hosts.home}/.ssh/known_hosts\n"
        )
        (hosts.home / "ssh_config").write_text(f"{config}  ControlPath {hosts.folder}/cp-%C\n")
        yield hosts


def fleet(rig, *words):
    """Run it; return (exit code, document, stderr)."""
    env = {"PATH": f"{ANSIBLE}:{os.environ['PATH']}", "ANSIBLE_TIMEOUT": "30", "ANSIBLE_SSH_USETTY": "False"}
    ran = rig.gpuctl("fleet", *words, "-f", "json", env=env, timeout=400)
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else None, ran.stderr


def typed(rig, password, *words):
    """Run it on a terminal of its own, and type the password when asked; return the same."""
    start = "import sys; from gpuctl.cli.main import main; sys.exit(main())"
    out = rig.folder / "typed.json"
    shell = 'out=$1; shift; exec "$@" > "$out"'
    argv = ["-c", shell, "sh", str(out), "ip", "netns", "exec", rig.operator, sys.executable, "-c", start, "fleet"]
    env = {**rig.environment, "PATH": f"{ANSIBLE}:{os.environ['PATH']}", "ANSIBLE_TIMEOUT": "30"}
    child = pexpect.spawn(
        "sh", [*argv, *words, "-f", "json"], env=env, cwd=str(rig.home), encoding="utf-8", timeout=400
    )
    child.expect("BECOME password: ")
    child.sendline(password)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, json.loads(out.read_text() or "null"), child.before


def states(document):
    return {host["host"]: host["state"] for host in document["hosts"]}


def prepared(rig):
    return [host.name for host in rig if (host.tree / CARDS).exists()]


def ways(rig, *more):
    return " ".join(("-F", f"{rig.home}/ssh_config", *more))


@pytest.fixture
def jump(rig):
    """The first host; the two others let in nobody but who comes from there."""
    usual = (rig[1].tree / "etc/ssh/sshd_config").read_text()
    for more in (f"AllowUsers *@{rig[1].address}\n", ""):
        for host in (rig[2], rig[3]):
            host.write("/etc/ssh/sshd_config", usual + more)
            host.restart()
        if more:
            yield rig[1]


def test_through_a_jump_host_that_the_inventory_names(rig, jump):
    direct = rig.inventory(ansible_ssh_common_args=ways(rig), gpuctl_become="false")
    code, document, said = fleet(rig, "check", "-i", direct, "--limit", BEHIND)
    assert (code, document["counts"]["failed"]) == (6, 2), said
    code, document, said = fleet(rig, "prepare", "-i", direct, "--limit", BEHIND, *NOW)
    assert (code, set(states(document).values())) == (6, {"unreachable"}), said

    hop = rig.inventory(ansible_ssh_common_args=ways(rig, "-o", f"ProxyJump=ops@{jump.address}"), gpuctl_become="false")
    code, document, said = fleet(rig, "check", "-i", hop, "--limit", BEHIND)
    assert (code, document["counts"]["not_ready"], document["counts"]["failed"]) == (1, 2, 0), (said, document)
    code, document, said = fleet(rig, "prepare", "-i", hop, "--limit", BEHIND, *NOW)
    assert (code, states(document)) == (4, {"gpu02": "reboot-needed", "gpu03": "reboot-needed"}), (said, document)
    assert prepared(rig) == ["gpu02", "gpu03"]
    code, document, said = fleet(rig, "restore", "-i", hop, "--limit", BEHIND, *NOW)
    assert (code, set(states(document).values())) == (0, {"done"}), (said, document)
    assert prepared(rig) == []


def test_a_password_for_sudo_is_asked_once_and_kept_nowhere(rig):
    """Two hosts want one, one wants none; without it, and with a wrong one, nothing is touched and it is said."""
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, text=True, capture_output=True, check=True
    )
    for host in (rig[1], rig[2]):
        host.sudo_password()
        shadow = host.tree / "etc/shadow"
        shadow.write_text(shadow.read_text().replace("ops:*:", f"ops:{made.stdout.strip()}:"))
    inventory = rig.inventory(user="ops", ansible_ssh_common_args=ways(rig))

    code, document, said = fleet(rig, "check", "-i", inventory)
    assert code == 5, said
    errors = {host["host"]: host["error"] and host["error"]["code"] for host in document["hosts"]}
    assert errors == {"gpu01": "not-root", "gpu02": "not-root", "gpu03": None}

    code, document, said = fleet(rig, "prepare", "-i", inventory, "--limit", "gpu01:gpu02", *NOW)
    assert (code, set(states(document).values())) == (1, {"failed"}), (said, document)
    assert all("--ask-become-pass" in host["resolution"] for host in document["hosts"]), document
    code, document, said = typed(rig, "wrong", "prepare", "-i", inventory, "--limit", "gpu01:gpu02", *NOW, "-K")
    assert (code, set(states(document).values())) == (1, {"failed"}), (said, document)
    assert all("--ask-become-pass" in host["resolution"] for host in document["hosts"]), document
    assert prepared(rig) == []

    code, document, said = typed(rig, PASSWORD, "prepare", "-i", inventory, *NOW, "--ask-become-pass")
    assert (code, set(states(document).values())) == (4, {"reboot-needed"}), (said, document)
    assert prepared(rig) == ["gpu01", "gpu02", "gpu03"]
    code, document, said = typed(rig, PASSWORD, "restore", "-i", inventory, *NOW, "-K")
    assert (code, set(states(document).values())) == (0, {"done"}), (said, document)
    assert prepared(rig) == []
    assert PASSWORD not in said
    assert holding(rig, "gpu01"), "it looks in the wrong places"
    assert holding(rig, PASSWORD) == []


def holding(rig, word):
    """The files of the operator, and those that a run could write on a host, with this word in them."""
    folders = [rig.home, *(host.tree / name for host in rig for name in ("home", "root", "tmp", "var/lib", "var/log"))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if word.encode() in _plain(path)]


def _plain(path):
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()

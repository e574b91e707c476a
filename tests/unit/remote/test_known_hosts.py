"""known_hosts as sshd(8) describes it."""

from __future__ import annotations

import base64
import os
import subprocess

import pytest

from gpuctl.remote import known_hosts
from gpuctl.remote.errors import BadSshConfig

A, B = (base64.b64encode(name * 32).decode() for name in (b"a", b"b"))


def written(tmp_path, text):
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("line", "name", "found"),
    [
        (f"gpu1 ssh-ed25519 {A}", "gpu1", True),
        (f"gpu1,10.0.0.1 ssh-ed25519 {A} comment", "10.0.0.1", True),
        (f"GPU1 ssh-ed25519 {A}", "gpu1", True),
        (f"gpu1 ssh-ed25519 {A}", "[gpu1]:2222", False),
        (f"[gpu1]:2222 ssh-ed25519 {A}", "[gpu1]:2222", True),
        (f"*.rack,!bad.rack ssh-ed25519 {A}", "good.rack", True),
        (f"*.rack,!bad.rack ssh-ed25519 {A}", "bad.rack", False),
        (f"[*.rack]:2222 ssh-ed25519 {A}", "[x.rack]:2222", True),
        (f"gpu? ssh-ed25519 {A}", "gpu12", False),
        (f"{known_hosts.hashed('gpu1')} ssh-ed25519 {A}", "gpu1", True),
        (f"{known_hosts.hashed('gpu1')} ssh-ed25519 {A}", "gpu2", False),
        ("# gpu1 ssh-ed25519 AAAA", "gpu1", False),
        ("gpu1 ssh-ed25519 !!!", "gpu1", False),
        ("gpu1 ssh-ed25519", "gpu1", False),
        ("|2|a|b ssh-ed25519 AAAA", "gpu1", False),
        (f"@strange gpu1 ssh-ed25519 {A}", "gpu1", False),
    ],
)
def test_a_line_means_what_ssh_means(tmp_path, line, name, found):
    assert bool(known_hosts.read((written(tmp_path, line + "\n"),)).of(name)) is found


def test_markers_are_kept(tmp_path):
    path = written(tmp_path, f"@revoked * ssh-ed25519 {A}\n@cert-authority *.x ssh-rsa {B}\n")
    assert [(entry.marker, entry.where) for entry in known_hosts.read((path,)).of("a.x")] == [
        ("@revoked", f"{path}:1"),
        ("@cert-authority", f"{path}:2"),
    ]


def test_a_changed_file_is_read_again(tmp_path):
    path = written(tmp_path, "")
    assert known_hosts.read((path,)).of("gpu1") == ()
    path.write_text(f"gpu1 ssh-ed25519 {A}\n")
    assert len(known_hosts.read((path,)).of("gpu1")) == 1


def test_a_file_that_is_not_there_says_nothing_and_a_folder_is_an_error(tmp_path):
    assert known_hosts.read((tmp_path / "none",)).of("gpu1") == ()
    with pytest.raises(BadSshConfig, match="cannot read"):
        known_hosts.read((tmp_path,))


def test_rewriting_keeps_the_rest_the_mode_and_a_link(tmp_path):
    real = written(tmp_path, f"# mine\ngpu1 ssh-ed25519 {A}\ngpu2 ssh-ed25519 {A}")
    real.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(real)
    known_hosts.rewrite(link, add=[f"gpu3 ssh-ed25519 {B}"], drop=[2])
    assert link.is_symlink()
    assert real.read_text() == f"# mine\ngpu2 ssh-ed25519 {A}\ngpu3 ssh-ed25519 {B}\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["known_hosts", "link"]


def test_a_new_file_is_the_users_alone(tmp_path):
    path = tmp_path / ".ssh/known_hosts"
    known_hosts.rewrite(path, add=["x"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.machine
def test_ssh_keygen_reads_what_we_hash_and_agrees_on_the_fingerprint(tmp_path):
    key = tmp_path / "key"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    except FileNotFoundError:
        pytest.skip("no ssh-keygen here")
    kind, public, _ = (tmp_path / "key.pub").read_text().split(maxsplit=2)
    path = written(tmp_path, f"{known_hosts.hashed('[gpu1]:2222')} {kind} {public}\n")
    found = subprocess.run(
        ["ssh-keygen", "-F", "[gpu1]:2222", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert public in found.stdout
    shown = subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True, check=True)
    assert known_hosts.fingerprint(base64.b64decode(public)) in shown.stdout


@pytest.mark.machine
def test_a_file_of_revoked_keys_is_text_or_an_error(tmp_path):
    path = written(tmp_path, f"# why\nssh-ed25519 {A} gpu1\n\n{B}\n")
    assert known_hosts.revoked(path) >= {A, B}
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", tmp_path / "krl", tmp_path / "key.pub"], check=True)
    for bad in (tmp_path / "krl", tmp_path / "none"):
        with pytest.raises(BadSshConfig, match=bad.name):
            known_hosts.revoked(bad)

"""The first boot's files: judged by cloud-init and systemd themselves, and the script run with the real archive."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gpuctl.zipapp import build_zipapp
from tests.sim import worlds
from tests.sim.host import SimHost

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "playbooks/first-boot"
SCRIPT = HERE / "gpuctl-first-boot.py"


def test_cloud_inits_own_schema_takes_the_user_data():
    if shutil.which("cloud-init") is None:
        pytest.skip("no cloud-init on this machine (Debian: cloud-init)")
    ran = subprocess.run(
        ["cloud-init", "schema", "-c", str(HERE / "user-data.yaml")], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Valid" in ran.stdout


def test_the_schema_check_bites(tmp_path):
    if shutil.which("cloud-init") is None:
        pytest.skip("no cloud-init on this machine (Debian: cloud-init)")
    broken = tmp_path / "user-data.yaml"
    broken.write_text((HERE / "user-data.yaml").read_text().replace("mode: reboot", "mode: somersault"))
    assert subprocess.run(["cloud-init", "schema", "-c", str(broken)], check=False, capture_output=True).returncode != 0


def test_the_user_data_carries_the_script_that_lies_beside_it_and_fits_every_cloud():
    text = (HERE / "user-data.yaml").read_text()
    script, per_boot = yaml.safe_load(text)["write_files"]
    assert script["content"] == SCRIPT.read_text()
    assert len(text.encode()) < 16384  # the smallest limit there is for user-data (EC2)
    subprocess.run(["sh", "-n"], input=per_boot["content"], text=True, check=True)


def test_kickstarts_post_is_shell():
    post = (HERE / "kickstart.cfg").read_text().partition("%post")[2].partition("\n")[2].rpartition("%end")[0]
    subprocess.run(["sh", "-n"], input=post, text=True, check=True)
    if shutil.which("ksvalidator") is not None:
        subprocess.run(["ksvalidator", str(HERE / "kickstart.cfg")], check=True)


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / "gpuctl-first-boot.service"
    unit.write_text((HERE / unit.name).read_text().replace("/usr/bin/python3", sys.executable))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True
    )
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if "gpuctl" in line]) == (0, [])


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return build_zipapp(tmp_path_factory.mktemp("archive") / "gpuctl-host.pyz")


def boot(archive, root, *more):
    words = [sys.executable, "-I", str(SCRIPT), str(archive), "--root", str(root), *more]
    return subprocess.run(words, check=False, capture_output=True, text=True, cwd="/")


def test_it_prepares_asks_for_one_reboot_and_never_for_a_second(archive, tmp_path):
    root = tmp_path / "root"
    SimHost(worlds.two_gtx1080(), root)
    first = boot(archive, root)
    assert first.returncode == 0, first.stdout + first.stderr
    assert (root / "run/gpuctl-first-boot.reboot").exists()
    assert (root / "etc/gpuctl/cards").exists()
    again = boot(archive, root)
    assert again.returncode == 1
    assert "rebooted once already" in again.stdout
    assert not (root / "var/lib/gpuctl-first-boot/done").exists()


def test_a_refusal_touches_nothing_and_says_what_to_do(archive, tmp_path):
    (tmp_path / "sys").mkdir()
    ran = boot(archive, tmp_path)
    assert ran.returncode == 3
    assert "; do: " in ran.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sys"]


def test_an_archive_that_answers_nothing_is_said(tmp_path):
    ran = boot(tmp_path / "missing.pyz", tmp_path)
    assert ran.returncode != 0
    assert "gave no answer" in ran.stdout

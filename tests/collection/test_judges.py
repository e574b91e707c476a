"""What Ansible's own judges say of the collection, as the tarball has it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

pytest.importorskip("ansible_runner")

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.timeout(900)]
# ansible-test makes environments without pip and downloads get-pip.py; this does the same from what Python ships.
GET_PIP = "import ensurepip\n\nensurepip.bootstrap()\n"


@pytest.fixture
def judged(installed, tmp_path):
    """The folder of a copy, and the environment that the judges want."""
    shutil.copytree(installed, tmp_path / "collections")
    return tmp_path / "collections/ansible_collections/gpuctl/host", tmp_path


def judge(ansible_bin, judged, *words, **env):
    folder, base = judged
    given = {**os.environ, "PATH": f"{ansible_bin}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "NO_COLOR": "1",
             "ANSIBLE_COLLECTIONS_PATH": str(base / "collections"), **env}  # fmt: skip
    return subprocess.run(
        words, cwd=folder, env=given, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_ansible_lint_production_profile(ansible_bin, judged, tmp_path):
    # the tarball has MANIFEST.json in galaxy.yml's place; lint wants the source's
    from gpuctl.fleet.ansible.collection import stage

    folder = stage(tmp_path / "source")
    ran = judge(ansible_bin, (folder, tmp_path), "ansible-lint", "--offline", "--profile", "production",
                ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "source"))  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Passed" in ran.stdout + ran.stderr


@pytest.mark.network
def test_ansible_test_sanity(ansible_bin, judged, tmp_path):
    """All of sanity that runs without a container, on the Python of the environment."""
    cache = tmp_path / "home/.ansible/test/cache"
    cache.mkdir(parents=True)
    for version in ("23_1_2", "24_2", "25_2", "26_0", "26_0_1"):
        (cache / f"get_pip_{version}.py").write_text(GET_PIP)
    python = subprocess.run(
        [str(ansible_bin / "python"), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    pip_config = os.environ.get("PIP_CONFIG_FILE") or os.path.expanduser("~/.config/pip/pip.conf")
    given = {"PIP_CONFIG_FILE": pip_config} if os.path.exists(pip_config) else {}
    ran = judge(
        ansible_bin,
        judged,
        "ansible-test",
        "sanity",
        "--python",
        python,
        "--color",
        "no",
        HOME=str(tmp_path / "home"),
        **given,
    )
    said = ran.stdout + ran.stderr
    if ran.returncode and ("No matching distribution" in said or "Could not find a version" in said):
        pytest.skip("the package registry here has not what ansible-test pins")
    assert ran.returncode == 0, said[-4000:]
    assert said.count("Running sanity test") > 15

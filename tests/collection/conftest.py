"""The collection as a user has it: built, installed from its tarball, run by a real ansible-playbook of its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / ".cache/ansible-venv/bin"
ANSIBLE = Path(os.environ.get("GPUCTL_ANSIBLE", OWN))  # another Ansible's bin folder, to try the collection with it
OLD = Path(os.environ.get("GPUCTL_PYTHON39", ROOT / ".cache/py39-venv/bin/python"))


@pytest.fixture(scope="session")
def ansible_bin() -> Path:
    """The environment of requirements/ansible.txt, made if need be; or what GPUCTL_ANSIBLE names."""
    if ANSIBLE == OWN:
        subprocess.run([sys.executable, str(ROOT / ".ci/bootstrap"), "ansible"], check=True, stdin=subprocess.DEVNULL)
    return ANSIBLE


@pytest.fixture(scope="session")
def tarball(ansible_bin, tmp_path_factory) -> Path:
    from gpuctl.fleet.ansible.collection import build

    return build(tmp_path_factory.mktemp("dist"), str(ansible_bin / "ansible-galaxy"))


@pytest.fixture(scope="session")
def installed(ansible_bin, tarball, tmp_path_factory) -> Path:
    """The folder for ANSIBLE_COLLECTIONS_PATH with the tarball's content."""
    place = tmp_path_factory.mktemp("collections")
    argv = [str(ansible_bin / "ansible-galaxy"), "collection", "install", "--offline", "-p", str(place), str(tarball)]
    subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return place


@dataclass(frozen=True)
class Answer:
    """What one host answered to one task: kind is ok, failed or unreachable."""

    kind: str
    host: str
    task: str
    action: str
    result: dict[str, Any]


@dataclass
class Played:
    """What ansible-playbook came to."""

    code: int
    said: str
    answers: list[Answer] = field(default_factory=list)

    def of(self, action: str) -> dict[str, dict[str, Any]]:
        """host -> what that module answered."""
        return {answer.host: answer.result for answer in self.answers if answer.action == action}

    def one(self, action: str) -> dict[str, Any]:
        """What it answered on the only host."""
        (result,) = self.of(action).values()
        return result


@pytest.fixture
def play(ansible_bin, installed, tmp_path):
    """Run a playbook of the collection on hosts: name -> variables."""

    def run(name: str, hosts: dict[str, dict[str, Any]], *words: str, groups: dict[str, Any] | None = None) -> Played:
        inventory, lines = tmp_path / "inventory.json", tmp_path / "lines"
        given = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "gpuctl_become": False}
        inventory.write_text(json.dumps({"all": {"vars": given, "hosts": hosts, "children": groups or {}}}))
        lines.unlink(missing_ok=True)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(installed),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "gpuctl_lines",
            "GPUCTL_TEST_LINES": str(lines),
            "ANSIBLE_PIPELINING": "1",
        }
        argv = [str(ansible_bin / "ansible-playbook"), "-i", str(inventory), f"gpuctl.host.{name}", *words]
        ran = subprocess.run(argv, check=False, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
        answers = [Answer(**json.loads(line)) for line in lines.read_text().splitlines()] if lines.exists() else []
        return Played(ran.returncode, ran.stdout + ran.stderr, answers)

    return run

"""What our reader makes of an inventory is what ansible-inventory makes of it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from gpuctl.fleet import inventory as rooms
from gpuctl.fleet.errors import BadInventory
from gpuctl.fleet.inventory import load
from tests.unit.fleet.test_inventory import INI, YAML
from tests.unit.fleet.test_inventory_quirks import READ, WRONG, written

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.timeout(120)]
ABOUT = {
    "group_vars/web.yml": "ansible_port: 7\nansible_user: file\n",
    "group_vars/all.yml": "ansible_become: true\n",
    "host_vars/gpu02.yml": "ansible_user: hostfile\n",
}
WHOLE = {"INI": ({"hosts": INI, **ABOUT}, "hosts"), "YAML": ({"hosts.yml": YAML, **ABOUT}, "hosts.yml")}


@pytest.fixture
def ansible(ansible_bin):
    """What Ansible reads of a source: host -> how it is reached; None where it refuses the whole of it."""

    def ask(source):
        argv = [ansible_bin / "ansible-inventory", "-i", source, "--list"]
        ran = subprocess.run(argv, capture_output=True, check=True, stdin=subprocess.DEVNULL)
        said = json.loads(ran.stdout)["_meta"]["hostvars"]
        refused = b"Unable to parse" in ran.stderr
        return None if refused else {host: rooms.present(rooms.kept(found)) for host, found in said.items()}

    return ask


@pytest.mark.parametrize("form", WHOLE)
def test_every_variable_of_every_host(tmp_path, ansible, form):
    files, source = WHOLE[form]
    path = written(tmp_path, files) / source
    assert {host: dict(found) for host, found in load([str(path)]).hosts.items()} == ansible(path)


@pytest.mark.parametrize("about", READ)
def test_ansible_reads_the_quirks_the_same(tmp_path, ansible, about):
    files, source, _ = READ[about]
    path = written(tmp_path, files) / source
    ours, theirs = load([str(path)]).hosts, ansible(path)
    assert {host for host in theirs or {} if theirs[host]} <= set(ours)
    for host, found in ours.items():
        assert dict(found) == (theirs or {}).get(host, {})


@pytest.mark.parametrize("about", WRONG)
def test_ansible_refuses_the_same(tmp_path, ansible, about):
    assert ansible(written(tmp_path, {"i": WRONG[about][0]}) / "i") is None


def test_a_script_that_fails_does_not_lose_its_hosts_in_silence(tmp_path, ansible_bin, monkeypatch):
    where = written(tmp_path, {"good": "[g]\na\n", "cloud": "#!/bin/sh\nexit 1\n"})
    (where / "cloud").chmod(0o755)
    monkeypatch.setenv("PATH", f"{ansible_bin}:{os.environ['PATH']}")
    with pytest.raises(BadInventory, match="ansible-inventory cannot read") as error:
        load([str(where / "good"), str(where / "cloud")])
    assert str(where / "cloud") in error.value.details

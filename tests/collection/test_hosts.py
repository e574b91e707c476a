"""Which hosts a run is about, asked of a real Ansible: what it only warns of is an error here."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible_runner")

from gpuctl.fleet.ansible import place, playbook
from gpuctl.fleet.ansible.playbook import Access, Ansible, AnsibleFailed

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.timeout(120)]


@pytest.fixture
def hosts(ansible_bin, monkeypatch, tmp_path):
    """What Ansible makes of files (name -> text) and a limit."""
    monkeypatch.setattr(playbook, "ansible_playbook", lambda: ansible_bin / "ansible-playbook")
    monkeypatch.chdir(tmp_path)

    def listed(limit, **files):
        (tmp_path / "inventory").mkdir()
        for name, text in files.items():
            (tmp_path / "inventory" / name).write_text(text)
        with place.private_folder() as folder:
            return Ansible(folder, Access((str(tmp_path / "inventory"),), limit)).hosts()

    return listed


GOOD = "[gpu]\ngpu[1:3]\n[old]\ngpu3\n[none]\n"


@pytest.mark.parametrize(
    ("limit", "meant"),
    [("", "gpu1 gpu2 gpu3"), ("gpu:!old", "gpu1 gpu2"), ("gpu[0:1]", "gpu1 gpu2"), ("gpu:!none", "gpu1 gpu2 gpu3")],
)
def test_a_limit_means_what_it_means_to_ansible(hosts, limit, meant):
    assert " ".join(hosts(limit, a=GOOD)) == meant


@pytest.mark.parametrize("limit", ["gpu:!odl", "gpu:&odl", "gpu1,odl", "odl"])
def test_a_mistyped_limit_changes_no_host(hosts, limit):
    with pytest.raises(AnsibleFailed, match="no host or group 'odl'"):
        hosts(limit, a=GOOD)


def test_a_file_that_cannot_be_read_does_not_lose_its_hosts_in_silence(hosts):
    with pytest.raises(AnsibleFailed, match="cannot read the inventory") as error:
        hosts("", a=GOOD, b="[rack2:children]\ngpuu\n")
    assert "undefined group 'gpuu'" in error.value.details

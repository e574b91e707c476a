"""Inventories as Ansible really reads them: what it reads otherwise than one would think is read so here too.

tests/collection/test_inventories.py asks Ansible.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuctl.fleet.errors import BadInventory
from gpuctl.fleet.inventory import load
from gpuctl.remote.endpoint import Settings

# what it is about -> (the files, the source, host -> ansible_user)
READ = {
    "the folder of group_vars wins over the file": (
        {"i": "[g]\na\n", "group_vars/g/1.yml": "ansible_user: one\n", "group_vars/g.yml": "ansible_user: file\n"},
        "i", {"a": "one"},
    ),
    "of group_vars the first suffix wins": (
        {"i": "[g]\na\n", "group_vars/g.json": '{"ansible_user": "json"}', "group_vars/g.yml": "ansible_user: yml\n"},
        "i", {"a": "yml"},
    ),
    "of host_vars a file without one wins": (
        {"i": "a\n", "host_vars/a": "ansible_user: none\n", "host_vars/a.yaml": "ansible_user: yaml\n"},
        "i", {"a": "none"},
    ),
    "in the folder of group_vars hidden files and backups are left out": (
        {"i": "a\n", "group_vars/all/x": "ansible_user: x\n", "group_vars/all/y~": "ansible_user: y\n",
         "group_vars/all/.z.yml": "ansible_user: z\n", "group_vars/all/w.ini": "nonsense\n",
         "group_vars/all/s/t.yml": "ansible_port: 7\n", "group_vars/all/d.d/u.yml": "ansible_user: u\n"},
        "i", {"a": "x"},
    ),
    "group_vars of a folder inside the inventory are not read": (
        {"d/i": "a ansible_user=a\n", "d/sub/j": "b\n", "d/sub/group_vars/all.yml": "ansible_user: sub\n"},
        "d", {"a": "a", "b": None},
    ),
    "vars_plugins are no inventory": ({"d/i": "a\n", "d/vars_plugins/x.py": "import os\n"}, "d", {"a": None}),
    "YAML without a suffix may have lists": (
        {"i": "---\nall:\n  hosts:\n    a:\n      ansible_user: u\n      x:\n       [1,\n       2]\n"}, "i", {"a": "u"},
    ),
    "a group of an earlier source is known": (
        {"d/1": "[g]\na\n", "d/2": "[top:children]\ng\n[top:vars]\nansible_user=t\n"}, "d", {"a": "t"},
    ),
    "a group may be told of before it is there": (
        {"i": "[top:children]\ng # below\n[g:vars]\nansible_user=g\n[ungrouped:vars]\nx=1\n[g]\na\n"}, "i", {"a": "g"},
    ),
}  # fmt: skip
WRONG = {
    "a child that is nowhere": ("[gpu]\na\n[farm:children]\ngpu\ngpuu # a slip\n", "i:5: there is no group gpuu"),
    "variables of a group that is nowhere": ("[gpu]\na\n[gpuu:vars]\nx=1\n", "i:3: there is no group gpuu"),
}


def written(folder, given):
    """The folder, with these files in it (name -> text)."""
    for name, text in given.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def write(tmp_path):
    return lambda given: written(tmp_path, given)


@pytest.mark.parametrize("about", READ)
def test_it_is_read_so_here(write, about):
    files, source, users = READ[about]
    found = load([str(write(files) / source)]).hosts
    assert {host: variables.get("ansible_user") for host, variables in found.items()} == users


@pytest.mark.parametrize("about", WRONG)
def test_a_group_that_is_nowhere_is_a_mistake(write, about):
    text, says = WRONG[about]
    with pytest.raises(BadInventory) as error:
        load([str(write({"i": text}) / "i")])
    assert says in error.value.brief


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ("ansible_ssh_common_args='-o ProxyJump=one' ansible_ssh_extra_args='-o ProxyJump=two'", {"jump": "one"}),
        ("ansible_ssh_common_args='-o ProxyCommand=nc -o ProxyJump=two'", {"command": "nc", "jump": None}),
        ("ansible_ssh_common_args='-o Port=1 -p 2 -o User=q -l w'", {"port": 1, "user": "q"}),
        ("ansible_ssh_args='-o ProxyJump=own' ansible_ssh_common_args='-J two'", {"jump": "own"}),
        ("ansible_ssh_common_args='-o ConnectTimeout=1m'", {"connect_timeout": 60}),
        ("ansible_ssh_common_args='-i /a -i /b'", {"keys": (Path("/a"), Path("/b"))}),
    ],
)
def test_of_what_is_said_twice_ssh_takes_the_first(write, variables, says):
    path = write({"i": f"x {variables}\n"}) / "i"
    found = load([str(path)]).settings("x", Settings(config=None))
    assert {name: getattr(found, name) for name in says} == says


def test_a_name_that_no_file_can_hold_is_refused(write):
    with pytest.raises(BadInventory, match="no host's name"):
        load(["gpu\udcff,"])

"""Inventories, and the variables that say how a host is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuctl.fleet.errors import BadInventory
from gpuctl.fleet.inventory import load
from gpuctl.remote.endpoint import Settings

INI = """
lonely ansible_host=10.0.0.9 # a comment
[gpu]
gpu[01:03] ansible_user=root
gpu04:2222
[web]
web1 ansible_ssh_port=2201 http_password=s3cret   # another
"web2"
[farm:children]
gpu
web
[farm:vars]
ansible_user=admin
ansible_ssh_common_args='-o ProxyJump=hop -o StrictHostKeyChecking=no'
[gpu:vars]
ansible_user=gpuadmin
"""
YAML = """
all:
  hosts:
    lonely: {ansible_host: 10.0.0.9}
  children:
    farm:
      vars:
        ansible_user: admin
        ansible_ssh_common_args: "-o ProxyJump=hop -o StrictHostKeyChecking=no"
      children:
        gpu:
          vars: {ansible_user: gpuadmin}
          hosts:
            gpu[01:03]: {ansible_user: root}
            gpu04: {ansible_port: 2222}
        web:
          hosts:
            web1: {ansible_port: 2201, http_password: s3cret}
            web2:
"""


@pytest.fixture
def write(tmp_path):
    def file(text, name="hosts"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return file


@pytest.fixture
def without_ansible(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


@pytest.mark.parametrize(("text", "name"), [(INI, "hosts"), (INI, "hosts.ini"), (YAML, "hosts.yml"), (YAML, "hosts")])
def test_ini_and_yaml_say_the_same(write, text, name):
    found = load([write(text, name)])
    assert sorted(found.hosts) == ["gpu01", "gpu02", "gpu03", "gpu04", "lonely", "web1", "web2"]
    assert found.groups["farm"] == ("gpu01", "gpu02", "gpu03", "gpu04", "web1", "web2")
    users = {name: found.hosts[name].get("ansible_user") for name in ("lonely", "gpu01", "gpu04", "web1")}
    assert users == {"lonely": None, "gpu01": "root", "gpu04": "gpuadmin", "web1": "admin"}
    assert found.hosts["gpu04"]["ansible_port"] == 2222
    assert found.hosts["web1"]["ansible_port"] == 2201
    assert found.groups_of("gpu01") == ("farm", "gpu")


def test_what_is_no_business_of_ours_is_not_kept(write):
    assert "s3cret" not in repr(load([write(INI)]))


def test_a_list_needs_a_comma(write):
    assert list(load(["gpu1,gpu2:2222, gpu[3:4]"]).hosts) == ["gpu1", "gpu2", "gpu3", "gpu4"]
    with pytest.raises(BadInventory, match="no inventory gpu1") as error:
        load(["gpu1"])
    assert "-i gpu1," in error.value.resolution


def test_inventories_are_added_to_one_another(write):
    assert list(load([write("[a]\nx\n", "one"), write("[a]\ny\n", "two")]).groups["a"]) == ["x", "y"]


def test_a_folder_is_all_its_files(write, tmp_path):
    for name, text in {"inv/01": "[a]\nx\n", "inv/02.yml": "a: {hosts: {y: }}", "inv/old.bak": "z\n"}.items():
        write(text, name)
    assert list(load([str(tmp_path / "inv")]).hosts) == ["x", "y"]


def test_group_vars_and_host_vars_lie_beside(write):
    path = write("[a]\nx\ny ansible_user=inline\n[b]\nx\n")
    write("ansible_user: all\nansible_port: 1\n", "group_vars/all.yml")
    write("ansible_user: of-a\n", "group_vars/a/ssh.yml")
    write("ansible_port: 3\n", "host_vars/x.yaml")
    found = load([path])
    assert dict(found.hosts["x"]) == {"ansible_user": "of-a", "ansible_port": 3}
    assert dict(found.hosts["y"]) == {"ansible_user": "inline", "ansible_port": 1}


def test_group_priority_decides_among_equals(write):
    assert (
        load([write("[a]\nx\n[z]\nx\n[a:vars]\nansible_user=a\n[z:vars]\nansible_user=z\n")]).hosts["x"]["ansible_user"]
        == "z"
    )
    text = "[a]\nx\n[z]\nx\n[a:vars]\nansible_user=a\nansible_group_priority=5\n[z:vars]\nansible_user=z\n"
    assert load([write(text)]).hosts["x"]["ansible_user"] == "a"


def test_a_vaulted_file_is_left_out_and_noted(write):
    path = write("x\n")
    write("$ANSIBLE_VAULT;1.1;AES256\n6162\n", "group_vars/all/vault.yml")
    assert "vaulted" in load([path]).notes[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("all: {hosts: {x: {ansible_user: !vault 'abc'}}}", "ansible_user is vaulted"),
        ("all: {hosts: {x: {ansible_host: '{{ ip }}'}}}", "ansible_host is a template"),
        ("plugin: openstack.cloud.openstack", "for the plugin"),
    ],
)
@pytest.mark.usefixtures("without_ansible")
def test_what_only_ansible_can_read_is_said_to_be(write, text, why):
    with pytest.raises(BadInventory, match="only Ansible") as error:
        load([write(text, "hosts.yml")])
    assert why in error.value.brief


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("[a:nonsense]\nx\n", "hosts", "hosts:1: there is no section"),
        ("[a]\nx password\n", "hosts", "hosts:2: name=value is wanted"),
        ("[a]\nx[3:1]\n", "hosts", "hosts:2: the range"),
        ("[a:children]\nb\n[b:children]\na\n", "hosts", "its own child"),
        ("all: [x]", "hosts.yml", "no mapping"),
        ("all: {host: {x: }}", "hosts.yml", "'host' in the group all"),
        ("a: [", "hosts.yml", "no YAML"),
        ("", "hosts", "no hosts"),
    ],
)
def test_a_mistake_is_found_where_it_is(write, text, name, says):
    with pytest.raises(BadInventory) as error:
        load([write(text, name)]).select(None)
    assert says in error.value.brief


def test_an_error_shows_no_password(write):
    with pytest.raises(BadInventory) as error:
        load([write("x ansible_password=s3cret nonsense\n")])
    assert "s3cret" not in f"{error.value.brief} {error.value.details}"


PLAIN = Settings(config=None)


def settings(write, variables, base=PLAIN):
    pairs = " ".join(f"{name}='{value}'" for name, value in variables.items())
    return load([write(f"x {pairs}\n")]).settings("x", base)


def test_ssh_arguments_mean_what_they_mean_to_ssh(write):
    found = settings(
        write,
        {
            "ansible_ssh_common_args": '-o ProxyCommand="ssh -W %h:%p hop" -oPort=2222 -i /k -o StrictHostKeyChecking=no '
            "-o UserKnownHostsFile=/dev/null -C -o ControlMaster=auto",
            "ansible_private_key_file": "/k0",
        },
    )
    assert found.command == "ssh -W %h:%p hop"
    assert (found.port, found.keys, found.known_hosts) == (2222, (Path("/k0"), Path("/k")), ())
    assert settings(write, {"ansible_ssh_common_args": "-J hop"}).jump == "hop"


def test_the_command_lines_user_is_for_hosts_without_one(write):
    assert settings(write, {}, Settings(config=None, user="me")).user == "me"
    assert settings(write, {"ansible_user": "you"}, Settings(config=None, user="me")).user == "you"


@pytest.mark.parametrize(
    ("variables", "become"),
    [({}, None), ({"ansible_become": "false"}, ""), ({"ansible_become": "true"}, "sudo -n"),
     ({"ansible_become": "yes", "ansible_become_method": "community.general.doas"}, "doas -n")],
)  # fmt: skip
def test_becoming_root(write, variables, become):
    assert settings(write, variables).become == become


@pytest.mark.parametrize(
    "variables",
    [{"ansible_connection": "local"}, {"ansible_become": "yes", "ansible_become_user": "nova"},
     {"ansible_become": "yes", "ansible_become_method": "su"}, {"ansible_port": "ssh"}],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(write, variables):
    with pytest.raises(BadInventory, match=r"^x: "):
        settings(write, variables)

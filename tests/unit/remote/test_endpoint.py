"""Who is reached how: ~/.ssh/config, the inventory, the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpuctl.remote.endpoint import Settings, endpoint
from gpuctl.remote.errors import BadSshConfig


@pytest.fixture
def config(tmp_path):
    def write(text, name="config"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_without_any_configuration():
    found = endpoint("gpu1", Settings(config=None, user="root"))
    assert (found.address, found.port, found.user, found.become, found.known_as) == ("gpu1", 22, "root", "", "gpu1")
    assert found.known_hosts[0] == Path("~/.ssh/known_hosts").expanduser()


def test_the_configuration_is_honoured(config):
    path = config(
        "Host gpu*\n  HostName %h.rack.example\n  User admin\n  Port 2222\n  IdentityFile ~/keys/gpu\n  IdentitiesOnly yes\n"
        "  ConnectTimeout 3\n  UserKnownHostsFile ~/a ~/b\n  GlobalKnownHostsFile none\n"
    )
    found = endpoint("gpu1", Settings(config=path))
    assert (found.name, found.address, found.user, found.port) == ("gpu1", "gpu1.rack.example", "admin", 2222)
    assert found.known_as == "[gpu1.rack.example]:2222"
    assert found.keys == (Path("~/keys/gpu").expanduser(),)
    assert found.only_keys
    assert found.connect_timeout == 3
    assert found.known_hosts == (Path("~/a").expanduser(), Path("~/b").expanduser())
    assert found.become == "sudo -n"


def test_what_is_said_elsewhere_wins_and_its_keys_come_first(config):
    path = config("Host *\n  User admin\n  Port 2222\n  IdentityFile /k1\n")
    found = endpoint("gpu1", Settings(config=path, address="10.0.0.1", port=22, user="root", keys=(Path("/k0"),)))
    assert (found.address, found.port, found.user, found.known_as) == ("10.0.0.1", 22, "root", "10.0.0.1")
    assert found.keys == (Path("/k0"), Path("/k1"))


def test_root_never_becomes_anybody():
    assert endpoint("gpu1", Settings(config=None, user="root", become="sudo -n")).become == ""


def test_the_configuration_is_asked_for_the_address(config):
    path = config("Host 10.0.0.1\n  User one\nHost gpu1\n  User two\n")
    assert endpoint("gpu1", Settings(config=path, address="10.0.0.1")).user == "one"


def test_a_host_key_alias_is_the_name_it_is_filed_under(config):
    path = config("Host gpu1\n  HostKeyAlias Farm\n  Port 2222\n")
    assert endpoint("gpu1", Settings(config=path)).known_as == "farm"


def test_jump_hosts_have_their_own_configuration_and_never_become_root(config):
    path = config(
        "Host gpu1\n  ProxyJump a,me@b:2200\nHost b\n  HostName 10.0.0.2\n  User nobody\nHost a\n  User ann\n"
    )
    found = endpoint("gpu1", Settings(config=path, user="root"))
    assert (found.via.address, found.via.user, found.via.port, found.via.become) == ("10.0.0.2", "me", 2200, "")
    assert (found.via.via.name, found.via.via.user) == ("a", "ann")
    assert found.via.via.via is None
    assert not found.command


def test_jump_hosts_in_a_circle_are_an_error(config):
    path = config("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(BadSshConfig, match="circle"):
        endpoint("a", Settings(config=path))


@pytest.mark.parametrize("none", [{"jump": ""}, {"command": "none"}])
def test_the_inventory_can_take_a_jump_away(config, none):
    path = config("Host *\n  ProxyJump a\n")
    found = endpoint("gpu1", Settings(config=path, **none))
    assert found.via is None
    assert found.command == ""


def test_a_proxy_command_gets_the_port_that_really_holds(config):
    path = config("Host *\n  User admin\n  ProxyCommand ssh -W [%h]:%p %r@hop '%%x'\n")
    found = endpoint("gpu1", Settings(config=path, port=2222, user="root"))
    assert found.command == "ssh -W [gpu1]:2222 root@hop '%x'"


def test_includes_are_followed_and_the_block_goes_on(config, tmp_path):
    config("Host gpu1\n  User one\n", "more")
    path = config(f"Include {tmp_path}/mo*\nHost gpu2\n  Include {tmp_path}/none\n  User two\nHost *\n  User rest\n")
    users = [endpoint(name, Settings(config=path)).user for name in ("gpu1", "gpu2", "gpu3")]
    assert users == ["one", "two", "rest"]


def test_a_file_that_includes_itself_is_an_error(config, tmp_path):
    path = config(f"Include {tmp_path}/config\n")
    with pytest.raises(BadSshConfig, match="includes itself"):
        endpoint("gpu1", Settings(config=path))


def test_a_configuration_that_cannot_be_read_is_an_error(config):
    path = config("Host *\n  gibberish\n")
    with pytest.raises(BadSshConfig, match="cannot be"):
        endpoint("gpu1", Settings(config=path))


@pytest.mark.parametrize("bad", ["x;id", "$(id)", "`id`", "a b", "a|b", "-oProxyCommand=id", "a\nb", "a\x1b[2J", "a>b"])
def test_no_name_becomes_part_of_a_shells_command(bad):
    """An inventory that others write (a cloud's, with tenants' names) must not run anything at the operator's."""
    command = "ssh -W %h:%p jump"
    for settings in (
        Settings(config=None, address=bad, command=command),
        Settings(config=None, user=bad, command=command),
    ):
        with pytest.raises(BadSshConfig, match="no name"):
            endpoint("gpu1", settings)
    with pytest.raises(BadSshConfig, match="no name"):
        endpoint(bad, Settings(config=None))


def test_addresses_and_domains_are_names():
    for good in ("gpu1.rack-2.example", "10.0.0.1", "fd00::1", "fe80::1%eth0", "gpu_1"):
        assert endpoint(good, Settings(config=None)).address == good
    assert endpoint("gpu1", Settings(config=None, user="DOM\\ops")).user == "DOM\\ops"


def as_ssh(path, host):
    """Return what OpenSSH makes of it."""
    ran = subprocess.run(
        ["ssh", "-G", "-F", str(path), host], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert ran.returncode == 0, ran.stderr
    return dict(line.split(" ", 1) for line in ran.stdout.splitlines() if " " in line)


@pytest.mark.machine
@pytest.mark.parametrize(
    "text",
    [
        "Host a # not b\n  Port 77 # for now\n  User bob  # him\n",
        "Host b#\n  Port 1\nHost a\n  User x#y\n",
        "Match Host a User *\n  Port 77\nMatch Host b\n  User nobody\n",
        "Match OriginalHost b\n  Port 1\nMatch !Host b\n  User x\nMatch All\n  HostName z\n",
        'Host "a"\n  HostName "z.example"\n  Port = 3\n  User=x\n',
    ],
)
def test_lines_mean_what_they_mean_to_ssh(config, text):
    path = config(text)
    found, ssh = endpoint("a", Settings(config=path)), as_ssh(path, "a")
    assert (found.address, str(found.port), found.user) == (ssh["hostname"], ssh["port"], ssh["user"])


@pytest.mark.machine
@pytest.mark.parametrize("host", ["a", "b"])
def test_what_is_included_holds_in_its_own_block_alone(config, tmp_path, host):
    config(f"User one\nInclude {tmp_path}/two\nPort 2222\nHost a\n  HostName never\nMatch host b\n  Port 9\n", "one")
    config("HostName two\n", "two")
    path = config(f"Host b\n  Include {tmp_path}/one\nHost *\n  User rest\n")
    found, ssh = endpoint(host, Settings(config=path)), as_ssh(path, host)
    assert (found.address, str(found.port), found.user) == (ssh["hostname"], ssh["port"], ssh["user"])


@pytest.mark.parametrize("word", ["tagged x", "localnetwork 10.0.0.0/8", "Command x", "host"])
def test_a_match_that_cannot_be_judged_is_an_error_and_not_met(config, word):
    with pytest.raises(BadSshConfig, match="cannot be judged"):
        endpoint("a", Settings(config=config(f"Host a\n  User x\nMatch {word}\n  HostName elsewhere\n")))


@pytest.mark.machine
@pytest.mark.parametrize(
    ("text", "via", "command"),
    [
        ("Host a\n  ProxyCommand nc x %p\nHost *\n  ProxyJump j\n", None, "nc x 22"),
        ("Host a\n  ProxyCommand none\nHost *\n  ProxyJump j\n", None, ""),
        ("Host a\n  ProxyJump j\nHost a\n  ProxyCommand nc x %p\n", "j", ""),
        ("Host a\n  ProxyJump none\nHost *\n  ProxyCommand nc x %p\n", None, "nc x 22"),
    ],
)
def test_of_jump_and_command_the_first_holds_as_with_ssh(config, text, via, command):
    path = config(text)
    found, ssh = endpoint("a", Settings(config=path)), as_ssh(path, "a")
    assert (found.via and found.via.name, found.command) == (via, command)
    assert (ssh.get("proxyjump"), ssh.get("proxycommand", "").replace("%p", "22")) == (via, command)


@pytest.mark.machine
def test_files_of_host_keys_are_named_as_ssh_names_them(config, monkeypatch):
    monkeypatch.setenv("GPUCTL_PLACE", "/place")
    path = config(
        "Host a\n  HostName z\n  HostKeyAlias Farm\n"
        '  UserKnownHostsFile ~/kh/%h-%n-%k %d/x "/tmp/a b" ${GPUCTL_PLACE}/y /100%%\n  GlobalKnownHostsFile none\n'
    )
    found = [str(file) for file in endpoint("a", Settings(config=path)).known_hosts]
    assert found == [
        str(Path("~/kh/z-a-Farm").expanduser()),
        str(Path("~/x").expanduser()),
        "/tmp/a b",
        "/place/y",
        "/100%",
    ]
    assert as_ssh(path, "a")["userknownhostsfile"].replace("-farm", "-Farm") == " ".join(found)


@pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("5s", 5), ("1m30s", 90), ("none", 10), ("0", 10)])
def test_a_timeout_is_said_as_to_ssh(config, text, seconds):
    assert endpoint("a", Settings(config=config(f"ConnectTimeout {text}\n"))).connect_timeout == seconds


@pytest.mark.parametrize("line", ["Port abc", "Port 0x16", "Port 70000", "ConnectTimeout soon"])
def test_a_number_that_is_none_is_the_configurations_error(config, line):
    with pytest.raises(BadSshConfig, match="a: "):
        endpoint("a", Settings(config=config(f"{line}\n")))

"""From Ansible's variables to the way to a host: the same ssh options mean the same."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuctl.fleet.errors import BadInventory
from gpuctl.remote.ssh_config import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuctl.remote.endpoint import Settings

_CONNECTIONS = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.netcommon.libssh")
_FLAGS = "46AaCfGgKkMNnqsTtVvXxYy"  # ssh's letters that take no value: none of them says where a host is
_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")  # in the order of ssh's words
_SAME = {"proxyjump": "proxycommand"}  # whichever is first
_TRUE = ("true", "yes", "on", "1", "y", "t")


def settings_of(host: str, variables: Mapping[str, Any], base: Settings) -> Settings:
    """Return ``base`` with what the inventory says of this host.

    What the command line says (``base``) is for hosts of which the inventory says nothing.

    Raises:
        BadInventory: a connection that is no SSH, or a variable that makes no sense.
    """
    connection = str(variables.get("ansible_connection") or "ssh")
    if connection not in _CONNECTIONS:
        raise BadInventory(
            f"{host}: ansible_connection is {connection}; gpuctl reaches hosts over SSH alone",
            resolution="leave it out with --limit, or run gpuctl host check on it",
        )
    said = base
    arguments = " ".join(str(variables.get(name) or "") for name in _ARGUMENTS)
    heard = set[str]()
    try:
        for name, value in _options(shlex.split(arguments)):
            kind = _SAME.get(name, name)
            if kind not in heard or kind == "identityfile":  # of an option said twice ssh takes the first
                said = _apply(said, name, value)
            heard.add(kind)
        if variables.get("ansible_port"):
            said = replace(said, port=int(variables["ansible_port"]))
    except ValueError as error:
        raise BadInventory(f"{host}: {arguments or 'ansible_port'} makes no sense", details=str(error)) from error
    if variables.get("ansible_private_key_file"):
        said = replace(said, keys=(Path(str(variables["ansible_private_key_file"])).expanduser(), *said.keys))
    return replace(
        said,
        address=str(variables["ansible_host"]) if variables.get("ansible_host") else said.address,
        user=str(variables["ansible_user"]) if variables.get("ansible_user") else said.user,
        become=_become(host, variables) if said.become is None else said.become,
    )


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """The options of an ssh command line, by their configuration names in lower case; "" and the value for letters."""
    letters = {"J": "proxyjump", "i": "identityfile", "p": "port", "l": "user", "F": "config"}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or len(word) < 2:
            continue
        letter, value = word[1], word[2:]
        if letter in _FLAGS:
            continue
        if not value:
            value = queue.pop(0) if queue else ""
        if letter == "o":
            name, _, value = value.replace("=", " ", 1).strip().partition(" ")
            yield name.lower(), value.strip()
        elif letter in letters:
            yield letters[letter], value


def _apply(said: Settings, name: str, value: str) -> Settings:
    """Return the settings with one ssh option; what says nothing of where and who is left out.

    StrictHostKeyChecking is among those: a host's key has to be known here, whatever the inventory says.
    """
    if name == "proxyjump":
        return replace(said, jump=value, command=None)
    if name == "proxycommand":
        return replace(said, command=value, jump=None)
    if name == "identityfile":
        return replace(said, keys=(*said.keys, Path(value).expanduser()))
    if name == "port":
        return replace(said, port=int(value))
    if name == "user":
        return replace(said, user=value)
    if name == "connecttimeout":
        return replace(said, connect_timeout=None if value.lower() == "none" else seconds(value) or None)
    if name == "userknownhostsfile" and value != "/dev/null":
        return replace(said, known_hosts=tuple(Path(part).expanduser() for part in value.split()))
    if name == "config":
        return replace(said, config=None if value == "none" else Path(value).expanduser())
    return said


def _become(host: str, variables: Mapping[str, Any]) -> str | None:
    """Return what makes root of the user; None where the inventory does not say."""
    wanted = variables.get("ansible_become")
    if wanted is None and not variables.get("ansible_become_method"):
        return None
    if wanted is not None and str(wanted).lower() not in _TRUE:
        return ""
    user, method = (str(variables.get(f"ansible_become_{key}") or "") for key in ("user", "method"))
    method = method.rpartition(".")[2] or "sudo"
    if method not in ("sudo", "doas") or user not in ("", "root"):
        raise BadInventory(
            f"{host}: cannot become {user or 'root'} by {method}", resolution="sudo or doas, to root, or log in as root"
        )
    return f"{method} -n"

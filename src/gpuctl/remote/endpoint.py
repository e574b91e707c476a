"""Where a host is and how it is entered: what the command line, the inventory and ~/.ssh/config say, in that order."""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuctl.remote import ssh_config
from gpuctl.remote.errors import BadSshConfig
from gpuctl.remote.loader import BECOME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PORT = 22
CONNECT = 10.0  # seconds
KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("~/.ssh/known_hosts2"))
GLOBAL_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
DEFAULT_KEYS = tuple(Path(f"~/.ssh/id_{kind}") for kind in ("ed25519", "ecdsa", "rsa"))
# ssh.c, valid_hostname and valid_ruser
_STRANGE = re.compile(r"^-|[\s\x00-\x1f\x7f-\x9f'\"`$;&<>|(){}\\]")
_JUMPS = 8  # a chain longer than that goes in a circle
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:\s]+)(?::(?P<port>\d+))?/?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is said elsewhere than in ~/.ssh/config, which it overrides; None is not said.

    Attributes:
        config: the ssh configuration to read; None for none at all.
        address: what to connect to, where it is not the host's name.
        port: TCP port.
        user: who logs in.
        keys: private key files, offered before any other.
        jump: ssh's ProxyJump; "" for none, whatever the configuration says.
        command: ssh's ProxyCommand, with its %h, %p and %r; "" for none.
        become: one of loader.BECOME; by default sudo, unless the user is root.
        known_hosts: the files that are believed, instead of the configured ones.
        connect_timeout: seconds for the connection, the key exchange and the login together.
    """

    config: Path | None = ssh_config.DEFAULT
    address: str | None = None
    port: int | None = None
    user: str | None = None
    keys: tuple[Path, ...] = ()
    jump: str | None = None
    command: str | None = None
    become: str | None = None
    known_hosts: tuple[Path, ...] = ()
    connect_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host, ready to be connected to; two that are equal are the same way to the same host.

    Attributes:
        name: what the operator calls it, and every message too.
        address: name or IP address to connect to.
        port: TCP port.
        user: who logs in.
        keys: private key files, in the order in which they are offered.
        only_keys: whether the agent may offer only what is in ``keys`` (IdentitiesOnly).
        via: the jump host that the connection goes through.
        command: a command whose standard input and output are the connection (ProxyCommand), tokens expanded.
        become: what makes root of the user: one of loader.BECOME.
        known_as: the name that its key is filed under (HostKeyAlias, [host]:port).
        known_hosts: the files that are believed.
        revoked: the file whose keys are believed of no host (RevokedHostKeys), or None.
        connect_timeout: seconds until it counts as not answering.
    """

    name: str
    address: str
    port: int = PORT
    user: str = "root"
    keys: tuple[Path, ...] = ()
    only_keys: bool = False
    via: Endpoint | None = None
    command: str = ""
    become: str = ""
    known_as: str = ""
    known_hosts: tuple[Path, ...] = ()
    revoked: Path | None = None
    connect_timeout: float = CONNECT

    @property
    def where(self) -> str:
        """The host in a message: its name, and the address that was tried."""
        if self.command:
            return f"{self.name} (through its ProxyCommand)"
        return (
            f"{self.name} (port {self.port})"
            if self.address == self.name
            else f"{self.name} ({self.address} port {self.port})"
        )


def endpoint(name: str, settings: Settings = Settings()) -> Endpoint:
    """Return how to reach ``name``; nothing is connected or resolved.

    Args:
        name: a host's name, or its name in the inventory.
        settings: what the inventory and the command line say.

    Raises:
        BadSshConfig: ~/.ssh/config cannot be applied, or the jump hosts go in a circle.
    """
    return _endpoint(name, settings, 0)


def _endpoint(name: str, settings: Settings, depth: int) -> Endpoint:
    if depth > _JUMPS:
        raise BadSshConfig(f"the jump hosts of {name} go in a circle", resolution="see ProxyJump in `ssh -G HOST`")
    said = ssh_config.lookup(_proper(name, settings.address or name), settings.config)
    user = settings.user or _text(said, "user") or getpass.getuser()
    port = settings.port or _number(name, said, "port", int) or PORT
    if not 0 < port < 65536:
        raise BadSshConfig(f"{name}: {port} is no port", resolution="see ansible_port, `ssh -G HOST`")
    address = _text(said, "hostname") or settings.address or name
    command, via = _way(name, said, settings, depth)
    for word in (name, address, *([user] if command else ())):
        _proper(name, word)
    alias = _text(said, "hostkeyalias")
    tokens = {"h": address, "p": str(port), "r": user, "n": name, "%": "%"}
    files = {**tokens, "k": alias or name, "d": str(Path.home())}
    command = re.sub(r"%([hprn%])", lambda found: tokens[found[1]], command)
    become = "sudo -n" if settings.become is None else settings.become
    if become not in BECOME:
        raise BadSshConfig(f"{name}: cannot become root by {become!r}", resolution=f"one of {', '.join(BECOME[1:])}")
    configured = tuple(Path(os.path.expandvars(str(file))) for file in _list(said, "identityfile"))
    revoked = _files(said, "revokedhostkeys", files)
    patience = _number(name, said, "connecttimeout", ssh_config.seconds)
    plain = alias or (address if port == PORT else f"[{address}]:{port}")
    return Endpoint(
        name=name,
        address=address,
        port=port,
        user=user,
        keys=tuple(path.expanduser() for path in (*settings.keys, *(configured or DEFAULT_KEYS))),
        only_keys=_text(said, "identitiesonly").lower() == "yes",
        via=via,
        command=command,
        become="" if user == "root" else become,
        known_as=plain.lower(),
        known_hosts=tuple(path.expanduser() for path in settings.known_hosts or _known_hosts(said, files)),
        revoked=revoked[0] if revoked else None,
        connect_timeout=settings.connect_timeout or patience or CONNECT,
    )


def _proper(name: str, word: str) -> str:
    """Return a host's or user's name that is one: a shell reads it in a ProxyCommand (CVE-2023-51385).

    Raises:
        BadSshConfig: it is none.
    """
    if not word or _STRANGE.search(word):
        raise BadSshConfig(
            f"{name!r}: {word!r} is no name to log in with, or to", resolution="see ansible_host, ansible_user, ssh -G"
        )
    return word


def _way(name: str, said: Mapping[str, object], settings: Settings, depth: int) -> tuple[str, Endpoint | None]:
    """Return (ProxyCommand, jump host); at most one of them is set."""
    if settings.jump is None and settings.command is None:
        jump, command = _text(said, "proxyjump"), _text(said, "proxycommand")
    else:
        jump, command = settings.jump or "", settings.command or ""
    if jump and jump.lower() != "none":
        return "", _jump(name, jump, settings, depth)
    return ("" if command.lower() == "none" else command), None


def _jump(name: str, jump: str, settings: Settings, depth: int) -> Endpoint:
    """Return the last hop of a ProxyJump list, which is reached through those before it."""
    *before, last = (hop.strip() for hop in jump.split(","))
    hop = _HOP.fullmatch(last)
    if hop is None:
        raise BadSshConfig(f"{name}: ProxyJump {jump!r} means nothing", resolution="[user@]host[:port], with commas")
    own = Settings(
        config=settings.config,
        port=int(hop["port"]) if hop["port"] else None,
        user=hop["user"],
        keys=settings.keys,
        jump=",".join(before) if before else None,
        become="",
        known_hosts=settings.known_hosts,
        connect_timeout=settings.connect_timeout,
    )
    return replace(_endpoint(hop["host"].strip("[]"), own, depth + 1), become="")


def _known_hosts(said: Mapping[str, object], tokens: Mapping[str, str]) -> tuple[Path, ...]:
    user = _files(said, "userknownhostsfile", tokens) if _text(said, "userknownhostsfile") else KNOWN_HOSTS
    system = _files(said, "globalknownhostsfile", tokens) if _text(said, "globalknownhostsfile") else GLOBAL_KNOWN_HOSTS
    return (*user, *system)


def _files(said: Mapping[str, object], key: str, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that an option names, ssh's tokens and ${NAME} filled in; none is no file."""
    words = ssh_config.words(_text(said, key))
    filled = (re.sub(r"%([hprnkd%])", lambda found: tokens[found[1]], os.path.expandvars(word)) for word in words)
    return tuple(Path(word).expanduser() for word in filled if word not in ("none", "/dev/null"))


def _number(name: str, said: Mapping[str, object], key: str, read: Callable[[str], float]) -> Any:  # noqa: ANN401
    """Return an option's number; 0 where it is not said, or said to be none.

    Raises:
        BadSshConfig: it is no number.
    """
    text = _text(said, key)
    try:
        return read(text) if text and text.lower() != "none" else 0
    except ValueError as error:
        raise BadSshConfig(
            f"{name}: {key} {text!r} makes no sense",
            details=str(error),
            resolution="see what `ssh -G HOST` makes of it",
        ) from error


def _text(said: Mapping[str, object], key: str) -> str:
    value = said.get(key)
    return value if isinstance(value, str) else ""


def _list(said: Mapping[str, object], key: str) -> list[object]:
    value = said.get(key)
    return value if isinstance(value, list) else []

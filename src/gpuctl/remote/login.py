"""Being let in: the key exchange, the host's key against known_hosts, then the user's keys. In that order, always."""

from __future__ import annotations

import base64
import logging
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.remote import known_hosts
from gpuctl.remote.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    RemoteError,
    TimedOut,
    Unreachable,
)
from gpuctl.remote.keyring import Offer
from gpuctl.remote.road import Deadline, Jumps, Road, open_road
from gpuctl.remote.watch import closing_at

if TYPE_CHECKING:
    from paramiko import Transport
    from paramiko.pkey import PKey

    from gpuctl.remote.endpoint import Endpoint
    from gpuctl.remote.known_hosts import Entry

_REST = 2.0  # seconds between two looks at an idle connection
KEEPALIVE = 15  # seconds; keeps NAT and firewalls from forgetting a long prepare
# One pass over each packet instead of two; what the server does not have is left out by the negotiation.
_FAST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
# paramiko tells of every broken connection on the console unless its log goes somewhere; our errors say it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Line:
    """An SSH connection and what it runs over."""

    transport: Transport
    road: Road

    def close(self) -> None:
        """Close both; the connection's thread is woken for it."""
        if isinstance(self.road.socket, socket.socket):
            with suppress(OSError):
                self.road.socket.shutdown(socket.SHUT_RDWR)
        self.transport.close()
        self.road.close()


def login(endpoint: Endpoint, jumps: Jumps) -> Line:
    """Return a connection on which the host is known and the user is let in; the caller closes it.

    Raises:
        RemoteError: one of its kinds; nothing is left open.
    """
    deadline = Deadline(endpoint.connect_timeout)
    known = known_hosts.read(endpoint.known_hosts).of(endpoint.known_as)
    line = greet(endpoint, jumps, deadline, prefer=tuple(entry.kind for entry in known if not entry.marker))
    try:
        with closing_at(line, deadline):
            _believe(endpoint, line.transport.get_remote_server_key(), known)
            _enter(endpoint, line.transport, deadline)
            line.transport.set_keepalive(KEEPALIVE)
    except BaseException:
        line.close()
        raise
    return line


def greet(endpoint: Endpoint, jumps: Jumps, deadline: Deadline, *, prefer: tuple[str, ...] = ()) -> Line:
    """Return a connection on which keys were exchanged: its host's key is there to be judged, nobody is logged in.

    Args:
        endpoint: the host.
        jumps: the run's jump hosts.
        deadline: for all of it.
        prefer: key types that are asked for first, so that the host shows the key that is known.

    Raises:
        RemoteError: no connection, or no SSH server at its end.
    """
    from paramiko import Transport
    from paramiko.ssh_exception import SSHException

    road = open_road(endpoint, jumps, deadline)
    line = None
    try:
        line = Line(Transport(road.socket), road)
        _exchange(line, deadline, prefer)
    except BaseException as error:
        (line or road).close()
        if isinstance(error, (SSHException, OSError, EOFError)):
            raise _no_greeting(endpoint, error, road.said(), deadline) from error
        raise
    return line


def _exchange(line: Line, deadline: Deadline, prefer: tuple[str, ...]) -> None:
    """Exchange keys; both threads sleep until something comes: paramiko's own wait looks ten times a second."""
    from paramiko.ssh_exception import SSHException

    transport, done = line.transport, threading.Event()
    # Ours comes first: when it is over we know that it was the time, which paramiko's own errors do not say.
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = deadline.left + 5
    _order(transport, prefer)
    if isinstance(line.road.socket, socket.socket):
        line.road.socket.settimeout(_REST)
    transport.start_client(event=done)
    _await(done, transport, deadline)
    if not transport.is_active() or not transport.initial_kex_done:
        raise transport.get_exception() or SSHException("the key exchange was not finished")


def _no_greeting(endpoint: Endpoint, error: Exception, said: str, deadline: Deadline) -> RemoteError:
    from paramiko.ssh_exception import IncompatiblePeer

    where = endpoint.where
    if deadline.over:
        return TimedOut(
            f"{where} takes connections, but its SSH server did not answer in {deadline.seconds:.0f} s",
            details=said or str(error),
            resolution="the host may hang, or be starved of memory: look at its console (BMC)",
        )
    if isinstance(error, IncompatiblePeer):
        return Unreachable(
            f"{where}: its SSH server has no algorithm in common with ours",
            details=str(error),
            resolution="update the host's SSH server",
        )
    return Unreachable(
        f"{where} hung up before the key exchange was done",
        details=said or str(error),
        resolution=f"run it by hand: {endpoint.command}"
        if endpoint.command
        else "see the log of the host's SSH server (journalctl -u ssh), and its MaxStartups",
    )


def _order(transport: Transport, prefer: tuple[str, ...]) -> None:
    """Ask for the known kinds of host key first, and for fast ciphers; all others stay allowed."""
    options = transport.get_security_options()
    wanted = [name for kind in prefer for name in (_RSA if kind == "ssh-rsa" else (kind,)) if name in options.key_types]
    options.key_types = tuple(dict.fromkeys((*wanted, *options.key_types)))
    fast = [name for name in _FAST if name in options.ciphers]
    options.ciphers = tuple(dict.fromkeys((*fast, *options.ciphers)))


def _believe(endpoint: Endpoint, key: PKey, known: tuple[Entry, ...]) -> None:
    """Return if the key is a known one of this host; nothing is ever added here.

    Raises:
        HostKeyRevoked, HostKeyChanged, HostKeyUnknown: it is not.
    """
    shown, kind, name = base64.b64encode(key.asbytes()).decode(), key.get_name(), endpoint.known_as
    seen = f"{kind} {known_hosts.fingerprint(key.asbytes())}"
    taken = [f"{entry.where}: @revoked" for entry in known if entry.marker == "@revoked" and entry.key == shown]
    if endpoint.revoked is not None and shown in known_hosts.revoked(endpoint.revoked):
        taken.append(f"{endpoint.revoked}: RevokedHostKeys")
    if taken:
        raise HostKeyRevoked(
            f"{endpoint.name}: it showed a revoked key",
            details="\n".join([seen, *taken]),
            resolution="find out why it was revoked; until then nothing of ours logs in there",
        )
    plain = [entry for entry in known if not entry.marker]
    if any(entry.key == shown for entry in plain):
        return
    same = [entry for entry in plain if entry.kind == kind]
    if same:
        lines = [f"known: {entry.kind} {known_hosts.fingerprint(entry.blob)}  {entry.where}" for entry in same]
        raise HostKeyChanged(
            f"{endpoint.name}: it showed another key than the known one",
            details="\n".join([f"shown: {seen}  {name}", *lines]),
            resolution="it was reinstalled, or somebody is in between: compare with its console; if the key is right: "
            f"gpuctl fleet trust -i INVENTORY --limit {endpoint.name} --replace-key {endpoint.name}",
        )
    details = [f"shown: {seen}  {name}", *(f"known: {entry.kind}, not of that kind  {entry.where}" for entry in plain)]
    details += [
        f"{entry.where}: @cert-authority: host certificates cannot be checked by gpuctl's SSH library"
        for entry in known
        if entry.marker == "@cert-authority"
    ]
    raise HostKeyUnknown(
        f"{endpoint.name}: its key is not known",
        details="\n".join(details),
        resolution=f"compare it, and file it: gpuctl fleet trust -i INVENTORY --limit {endpoint.name}",
    )


def _await(event: threading.Event, transport: Transport, deadline: Deadline) -> None:
    """Wait for the event, the connection's end or the time's; paramiko sets no event where it is closed from here."""
    while transport.is_active() and not deadline.over:
        if event.wait(min(_REST, deadline.left)):
            return


def _offer(transport: Transport, user: str, key: PKey, deadline: Deadline) -> list[str]:
    """Offer one key; return what is wanted beside it. As paramiko's auth_publickey, which looks ten times a second.

    Raises:
        AuthenticationException: the key was not taken.
        SSHException, EOFError: the connection broke.
    """
    from paramiko.ssh_exception import AuthenticationException, PartialAuthentication

    answered = threading.Event()
    transport.auth_publickey(user, key, event=answered)
    _await(answered, transport, deadline)
    if transport.is_authenticated():
        return []
    error = transport.get_exception()
    if isinstance(error, PartialAuthentication):
        return [*error.allowed_types]
    if error is None or isinstance(error, EOFError):
        error = AuthenticationException("the connection was closed" if error else "the key was not taken")
    raise error


def _enter(endpoint: Endpoint, transport: Transport, deadline: Deadline) -> None:
    """Log in with the first key that is taken."""
    from paramiko import Agent
    from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, SSHException

    agent = Agent()
    offer = Offer(endpoint, agent)
    why = ""
    try:
        for key in offer:
            try:
                further = _offer(transport, endpoint.user, key, deadline)
            except BadAuthenticationType as error:
                why = f"it takes {', '.join(error.allowed_types) or 'nothing'} only, no key"
                break
            except AuthenticationException as error:
                if not transport.is_active() or deadline.over:
                    why = str(error)
                    break
                continue
            if not further:
                return
            why = f"the key was taken, and then {', '.join(further)} was wanted as well"
            break
    except (SSHException, OSError, EOFError) as error:
        why = str(error)
    finally:
        agent.close()
    if deadline.over:
        raise TimedOut(
            f"{endpoint.name}: no answer to the login in {deadline.seconds:.0f} s",
            details=why,
            resolution="the host's login may hang (PAM, a directory service, a full disk): look at its console",
        )
    offered = f"offered: {', '.join(offer.names)}" if offer.names else "offered: no key at all"
    raise AuthenticationFailed(
        f"{endpoint.user}@{endpoint.name} is not let in",
        details="\n".join(filter(None, [why, offered, *offer.notes])),
        resolution=f"see what `ssh -v {endpoint.user}@{endpoint.address}` offers; ssh-copy-id, ssh-add, or the "
        "inventory's ansible_user",
    )

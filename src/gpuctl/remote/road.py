"""The way to a host's SSH port: straight, through a jump host whose one connection is shared, or through a command."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from gpuctl.remote.errors import RemoteError, TimedOut, Unreachable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from paramiko import Channel, Transport

    from gpuctl.remote.endpoint import Endpoint
    from gpuctl.remote.login import Line

_SLACK = 0.02  # seconds; paramiko counts by another clock
_SAID = 1000  # bytes of a proxy command's last words
_FORGET = 30.0  # seconds after which a jump host that failed is tried again


class Deadline:
    """A point in time by which something has to be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; never less than a thousandth, which waits for nothing."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._end - _SLACK


@dataclass(slots=True)
class _Shared:
    """One jump host's connection, or why there is none."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    line: Line | None = None
    error: RemoteError | None = None
    failed_at: float = 0.0


class Jumps:
    """The jump hosts of this run: one connection each, however many hosts are behind it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[Endpoint, _Shared] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave no connection open."""
        for shared in list(self._shared.values()):
            if shared.line is not None:
                shared.line.close()

    def channel(self, via: Endpoint, address: str, port: int, deadline: Deadline) -> Channel:
        """Return a connection to ``address`` that the jump host makes.

        Raises:
            RemoteError: the jump host cannot be reached, or cannot reach the address.
        """
        from paramiko.ssh_exception import ChannelException, SSHException

        transport = self._transport(via, deadline)
        try:
            return transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=deadline.left)
        except ChannelException as error:
            raise Unreachable(
                f"jump host {via.name} cannot reach {address} port {port}",
                details=str(error),
                resolution=f"see whether it can: ssh {via.name} nc -vz {address} {port}",
            ) from error
        except (SSHException, EOFError, OSError) as error:
            kind = TimedOut if deadline.over else Unreachable
            raise kind(f"jump host {via.name} gave no connection to {address}", details=str(error)) from error

    def _transport(self, via: Endpoint, deadline: Deadline) -> Transport:
        with self._lock:
            shared = self._shared.setdefault(via, _Shared())
        if not shared.lock.acquire(timeout=deadline.left):
            raise TimedOut(f"jump host {via.name} did not answer in {deadline.seconds:.0f} s")
        try:
            if shared.line is not None and shared.line.transport.is_active():
                return shared.line.transport
            if shared.error is not None and time.monotonic() - shared.failed_at < _FORGET:
                raise _retold(via, shared.error)
            return self._connect(via, shared)
        finally:
            shared.lock.release()

    def _connect(self, via: Endpoint, shared: _Shared) -> Transport:
        from gpuctl.remote.login import login

        if shared.line is not None:
            shared.line.close()
        try:
            shared.line = login(via, self)
        except RemoteError as error:
            shared.line, shared.error, shared.failed_at = None, error, time.monotonic()
            raise _retold(via, error) from error
        shared.error = None
        return shared.line.transport


def _retold(via: Endpoint, error: RemoteError) -> RemoteError:
    """Return a jump host's error as one of those behind it tells it."""
    return type(error)(f"jump host {via.name}: {error.brief}", details=error.details, resolution=error.resolution)


@dataclass(slots=True)
class Road:
    """An open way: what SSH is spoken over, and the command that it hangs on."""

    socket: Any  # a socket, or a paramiko.Channel, which behaves like one
    child: subprocess.Popen[bytes] | None = None
    errors: IO[bytes] | None = None  # the command's standard error

    def said(self) -> str:
        """Return the end of what the command said on standard error."""
        if self.errors is None:
            return ""
        self.errors.seek(0)
        return self.errors.read()[-_SAID:].decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Close it; a proxy command is ended too."""
        self.socket.close()
        if self.child is not None:
            self.child.terminate()
            try:
                self.child.wait(2)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def open_road(endpoint: Endpoint, jumps: Jumps, deadline: Deadline) -> Road:
    """Return an open way to the host's SSH port.

    Raises:
        RemoteError: there is none.
    """
    if endpoint.via is not None:
        return Road(jumps.channel(endpoint.via, endpoint.address, endpoint.port, deadline))
    if endpoint.command:
        return _command(endpoint)
    return Road(_connection(endpoint, deadline))


def _command(endpoint: Endpoint) -> Road:
    """Start a ProxyCommand on one end of a socket pair: a real socket, so that every deadline holds on it."""
    ours, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the command
    try:
        # The user's own configuration, run as ssh runs it (ssh_config(5): "using the user's shell exec directive").
        argv = ["/bin/sh", "-c", f"exec {endpoint.command}"]
        child = subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=errors)
    except OSError as error:
        ours.close()
        errors.close()
        raise Unreachable(f"{endpoint.name}: its ProxyCommand cannot be started", details=str(error)) from error
    finally:
        theirs.close()
    return Road(ours, child, errors)


def _connection(endpoint: Endpoint, deadline: Deadline) -> socket.socket:
    where = endpoint.where
    errors = []
    for family, kind, number, _, address in _resolved(endpoint, deadline):
        connection = socket.socket(family, kind, number)
        try:
            connection.settimeout(deadline.left)
            connection.connect(address)
        except OSError as error:
            connection.close()
            errors.append(f"{address[0]}: {error.strerror or error}")
            if deadline.over:
                break
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    if deadline.over:
        raise TimedOut(
            f"{where} did not answer in {deadline.seconds:.0f} s",
            details="\n".join(errors),
            resolution="see whether the host is up, and whether a firewall is in between",
        )
    raise Unreachable(
        f"{where}: {errors[0].partition(': ')[2] if errors else 'no address'}",
        details="\n".join(errors),
        resolution="see whether the host is up and runs an SSH server",
    )


def _resolved(endpoint: Endpoint, deadline: Deadline) -> list[tuple[Any, ...]]:
    """Return getaddrinfo's answer; a resolver that hangs is left behind when the time is up."""
    try:
        address = ipaddress.ip_address(endpoint.address)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return [(family, socket.SOCK_STREAM, 0, "", (endpoint.address, endpoint.port))]
    answer: list[list[tuple[Any, ...]] | OSError] = []

    def ask() -> None:
        try:
            answer.append([*socket.getaddrinfo(endpoint.address, endpoint.port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            answer.append(error if isinstance(error, OSError) else OSError(str(error)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(deadline.left)
    if not answer:
        raise TimedOut(
            f"{endpoint.name}: the name {endpoint.address} was not resolved in {deadline.seconds:.0f} s",
            resolution="see whether the name server answers",
        )
    found = answer[0]
    if isinstance(found, OSError):
        raise Unreachable(
            f"{endpoint.name}: the name {endpoint.address} means nothing here",
            details=str(found.strerror or found),
            resolution="correct the name, or give the address: ansible_host (inventory) or HostName (~/.ssh/config)",
        ) from found
    return found

"""A host that can be asked: its own half is carried over, answers one request, and is gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gpuctl.remote import loader
from gpuctl.remote.answer import LIMIT, Words
from gpuctl.remote.errors import (
    BadAnswer,
    HostSaid,
    NoPython,
    NotRoot,
    RemoteError,
    TimedOut,
    Unreachable,
)
from gpuctl.remote.login import Line, login
from gpuctl.remote.road import Deadline, Jumps
from gpuctl.remote.untrusted import plain
from gpuctl.remote.watch import closing_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from paramiko import Channel

    from gpuctl.remote.endpoint import Endpoint

_LOOK = 1.0  # seconds between two looks at standard error
_LINGER = 10.0  # seconds for the command to end once it has answered
_CODES = (0, 1, 2, 3, 4, 5, 75, 130)
_FAILED = 1
_BRIEF, _LONG = 600, 20_000  # characters of a host's own words that are kept
_CODE = re.compile(r"[^a-z0-9-]")
_SUDO = re.compile(
    r"^(sudo|doas):|sudo: not found|sudo: command not found|a password is required|not in the sudoers"
    r"|must have a tty|not allowed to (run|execute)",
    re.IGNORECASE | re.MULTILINE,
)


class RemoteHost:
    """A connection to one host; a context manager. Not for two threads at once."""

    def __init__(self, endpoint: Endpoint, *, jumps: Jumps | None = None) -> None:
        """Take note of the way; nothing is connected yet.

        Args:
            endpoint: the way to the host.
            jumps: the run's jump hosts, so that hosts share them; by default they are this host's own.
        """
        self.endpoint = endpoint
        self._own = jumps is None
        self._jumps = Jumps() if jumps is None else jumps
        self._line: Line | None = None

    def __enter__(self) -> Self:
        """Return itself, connected, the host's key checked, the user let in.

        Raises:
            RemoteError: one of its kinds.
        """
        self._line = login(self.endpoint, self._jumps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave no connection open."""
        if self._line is not None:
            self._line.close()
        if self._own:
            self._jumps.__exit__(kind, error, trace)

    def ask(
        self, request: Mapping[str, Any], *, timeout: float, hear: Callable[[dict[str, Any]], None] | None = None
    ) -> tuple[dict[str, Any], int]:
        """Return ``(document, exit code)`` of one request, as gpuctl_host.entry.serve answers it on that host.

        A request that changes the host goes on there when the time is up or the connection breaks: its journal says how
        far it came.

        Args:
            request: see gpuctl_host.entry; keys that are None are left out.
            timeout: seconds for all of it.
            hear: is called with each progress event.

        Raises:
            HostSaid: the host's half answered with an error.
            RemoteError: there was no answer.
        """
        if self._line is None:
            raise RuntimeError("not connected: use it in a with statement")
        deadline = Deadline(timeout)
        words, said = Words(hear), _Said()
        sent = {key: value for key, value in request.items() if value is not None}
        with closing_at(self._line, deadline):
            try:
                channel = self._line.transport.open_session(timeout=deadline.left)
                try:
                    self._talk(channel, loader.pieces(sent), words, said, deadline)
                finally:
                    channel.close()
            except (OSError, EOFError) as error:
                raise self._broken(error, deadline, said) from error
            except Exception as error:
                from paramiko.ssh_exception import SSHException

                if not isinstance(error, SSHException):
                    raise
                raise self._broken(error, deadline, said) from error
        return self._judge(words, said)

    def _talk(self, channel: Channel, data: tuple[bytes, ...], words: Words, said: _Said, deadline: Deadline) -> None:
        """Send everything, read everything, and learn how it ended."""
        channel.exec_command(loader.command(self.endpoint.become))
        try:
            for piece in data:
                channel.settimeout(deadline.left)
                channel.sendall(piece)
            channel.shutdown_write()
        except TimeoutError:
            raise
        except OSError:
            pass  # it ended without reading: what it said tells why
        read = 0
        while True:
            channel.settimeout(min(_LOOK, deadline.left))
            try:
                heard = channel.recv(1 << 20)
            except TimeoutError:
                said.listen(channel)
                if deadline.over or (words.last is not None and said.linger.over):
                    break
                continue
            if not heard:
                break
            words.feed(heard)
            read += len(heard)
            if words.last is not None and not said.answered:
                said.answered, said.linger = True, Deadline(min(_LINGER, deadline.left))
            if read > LIMIT:
                raise BadAnswer(f"{self.endpoint.name} answered more than {LIMIT} bytes; the rest was not read")
        words.end()
        if deadline.over and words.last is None:
            raise TimeoutError
        channel.status_event.wait(min(_LINGER, deadline.left))
        said.listen(channel)
        said.status = channel.exit_status if channel.exit_status_ready() else None
        if said.status == -1:
            said.status = None

    def _broken(self, error: Exception, deadline: Deadline, said: _Said) -> RemoteError:
        name = self.endpoint.name
        if deadline.over:
            return TimedOut(
                f"{name}: no answer in {deadline.seconds:.0f} s, though the login worked",
                details=said.stderr,
                resolution="look at the host (a stuck disk or driver shows in its kernel log), or give it more time: "
                "--timeout",
            )
        return Unreachable(
            f"{name}: the connection broke before the answer was there",
            details=f"{type(error).__name__}: {error}\n{said.stderr}".strip(),
            resolution="ask again; if it was changing the host, gpuctl host history there says how far it came",
        )

    def _judge(self, words: Words, said: _Said) -> tuple[dict[str, Any], int]:
        """Return the answer, or raise what its absence means."""
        name, last = self.endpoint.name, words.last
        heard = (plain(said.stderr) + words.noise).strip()
        if last is not None and last["event"] == "error":
            raise HostSaid(
                _CODE.sub("-", str(last.get("code") or "failed"))[:64],
                " ".join(str(last.get("brief")).split())[:_BRIEF],
                details=str(last.get("details") or "")[:_LONG],
                resolution=" ".join(str(last.get("resolution") or "").split())[:_BRIEF],
                exit_code=_code(last, _FAILED) or 1,
            )
        if last is not None and isinstance(last.get("document"), dict):
            return last["document"], _code(last, 0)
        if said.status == loader.NONE_FOUND:
            raise NoPython(
                f"{name} has no Python 3.9 or newer",
                details=heard,
                resolution="install python3 there (RHEL 8: dnf install python39)",
            )
        if self.endpoint.become and _SUDO.search(heard):
            raise NotRoot(
                f"{self.endpoint.user}@{name} may not become root without a password",
                details=heard,
                resolution=f"let {self.endpoint.user} use sudo with NOPASSWD there, or log in as root",
            )
        if said.status is None and self._line is not None and not self._line.transport.is_active():
            raise Unreachable(
                f"{name}: the connection broke before the answer was there",
                details=heard,
                resolution="ask again; if it was changing the host, gpuctl host history there says how far it came",
            )
        raise BadAnswer(
            f"{name}: no answer from the host's half (exit status {said.status})",
            details=heard,
            resolution=f"see what `ssh {name} python3 --version` prints",
        )


def _code(last: Mapping[str, Any], otherwise: int) -> int:
    """Return the exit code that a host's half says, if it is one (CONTRACT): a host does not choose ours."""
    code = last.get("exit_code")
    return code if isinstance(code, int) and not isinstance(code, bool) and code in _CODES else otherwise


class _Said:
    """What a command says beside its answer."""

    def __init__(self) -> None:
        self.stderr = ""
        self.status: int | None = None
        self.answered = False
        self.linger = Deadline(0)

    def listen(self, channel: Channel) -> None:
        """Take what is on standard error; the first thousands of characters are kept."""
        while channel.recv_stderr_ready():
            piece = channel.recv_stderr(65536).decode("utf-8", "replace")
            if len(self.stderr) < 4000:
                self.stderr += piece

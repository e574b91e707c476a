"""What can go wrong between here and a host: one class each, each with one thing to do."""

from __future__ import annotations

from gpuctl.errors import OperatorError


class RemoteError(OperatorError):
    """The host could not be asked.

    Attributes:
        code: a stable word for programs (docs/reference/fleet.md).
    """

    exit_code = 6
    code = "unreachable"


class BadSshConfig(RemoteError):
    """The operator's own ssh configuration or known_hosts file cannot be read."""

    exit_code = 2
    code = "ssh-config"


class Unreachable(RemoteError):
    """No connection: no such name, no route, refused, closed, or no SSH server there."""


class TimedOut(RemoteError):
    """The host did not answer in time; the error says at which step."""

    code = "timed-out"


class HostKeyUnknown(RemoteError):
    """No known_hosts file has a key of this host; it was not trusted, and nothing was sent."""

    code = "host-key-unknown"


class HostKeyChanged(RemoteError):
    """The host showed another key than the known one; nothing was sent."""

    code = "host-key-changed"


class HostKeyRevoked(RemoteError):
    """The host showed a key that known_hosts marks as revoked; nothing was sent."""

    code = "host-key-revoked"


class AuthenticationFailed(RemoteError):
    """The host took none of the keys that were offered."""

    code = "authentication-failed"


class NotRoot(RemoteError):
    """The user is let in, but may not become root without being asked for a password."""

    code = "not-root"


class NoPython(RemoteError):
    """The host has no Python that the host's half runs on."""

    exit_code = 1
    code = "no-python"


class BadAnswer(RemoteError):
    """The host's half began or ended without the one answer that it owes."""

    exit_code = 1
    code = "bad-answer"


class HostSaid(RemoteError):
    """The host's half answered with an error of its own; its words and exit code are kept."""

    exit_code = 1

    def __init__(self, code: str, brief: str, *, details: str = "", resolution: str = "", exit_code: int = 1) -> None:
        super().__init__(brief, details=details, resolution=resolution)
        self.code = code
        self.exit_code = exit_code

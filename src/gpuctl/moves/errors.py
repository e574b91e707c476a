"""What goes wrong around moves, one class a mistake."""

from __future__ import annotations

from gpuctl.errors import OperatorError


class MoveError(OperatorError):
    """The base of these."""


class NoSuchServer(MoveError):
    """Nobody has that name or id."""

    exit_code = 2


class NoSuchHost(MoveError):
    """No compute service runs on a host of that name."""

    exit_code = 2


class Ambiguous(MoveError):
    """A name that several have."""

    exit_code = 2


class Unsafe(MoveError):
    """Refused for safety; nothing was touched."""

    exit_code = 3


class Busy(MoveError):
    """Another gpuctl is at work on it."""

    exit_code = 75

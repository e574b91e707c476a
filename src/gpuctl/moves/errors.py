"""What goes wrong around moves, one class a mistake."""

from __future__ import annotations

from gpuctl.cloud_errors import CloudError
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


class CellSilent(CloudError):
    """The database of one of Nova's cells does not answer: what is in it is unknown, not gone."""

    exit_code = 6

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not answer Nova",
            details="nothing can be known of what is in it: neither what is there nor what is not",
            resolution="nova-manage cell_v2 list_cells names the databases: see that each answers; then ask again",
        )


class Busy(MoveError):
    """Another gpuctl is at work on it."""

    exit_code = 75

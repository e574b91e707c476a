"""What can be wrong with a fleet run before any host is asked."""

from __future__ import annotations

from gpuctl.errors import OperatorError


class BadInventory(OperatorError):
    """The inventory cannot be read, or does not mean what the command line says it means."""

    exit_code = 2

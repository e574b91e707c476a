"""One class a mistake, each with its exit code."""

from __future__ import annotations

from gpuctl.errors import OperatorError


class FlavorError(OperatorError):
    """The base of what goes wrong with flavors."""


class BadCatalogue(FlavorError):
    """A catalogue, or what was said on the command line in its place, is not right."""

    exit_code = 2


class NotFound(FlavorError):
    """The cloud has no such flavor, image, project."""


class Refused(FlavorError):
    """Refused for safety; nothing was touched."""

    exit_code = 3


class HalfMade(FlavorError):
    """Something was left behind that could not be finished or removed; the message names it."""


class Verification(FlavorError):
    """What was read back is not what was written."""

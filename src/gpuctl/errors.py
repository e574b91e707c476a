"""The operator's half's errors: what happened, on what, what to do. The command line turns each into one message."""

from __future__ import annotations


class OperatorError(Exception):
    """The base of what goes wrong at the operator's.

    Attributes:
        brief: one line: what went wrong, and on what.
        details: what was seen; may have several lines.
        resolution: one thing to do now.
        exit_code: the process's exit status (docs/reference).
    """

    exit_code = 1

    def __init__(self, brief: str, *, details: str = "", resolution: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.resolution = resolution

"""What cannot be done, said in a way that helps; the command line turns it into its own message."""

from __future__ import annotations

USAGE = 2


class Problem(Exception):
    """Something that was asked for cannot be, or cannot be read.

    Attributes:
        brief: what is wrong, in a line.
        details: what was read and where, one fact a line.
        resolution: what to do about it.
        exit_code: as docs/reference has it; 2 is wrong usage or unreadable input.
    """

    def __init__(self, brief: str, *, details: str = "", resolution: str = "", exit_code: int = USAGE) -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.resolution = resolution
        self.exit_code = exit_code

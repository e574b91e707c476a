"""What cannot be done, said in a way that helps; the command line turns it into its own message."""

from __future__ import annotations

from gpuctl.errors import OperatorError

USAGE = 2


class Problem(OperatorError):
    """Something that was asked for cannot be, or cannot be read; wrong usage unless ``exit_code`` says otherwise."""

    def __init__(self, brief: str, *, details: str = "", resolution: str = "", exit_code: int = USAGE) -> None:
        super().__init__(brief, details=details, resolution=resolution)
        self.exit_code = exit_code

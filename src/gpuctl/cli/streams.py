"""Standard streams as people with bad luck have them: closed, full, gone, or with few letters."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from typing import TextIO

_STREAMS = (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))


_ERRORS = "gpuctl-signs"
_SIGNS = {"✔": "+", "✘": "x", "·": "-"}
"""What stands for a sign where the encoding lacks it; `?` means "not known", and stands for all else."""


def _sign(error: UnicodeError) -> tuple[str, int]:
    """The encoding's error handler."""
    if not isinstance(error, UnicodeEncodeError):
        return codecs.replace_errors(error)  # type: ignore[return-value]
    return "".join(_SIGNS.get(char, "?") for char in error.object[error.start : error.end]), error.end


def ready() -> None:
    """Every standard stream is there, and none fails because of a letter.

    One that was closed leads to /dev/null, so that no file of ours gets its number. What stdout's encoding lacks is
    shown in plain letters; what somebody types that is no text is no reason to end.
    """
    codecs.register_error(_ERRORS, _sign)
    for name, flags in _STREAMS:
        stream = getattr(sys, name)
        if stream is None:
            number = os.open(os.devnull, flags)
            setattr(sys, name, os.fdopen(number, "r" if flags == os.O_RDONLY else "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=_ERRORS)


def drop(stream: TextIO) -> None:
    """What is in the stream's buffer, and whatever is written to it from now on, goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        number = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(number, stream.fileno())
        finally:
            os.close(number)
        stream.flush()


def broken(stream: TextIO) -> bool:
    """Say whether what was written to it last did not get out."""
    try:
        stream.flush()
    except OSError:
        return True
    return False


def end() -> None:
    """The interpreter finds nothing left in stdout and stderr that it could fail on."""
    for stream in (sys.stdout, sys.stderr):
        if broken(stream):
            drop(stream)

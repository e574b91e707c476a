r"""What a host says, made safe to show: a host that was taken over must not write to the operator's terminal.

Control characters (the escapes of a terminal), those that turn the direction of writing, and halves of surrogates are
shown as Python writes them (\x1b); a line end and a tab stay.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_ESCAPES = re.compile(rb"\\[ubfr]")


def plain(text: str) -> str:
    """Return the text with nothing in it that a terminal acts on."""
    return _BAD.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def plain_value(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value, every text in it plain.

    Raises:
        RecursionError: it is nested beyond reason.
    """
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(str(key)): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    return value


def parse(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a host's line, every text in it plain.

    Raises:
        ValueError: it is no JSON, or none that a program would write (NaN, nested beyond reason).
    """
    try:
        value = json.loads(data, parse_constant=_no_number)
        return plain_value(value) if _perhaps(data) else value
    except RecursionError as error:
        raise ValueError("nested beyond reason") from error


def _perhaps(data: bytes) -> bool:
    """Say whether JSON's bytes may hold a bad character; nearly none do, and no value of those is looked into.

    Below a space none stands unescaped in a text: to json.loads that is no JSON.
    """
    return not data.isascii() or b"\x7f" in data or _ESCAPES.search(data) is not None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")

"""Files of host facts: what `gpuctl host facts -f json` prints, a list of these, or `fleet facts -f jsonl`'s lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpuctl.errors import OperatorError

_FIX = "give the output of `gpuctl host facts -f json`, or of `gpuctl fleet facts -f jsonl`"


class FactsUnreadable(OperatorError):
    """A file of facts cannot be read."""

    exit_code = 2


def documents(file: str | Path) -> list[Any]:
    """Return the documents of a file, in its order; whether they are facts is for the reader to say.

    Raises:
        FactsUnreadable: it is not there, or no JSON.
    """
    try:
        text = Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FactsUnreadable(f"cannot read {file}", details=str(error), resolution=_FIX) from error
    try:
        loaded = json.loads(text)
    except ValueError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise FactsUnreadable(f"{file} is not JSON", details=str(error), resolution=_FIX) from error
    return loaded if isinstance(loaded, list) else [loaded]

"""The files that gpuctl leaves on a host: the same wish gives the same bytes, so that a second prepare writes nothing.

Scripts lie beside this module as data and are read through its loader, which also works from inside a zipapp.
"""

from __future__ import annotations

import os

from gpuctl_host import __version__

_MARK = "# @HEADER@\n"
_OWNER = "Written by gpuctl"


def header() -> str:
    """Return the line that every file of ours starts with: who wrote it, and how it goes away."""
    return (
        f"# {_OWNER} {__version__}. Do not edit: `gpuctl host prepare` writes it, `gpuctl host restore` removes it.\n"
    )


def is_ours(data: bytes) -> bool:
    """Say whether a file's content carries our header, of this or another version."""
    return f"# {_OWNER} ".encode() in data[:512]


def render_script(name: str) -> str:
    """Return the data file ``name`` with our header in place.

    Raises:
        OSError: there is no such file: the package is not whole.
    """
    path = os.path.join(os.path.dirname(__file__), name)
    loader = globals().get("__loader__")
    if loader is not None and hasattr(loader, "get_data"):
        text = loader.get_data(path).decode()
    else:  # a loader without get_data: then this is a plain file
        with open(path, encoding="utf-8") as file:
            text = file.read()
    return str(text).replace(_MARK, header(), 1)

"""What a person sees of `gpuctl nova`: files, what to know of them, what to restart; findings."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.output import host_tables
from gpuctl.output.table import columns, mark

Document = dict[str, Any]


def files_text(document: Document) -> str:
    """Return all files as one text; each with its name above where there are several."""
    files = document["files"]
    if len(files) == 1:
        text: str = next(iter(files.values()))
        return text
    return "\n".join(f"# ==> {name} <==\n{text}" for name, text in files.items())


def configure_table(document: Document, *, folder: str | None = None, changed: tuple[str, ...] = ()) -> str:
    """Return what was written, what to know, and what to do next.

    Args:
        document: a gpuctl.nova.configure/1 document.
        folder: where the files are; None if they went to stdout.
        changed: the paths that are new or different.
    """
    text = ""
    if folder is not None:
        rows = []
        for name in document["files"]:
            path = f"{folder.rstrip('/')}/{name}"
            rows.append((mark("pass"), path, "written" if path in changed else "unchanged"))
        text += columns(rows) + "\n"
    rows = [
        (alias["name"], f"{alias['vendor_id']}:{alias['product_id']}", alias["device_type"])
        for alias in document["aliases"]
    ]
    text += columns(rows, ("alias", "ids", "type")) + "\n"
    if document["notes"]:
        text += columns([(mark("warn"), note) for note in document["notes"]]) + "\n"
    text += click.style("Restart, in this order, one at a time; gpuctl restarts nothing:", bold=True) + "\n"
    text += columns([(f"  {number}.", step) for number, step in enumerate(document["restart"], 1)])
    return text


def check_table(document: Document, *, verbose: bool) -> str:
    """Return the findings as `gpuctl host check` shows its own, and the notes on what was not read."""
    who = ", ".join(service["service"] for service in document["services"])
    text = host_tables.check_table({"host": who, "gpus": [], **document}, verbose=verbose)
    return "".join(f"{mark('warn')} {note}\n" for note in document["notes"]) + text

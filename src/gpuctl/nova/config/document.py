"""A configuration as the document `gpuctl.nova.configure/1`."""

from __future__ import annotations

from typing import Any

from gpuctl.nova.config.layouts import Rendered
from gpuctl.nova.config.plan import Configuration

SCHEMA = "gpuctl.nova.configure/1"


def configure_document(configuration: Configuration, layout: str, rendered: Rendered) -> dict[str, Any]:
    """Return `nova configure -f json`: the files by path, and what a person should know and do."""
    release = configuration.release
    return {
        "schema": SCHEMA,
        "release": {"number": release.number, "series": release.series, "name": release.name},
        "layout": layout,
        "hosts": list(configuration.hosts),
        "aliases": [dict(alias) for alias in configuration.aliases],
        "files": dict(rendered.files),
        "notes": [*configuration.notes, *rendered.notes],
        "restart": list(configuration.restart),
    }

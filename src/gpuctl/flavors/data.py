"""The files of the top-level folder flavors/: beside the sources, or in the wheel's gpuctl/_data."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """Return the folder that holds the schema, the device table and the ready catalogues."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_data" / "flavors"
    return shipped if shipped.is_dir() else package.parents[1] / "flavors"


def schema_file() -> Path:
    """Return the JSON Schema of catalogues."""
    return folder() / "schema" / "catalogue.schema.json"


def devices_file() -> Path:
    """Return the device table."""
    return folder() / "devices.yaml"


def ready() -> list[Path]:
    """Return the catalogues that come with gpuctl."""
    return sorted(file for file in folder().glob("*.yaml") if file.name != "devices.yaml")

"""The names that leftovers have: one path component, made of a uuid that is written as uuids are, and nothing else."""

from __future__ import annotations

import re
import uuid

from gpuctl_host.data import frozen

INSTANCE, RESIZE, BASE, OTHER = "instance", "resize", "base", "other"
SUFFIX = "_resize"
QUARANTINE = ".gpuctl-quarantine"
_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")
_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A name of a leftover as a part of a path, in whatever text holds paths (maps, links, XML).
IN_PATH = re.compile(rf"/({_FORM.pattern}(?:{SUFFIX})?)(?![\w.-])")


@frozen
class Named:
    """A folder of a server: its name, its server, and whether a resize has renamed it."""

    name: str
    uuid: str
    kind: str


def is_uuid(text: object) -> bool:
    """Say whether ``text`` is a uuid in the one form that Nova writes: it comes back the same through uuid.UUID."""
    if not isinstance(text, str) or _FORM.fullmatch(text) is None:
        return False
    return str(uuid.UUID(text)) == text


def parse_name(name: object) -> Named | None:
    """Return what server a folder of that name belongs to; None if the name is any other.

    There is no way from here to a path with more than one part: hex digits, dashes and "_resize" are all there is.
    """
    if not isinstance(name, str):
        return None
    stem, kind = (name[: -len(SUFFIX)], RESIZE) if name.endswith(SUFFIX) else (name, INSTANCE)
    return Named(name, stem, kind) if is_uuid(stem) else None


def name_of(server: str, kind: str) -> str:
    """Return the name of a server's folder.

    Raises:
        ValueError: ``server`` is no uuid: a defect of the caller, who has to ask is_uuid() first.
    """
    if not is_uuid(server):
        raise ValueError(f"not a uuid: {server!r}")
    return server + SUFFIX if kind == RESIZE else server


def kind_of(name: str) -> str:
    """Return instance, resize, base (Nova's image cache) or other."""
    named = parse_name(name)
    return named.kind if named else BASE if name == "_base" else OTHER


def is_run(name: str) -> bool:
    """Say whether ``name`` is one of a quarantine run's folders."""
    return _RUN.fullmatch(name) is not None

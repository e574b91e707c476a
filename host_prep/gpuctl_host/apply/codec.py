"""A journal's entries as JSON: written from the plan's records, read back with every field checked."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpuctl_host.changes.model import FILE, GENERATED, KINDS
from gpuctl_host.changes.past import Driven, Image, PastChange
from gpuctl_host.data import plain
from gpuctl_host.facts.model import Card

if TYPE_CHECKING:
    from gpuctl_host.changes.model import Change

SHA_LENGTH = 64


class Malformed(ValueError):
    """An entry is JSON, but not what an entry looks like."""


# ---------------------------------------------------------------- writing


def image_out(image: Image | None) -> dict[str, Any] | None:
    """Return an image as JSON."""
    return None if image is None else dict(plain(image))


def images_out(images: dict[str, Image | None]) -> dict[str, Any]:
    """Return images by path as JSON."""
    return {path: image_out(image) for path, image in images.items()}


def change_out(n: int, change: Change, before: Image | None, after: Image | None) -> dict[str, Any]:
    """Return a planned change as JSON, with the hashes of its contents in their place."""
    out = {"n": n, **plain(change)} if change.kind != FILE else {"n": n, **_bare(change)}
    if change.kind == FILE:
        out["before"], out["after"] = image_out(before), image_out(after)
    return out


def _bare(change: Change) -> dict[str, Any]:
    return {"kind": change.kind, "target": change.target, "reason": change.reason, "risk": change.risk}


# ---------------------------------------------------------------- reading


def text(entry: dict[str, Any], key: str) -> str:
    """Return a string.

    Raises:
        Malformed: it is none.
    """
    value = entry.get(key)
    if not isinstance(value, str):
        raise Malformed(f"{key!r} is no text")
    return value


def maybe_text(entry: dict[str, Any], key: str) -> str | None:
    """Return a string or None.

    Raises:
        Malformed: it is neither.
    """
    return None if entry.get(key) is None else text(entry, key)


def number(entry: dict[str, Any], key: str) -> int:
    """Return a whole number.

    Raises:
        Malformed: it is none, or no file could have it.
    """
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise Malformed(f"{key!r} is no number")
    return value


def texts(entry: dict[str, Any], key: str) -> tuple[str, ...]:
    """Return strings; none if the key is missing.

    Raises:
        Malformed: it is something else.
    """
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(f"{key!r} is no list of texts")
    return tuple(value)


def path_in(value: object) -> str:
    """Return an absolute path.

    Raises:
        Malformed: no file could have it.
    """
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or "/../" in value + "/":
        raise Malformed(f"{value!r} is no absolute path")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Malformed(f"{value!r} is no path") from error
    return value


def folders_in(entry: dict[str, Any], key: str) -> tuple[str, ...]:
    """Return absolute paths; none if the key is missing.

    Raises:
        Malformed: it is something else.
    """
    return tuple(path_in(item) for item in texts(entry, key))


def section(entry: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object; an empty one if the key is missing.

    Raises:
        Malformed: it is something else.
    """
    value = entry.get(key, {})
    if not isinstance(value, dict):
        raise Malformed(f"{key!r} is no object")
    return value


def image_in(value: object) -> Image | None:
    """Return an image.

    Raises:
        Malformed: it is none.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Malformed("an image is no object")
    sha = text(value, "sha256")
    if len(sha) != SHA_LENGTH or set(sha) - set("0123456789abcdef"):
        raise Malformed("a hash is no sha256")
    mode = number(value, "mode")
    if mode > 0o7777 or not isinstance(value.get("is_link"), bool):
        raise Malformed("an image has no mode")
    return Image(sha, number(value, "size"), mode, number(value, "uid"), number(value, "gid"), value["is_link"])


def images_in(value: object) -> dict[str, Image | None]:
    """Return images by path.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, dict):
        raise Malformed("images are no object")
    return {path_in(path): image_in(image) for path, image in value.items()}


def change_in(value: object) -> PastChange:
    """Return a planned change of a journal.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(value, dict):
        raise Malformed("a change is no object")
    kind, target = text(value, "kind"), text(value, "target")
    if kind not in KINDS:
        raise Malformed(f"no such kind of change: {kind!r}")
    if kind == FILE:
        before: Image | str | None = image_in(value.get("before"))
        after: Image | str | None = image_in(value.get("after"))
        path_in(target)
    else:
        before, after = maybe_text(value, "before"), maybe_text(value, "after")
    timeout = value.get("timeout", 0.0)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout < 1e9:
        raise Malformed("'timeout' is no number of seconds")
    paths = folders_in(value, "paths") if kind == GENERATED else texts(value, "paths")
    return PastChange(
        number(value, "n"), kind, target, before, after, text(value, "reason"), text(value, "risk"),
        paths, texts(value, "argv"), float(timeout),
    )  # fmt: skip


def card_in(value: object) -> Card:
    """Return a card.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(value, dict):
        raise Malformed("a card is no object")
    return Card(**{item.name: text(value, item.name) for item in fields(Card)})


def driven_in(value: object) -> Driven:
    """Return who had a function.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, dict):
        raise Malformed("a driver's record is no object")
    return Driven(maybe_text(value, "driver"), maybe_text(value, "module"), maybe_text(value, "override"))


def seconds(stamp: str) -> float:
    """Return an RFC 3339 time in seconds since the epoch.

    Raises:
        Malformed: it is none.
    """
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{stamp!r} is no time") from error

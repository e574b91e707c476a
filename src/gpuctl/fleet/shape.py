"""A host's answer to a check or for facts, as far as this house reads it: one that is not of this form is no answer.

Whoever owns a host owns what it says. It may say what it likes of itself, and must not stop, flood or mislead the rest.
"""

from __future__ import annotations

import re
from typing import Any

from gpuctl.remote.errors import BadAnswer

_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_STATUSES = ("pass", "warn", "fail", "skip")
_MANY = 20_000  # findings; eight cards with 256 functions each have a fifth of it
_LINE, _TEXT = 500, 50_000  # characters of a title, of an evidence
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")


def sound(name: str, document: dict[str, Any], *, check: bool) -> None:
    """Return if the document is what was asked for.

    Args:
        name: the host's, for the message.
        document: gpuctl.host.check/1 (with facts), or gpuctl.host.facts/1.
        check: which of the two.

    Raises:
        BadAnswer: it is not, and where.
    """
    try:
        _check(document) if check else _facts(document)
    except (KeyError, TypeError, AttributeError, _Wrong) as error:
        what = str(error) if isinstance(error, _Wrong) else f"{type(error).__name__}: {error}"
        raise BadAnswer(
            f"{name}: its answer is not of the form that was asked for",
            details=what[:_LINE],
            resolution="look at that host: whatever answers there in our place is not gpuctl",
        ) from error


class _Wrong(Exception):
    """Something is not as it should be."""


def _must(good: bool, what: str) -> None:  # noqa: FBT001 - an assertion
    if not good:
        raise _Wrong(what)


def _text(value: object, what: str, most: int = _TEXT) -> None:
    if not isinstance(value, str) or len(value) > most:
        raise _Wrong(f"{what} is no text of at most {most} characters")


def _check(document: dict[str, Any]) -> None:
    _host(document)
    _must(isinstance(document["ready"], bool), "ready is neither true nor false")
    findings = document["findings"]
    _must(isinstance(findings, list) and len(findings) <= _MANY, "findings is no list, or too long")
    for item in findings:
        if not isinstance(item["id"], str) or _ID.fullmatch(item["id"]) is None:
            raise _Wrong("a finding's id is none")
        if item["status"] not in _STATUSES:
            raise _Wrong(f"{item['id']}: its status is none")
        _text(item["title"], "a title", _LINE)
        _text(item["subject"], "a subject", _LINE)
        _text(item["evidence"], "an evidence")
        _text(item["fix"], "a fix")
    _gpus(document["gpus"])
    for gpu in document["gpus"]:
        _must(isinstance(gpu["ready"], bool), "a GPU is neither ready nor not")
    if document.get("facts") is not None:
        _facts(document["facts"])


def _facts(document: dict[str, Any]) -> None:
    _host(document)
    _must(document["iommu"]["enabled"] in (True, False, None), "iommu.enabled")
    if document["kernel"]["release"] is not None:
        _text(document["kernel"]["release"], "the kernel's release", _LINE)
    _gpus(document["gpus"])


def _host(document: dict[str, Any]) -> None:
    """The host's own name becomes part of file names (compute.HOST.conf)."""
    host = document["host"]
    _must(host is None or (isinstance(host, str) and _NAME.fullmatch(host) is not None), "host is no host's name")


def _gpus(gpus: object) -> None:
    _must(isinstance(gpus, list) and len(gpus) <= _MANY, "gpus is no list, or too long")
    for gpu in gpus if isinstance(gpus, list) else ():
        _text(gpu["address"], "an address", _LINE)
        _text(gpu["name"], "a GPU's name", _LINE)

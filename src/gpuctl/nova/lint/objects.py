"""Device specs and aliases taken out of the values, parsed as Nova parses them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.nova.lint.sources import Value
from gpuctl.nova.lint.substitution import resolve
from gpuctl.nova.matching import Matcher, SpecError, matcher

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Item:
    """One JSON object of a value, or what is wrong with it.

    Attributes:
        value: where it came from.
        fields: the object; empty where there is none.
        error: why it is none; empty where all is well.
    """

    value: Value
    fields: Mapping[str, Any]
    error: str = ""

    @property
    def where(self) -> str:
        """The option, its value and its place, for evidence."""
        text = " ".join(self.value.text.split())
        if len(text) > 160:
            text = text[:157] + "..."
        return f"{self.value.option} = {text} ({self.value.where})"


def specs_of(value: Value) -> list[Item]:
    """Return a whitelist value's objects: one, or a list of them (nova/pci/whitelist.py)."""
    loaded, error = _load(value)
    if error:
        return [Item(value, {}, error)]
    objects = loaded if isinstance(loaded, list) else [loaded]
    return [
        Item(value, item) if isinstance(item, dict) else Item(value, {}, f"{json.dumps(item)[:60]} is not an object")
        for item in objects
    ]


def alias_of(value: Value) -> Item:
    """Return an alias value's object."""
    loaded, error = _load(value)
    if not error and not isinstance(loaded, dict):
        error = "it is not an object"
        if isinstance(loaded, list):
            error = "it is a list: one alias a line, the line repeated"
    return Item(value, loaded if isinstance(loaded, dict) else {}, error)


def _load(value: Value) -> tuple[Any, str]:
    text, _ = resolve(value.text)
    try:
        return json.loads(text), ""
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {error}"
        if '\\"' in text:
            reason += '; \\" stays as it is in nova.conf: put no quotes around the value'
        elif "'" in text:
            reason += "; JSON has double quotes alone"
        return None, reason


def matcher_of(item: Item) -> Matcher | None:
    """Return the spec's matcher, or None where nova-compute would not start with it."""
    try:
        return None if item.error else matcher(item.fields)
    except SpecError:
        return None

"""Frozen records: one decorator for every value that crosses a room of the host's half, and its plain form for JSON."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True)
    def frozen(cls: type[T]) -> type[T]: ...

else:
    # `slots=True` came with Python 3.10; on 3.9 the records are frozen all the same, only larger.
    _SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}

    def frozen(cls):
        """Make ``cls`` an immutable dataclass, with slots where Python has them."""
        return dataclasses.dataclass(frozen=True, **_SLOTS)(cls)


def plain(value: Any) -> Any:  # noqa: ANN401 - any record in, any JSON value out
    """Return ``value`` with every record made a dict and every tuple a list, ready for ``json.dumps``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def changed(value: T, **fields: Any) -> T:  # noqa: ANN401
    """Return a copy of the record ``value`` in which ``fields`` differ."""
    return dataclasses.replace(value, **fields)  # type: ignore[type-var]

"""Frozen records: one decorator for every value that crosses a room of the host's half, and its plain form for JSON."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
    def frozen(cls: type[T]) -> type[T]:
        """Make ``cls`` an immutable record."""
        ...

else:
    # `slots=True` came with Python 3.10; on 3.9 the records are frozen all the same, only larger.
    _SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}

    def _values(self: Any) -> tuple[Any, ...]:  # noqa: ANN401
        return tuple([getattr(self, name) for name in self.__dataclass_fields__])

    def _equal(self: Any, other: object) -> Any:  # noqa: ANN401
        return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented

    def _hash(self: Any) -> int:  # noqa: ANN401
        return hash(_values(self))

    def _show(self: Any) -> str:  # noqa: ANN401
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
        return f"{type(self).__qualname__}({inner})"

    def frozen(cls: type[T]) -> type[T]:
        """Make ``cls`` an immutable dataclass, with slots where Python has them.

        Comparison, hash and repr are shared functions: dataclasses would compile three more for each of 30 records,
        which is a tenth of what a whole `host check` may cost.
        """
        made = dataclasses.dataclass(frozen=True, eq=False, repr=False, **_SLOTS)(cls)
        made.__eq__, made.__hash__, made.__repr__ = _equal, _hash, _show
        return made


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

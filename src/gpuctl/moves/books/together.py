"""Several requests at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

AT_ONCE = 8
T = TypeVar("T")
U = TypeVar("U")


def together(function: Callable[[T], U], items: Collection[T]) -> list[U]:
    """Return the function's answers in the items' order; the first error of any is raised."""
    if len(items) < 2:
        return [function(one) for one in items]
    with ThreadPoolExecutor(min(AT_ONCE, len(items)), thread_name_prefix="books") as pool:
        return list(pool.map(function, items))

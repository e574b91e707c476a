"""The books: Nova's records, Placement's allocations, the database's rows and the hosts' domains, read and compared."""

from __future__ import annotations

from gpuctl.moves.books.database import NovaDatabase
from gpuctl.moves.books.host_link import HostLook
from gpuctl.moves.books.read import read_books

__all__ = ["HostLook", "NovaDatabase", "read_books"]

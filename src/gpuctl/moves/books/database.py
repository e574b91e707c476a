"""Nova's database, read only, where the operator gives it: the PCI rows, which no API shows.

One URL a cell. Nothing is ever written: the transaction is read only, and a snapshot, so that it agrees with itself.
Only columns are named that are there in every release since Mitaka (nova/db/main/models.py).
"""

from __future__ import annotations

import re
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from gpuctl.moves.errors import MoveError
from gpuctl.moves.model import Migration, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Ask = Callable[[str], list[tuple[Any, ...]]]

TIMEOUT = 20  # seconds for the connection, and for each answer
# No filter on the compute node's `deleted`: Instance.pci_devices has none either, so such a row still counts.
_ROWS = """
SELECT p.id, c.host, p.compute_node_id, p.address, p.vendor_id, p.product_id, p.dev_type, p.status, p.instance_uuid,
       p.request_id, p.extra_info, p.parent_addr
FROM pci_devices p LEFT JOIN compute_nodes c ON c.id = p.compute_node_id
WHERE p.deleted = 0
"""
_GONE = """
SELECT DISTINCT p.instance_uuid FROM pci_devices p LEFT JOIN instances i ON i.uuid = p.instance_uuid AND i.deleted = 0
WHERE p.deleted = 0 AND p.instance_uuid IS NOT NULL AND i.uuid IS NULL
"""
# A host that went to another cell leaves a deleted one in its old one's; `deleted` is 0, or the row's own id.
_HOSTS = "SELECT host, MIN(deleted) FROM compute_nodes GROUP BY host"
# A deleted server's migrations are marked deleted with it, and no API shows them any more; uuid is there since Pike.
_MOVED = """
SELECT id, uuid, instance_uuid, migration_type, status, source_compute, dest_compute, created_at, updated_at
FROM migrations WHERE instance_uuid = '{id}' OR uuid = '{id}' ORDER BY id
"""


class BadDatabaseUrl(MoveError):
    """The URL is none that gpuctl can read from."""

    exit_code = 2


class DatabaseUnreachable(MoveError):
    """The database cannot be read."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """What the database shows at one moment.

    Attributes:
        rows: of `pci_devices`, of every cell.
        gone: owners of rows that are deleted servers, or none.
        cells: compute host -> which of the databases has it; of a host of none nothing is shown, whatever there is.
    """

    rows: tuple[Row, ...]
    gone: frozenset[str]
    cells: Mapping[str, int]


@dataclass(frozen=True)
class NovaDatabase:
    """The cells' databases.

    Attributes:
        urls: one a cell, with passwords: not in its repr, and never printed.
    """

    urls: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, said: Sequence[str]) -> NovaDatabase:
        """Return the databases of ``--nova-db``; nothing is connected yet.

        Args:
            said: URLs as in nova.conf's `[database] connection`, or @FILE with one a line.

        Raises:
            BadDatabaseUrl: it is no URL, or none of MySQL, MariaDB or SQLite; or the file cannot be read.
        """
        urls = tuple(url for one in said for url in (_lines(one[1:]) if one.startswith("@") else one.split()))
        for url in urls:
            if not re.match(r"(mysql|mariadb)(\+\w+)?://[^/]+/\w+|sqlite:////?\S+", url):
                raise BadDatabaseUrl(
                    f"--nova-db: {masked(url)} is no URL of a Nova database",
                    resolution="as in nova.conf: mysql+pymysql://USER:PASSWORD@HOST/nova; or @FILE with that in it",
                )
        if not urls:
            raise BadDatabaseUrl("--nova-db names no database", resolution="write one URL a line, one a cell")
        return cls(urls)

    def read(self) -> DatabaseView:
        """Return what all the cells show.

        Raises:
            DatabaseUnreachable: one of them cannot be read; an answer of some cells alone would mislead.
        """
        rows: list[Row] = []
        gone: set[str] = set()
        cells: dict[str, int] = {}
        before: dict[str, int] = {}
        for cell, url in enumerate(self.urls):
            with _connected(url) as ask:
                rows += (_row(one) for one in ask(_ROWS))
                gone |= {one[0] for one in ask(_GONE)}
                for host, deleted in ask(_HOSTS):
                    (before if deleted else cells)[host] = cell
        return DatabaseView(tuple(rows), frozenset(gone), {**before, **cells})

    def rows_of(self, server: str) -> tuple[Row, ...]:
        """Return the rows that a server owns, in every cell.

        Raises:
            DatabaseUnreachable: it cannot be read.
        """
        text = f"{_ROWS} AND p.instance_uuid = '{uuid.UUID(server)}'"
        found: list[Row] = []
        for url in self.urls:
            with _connected(url) as ask:
                found += (_row(one) for one in ask(text))
        return tuple(found)

    def migrations(self, which: str) -> tuple[Migration, ...]:
        """Return the migrations of a server, or the one that is named itself; those of deleted servers too.

        Args:
            which: a server's uuid, or a migration's.

        Raises:
            DatabaseUnreachable: it cannot be read.
        """
        text = _MOVED.format(id=uuid.UUID(which))
        found: list[Migration] = []
        for url in self.urls:
            with _connected(url) as ask:
                found += (_migration(one) for one in ask(text))
        return tuple(found)


def masked(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url)


def _lines(name: str) -> list[str]:
    try:
        text = Path(name).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDatabaseUrl(
            f"--nova-db: {name} cannot be read",
            details=str(error),
            resolution="a file with one URL a line, readable by you alone",
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _row(said: tuple[Any, ...]) -> Row:
    number, host, node, address, vendor, product, kind, status, owner, request, more, parent = said
    return Row(
        host=host or f"compute node {node}",
        address=str(address).lower(),
        vendor_id=vendor,
        product_id=product,
        kind=kind,
        status=status,
        owner=owner,
        request=request,
        id=number,
        # {"capabilities": "{\"network\": [...]}", "parent_ifname": ...}: only network cards have either.
        network="network" in (more or "") or "parent_ifname" in (more or ""),
        parent=str(parent).lower() if parent else None,
    )


def _migration(said: tuple[Any, ...]) -> Migration:
    number, name, server, kind, status, source, dest, created, updated = said
    return Migration(
        id=number,
        uuid=name,
        server=server,
        kind=kind or "migration",
        status=status,
        source=source,
        dest=dest,
        created=str(created or ""),
        updated=str(updated or ""),
    )


@contextmanager
def _connected(url: str) -> Iterator[Ask]:
    parts = urlsplit(url)
    with _sqlite(parts) if parts.scheme == "sqlite" else _mysql(parts, url) as ask:
        yield ask


@contextmanager
def _sqlite(parts: SplitResult) -> Iterator[Ask]:
    """A file, as tests and small installations have it; opened so that it cannot be written."""
    import sqlite3
    from contextlib import closing

    path = unquote(parts.path)[1:]  # sqlite:///relative, sqlite:////absolute
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=TIMEOUT)) as base:
            base.execute("BEGIN")
            yield lambda text: base.execute(text).fetchall()
    except sqlite3.Error as error:
        raise DatabaseUnreachable(f"{path} cannot be read", details=str(error), resolution=_LOOK) from error


@contextmanager
def _mysql(parts: SplitResult, url: str) -> Iterator[Ask]:
    """MySQL or MariaDB, in a read-only snapshot."""
    try:
        import pymysql
    except ImportError as error:
        raise BadDatabaseUrl(
            "--nova-db needs PyMySQL, which is not installed", resolution="pip install PyMySQL, in gpuctl's environment"
        ) from error
    asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    secure = {key: asked[key] for key in ("ssl_ca", "ssl_cert", "ssl_key") if key in asked}
    try:
        base = pymysql.connect(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/"),
            charset="utf8mb4",
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            unix_socket=asked.get("unix_socket"),
            autocommit=True,
            **secure,
        )
        try:
            with base.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")

                def ask(text: str) -> list[tuple[Any, ...]]:
                    cursor.execute(text)
                    return list(cursor.fetchall())

                yield ask
        finally:
            base.close()
    except (pymysql.MySQLError, OSError) as error:
        said = str(error).replace(unquote(parts.password), "***") if parts.password else str(error)
        raise DatabaseUnreachable(f"{masked(url)} cannot be read", details=said, resolution=_LOOK) from error


_LOOK = "a user that may SELECT on nova's pci_devices, compute_nodes, instances and migrations is enough"

"""MariaDB for the lab: SQLite answers "database is locked" in the middle of a migration."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from .install import Install
from .process import Command

DATABASES = ("keystone", "placement", "glance", "nova_api", "nova_cell0", "nova")


def url(port: int, database: str) -> str:
    """The SQLAlchemy URL of a database. No password: the server checks none (see `command`)."""
    return f"mysql+pymysql://lab@127.0.0.1:{port}/{database}?charset=utf8mb4"


def command(install: Install, data: Path, port: int) -> Command:
    """Runs MariaDB on loopback.

    Grants are off: whoever can reach the loopback of this machine may do what they like in a lab. Durability is off
    too: a lab that loses power is made anew.
    """
    return Command(
        argv=(
            *_common(install, data),
            f"--port={port}",
            "--bind-address=127.0.0.1",
            # Relative to the data folder: the path of a Unix socket may be 107 bytes long.
            "--socket=lab.sock",
            f"--pid-file={data / 'lab.pid'}",
            "--skip-grant-tables",
            "--skip-name-resolve",
            "--max-connections=500",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--innodb-buffer-pool-size=96M",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
        ),
        env=install.libraries,
    )


def create(install: Install, data: Path) -> None:
    """A new, empty data folder with MariaDB's system tables is there."""
    shutil.rmtree(data, ignore_errors=True)
    (data / "mysql").mkdir(parents=True)
    share = install.debian / "usr" / "share" / "mysql"
    script = "use mysql;\n" + "".join(
        (share / name).read_text(encoding="utf-8")
        for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
    )
    done = subprocess.run(
        [*_common(install, data), "--bootstrap"],
        input=script,
        env={**os.environ, **install.libraries},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise RuntimeError(f"MariaDB's first start failed: {done.stderr[-2000:]}")


def query(
    install: Install, port: int, sql: str, arguments: tuple[Any, ...] = (), schema: str | None = None
) -> list[dict[str, Any]]:
    """The rows that one statement returns, committed; tables without a database's name are the schema's."""
    pymysql = _pymysql(install)
    connection = pymysql.connect(
        host="127.0.0.1",
        port=port,
        user="lab",
        database=schema,
        autocommit=True,
        connect_timeout=5,
        cursorclass=pymysql.cursors.DictCursor,
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            return list(cursor.fetchall())
    finally:
        connection.close()


def _common(install: Install, data: Path) -> tuple[str, ...]:
    """The server's path and the options that every start needs, as the packages are not in /usr."""
    share = install.debian / "usr" / "share" / "mysql"
    user = ("--user=root",) if os.geteuid() == 0 else ()
    return (
        str(install.debian / "usr" / "sbin" / "mariadbd"),
        "--no-defaults",
        *user,
        f"--datadir={data}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={install.debian / 'usr' / 'lib' / 'mysql' / 'plugin'}",
        "--innodb-log-file-size=16M",
        "--innodb-use-native-aio=OFF",
    )


def _pymysql(install: Install) -> ModuleType:
    """PyMySQL (pure Python) out of the lab's virtual environment: the tests' own need not have it."""
    if "pymysql" in sys.modules:
        return sys.modules["pymysql"]
    folder = install.site_packages / "pymysql"
    spec = importlib.util.spec_from_file_location(
        "pymysql", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise RuntimeError(f"no PyMySQL in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pymysql"] = module
    spec.loader.exec_module(module)
    return module

"""Nova's database: read only, several cells, no password in any message."""

from __future__ import annotations

import sqlite3

import pytest

from gpuctl.moves.books.database import (
    BadDatabaseUrl,
    DatabaseUnreachable,
    NovaDatabase,
    masked,
)

OWNER, DEAD = "aaaaaaaa-0000-0000-0000-000000000001", "aaaaaaaa-0000-0000-0000-000000000002"


@pytest.fixture
def cell(tmp_path):
    """Make a cell's database with these rows of pci_devices: (id, node, address, status, owner, extra)."""

    def make(name, *rows):
        base = sqlite3.connect(tmp_path / name)
        base.executescript("""
            CREATE TABLE compute_nodes (id INTEGER, host TEXT, deleted INTEGER);
            CREATE TABLE instances (uuid TEXT, deleted INTEGER);
            CREATE TABLE pci_devices (id INTEGER, compute_node_id INTEGER, address TEXT, vendor_id TEXT, product_id TEXT, dev_type TEXT,
                                      status TEXT, instance_uuid TEXT, request_id TEXT, extra_info TEXT, parent_addr TEXT, deleted INTEGER);
            INSERT INTO compute_nodes VALUES (1, 'gpu-a', 0), (2, 'gpu-b', 7);
        """)
        base.executemany("INSERT INTO instances VALUES (?, ?)", [(OWNER, 0), (DEAD, 12)])
        for number, node, address, status, owner, extra, deleted in rows:
            base.execute(
                "INSERT INTO pci_devices VALUES (?, ?, ?, '10de', '2330', 'type-PF', ?, ?, NULL, ?, NULL, ?)",
                (number, node, address, status, owner, extra, deleted),
            )
        base.commit()
        base.close()
        return f"sqlite:///{tmp_path / name}"

    return make


def test_rows_and_their_owners(cell):
    url = cell(
        "nova.db",
        (1, 1, "0000:04:00.0", "allocated", OWNER, "{}", 0),
        (2, 2, "0000:05:00.0", "allocated", DEAD, None, 0),
        (3, 3, "0000:06:00.0", "available", None, '{"capabilities": "{\\"network\\": [\\"rx\\"]}"}', 0),
        (4, 1, "0000:07:00.0", "allocated", OWNER, "{}", 4),
    )
    view = NovaDatabase.of([url]).read()
    assert [(one.id, one.host, one.address, one.status, one.owner, one.network) for one in view.rows] == [
        (1, "gpu-a", "0000:04:00.0", "allocated", OWNER, False),
        (
            2,
            "gpu-b",
            "0000:05:00.0",
            "allocated",
            DEAD,
            False,
        ),  # of a deleted compute node: Nova counts it all the same
        (3, "compute node 3", "0000:06:00.0", "available", None, True),
    ]
    assert view.gone == {DEAD}


def test_several_cells(cell):
    urls = [
        cell("one.db", (1, 1, "0000:04:00.0", "available", None, "{}", 0)),
        cell("two.db", (1, 1, "0000:84:00.0", "available", None, "{}", 0)),
    ]
    assert [one.address for one in NovaDatabase.of([" ".join(urls)]).read().rows] == ["0000:04:00.0", "0000:84:00.0"]


def test_one_cell_missing_is_no_answer(cell, tmp_path):
    urls = [cell("one.db", (1, 1, "0000:04:00.0", "available", None, "{}", 0)), f"sqlite:///{tmp_path}/two.db"]
    with pytest.raises(DatabaseUnreachable, match=r"two\.db cannot be read"):
        NovaDatabase.of(urls).read()


def test_from_a_file(cell, tmp_path):
    url = cell("nova.db", (1, 1, "0000:04:00.0", "available", None, "{}", 0))
    (tmp_path / "urls").write_text(f"# the only cell\n\n{url}\n")
    assert len(NovaDatabase.of([f"@{tmp_path}/urls"]).read().rows) == 1


@pytest.mark.parametrize(
    "said",
    ["nova", "postgresql://nova:secret@db/nova", "mysql://db", "@/nowhere/at/all", "  "],
)
def test_what_is_no_url(said):
    with pytest.raises(BadDatabaseUrl) as caught:
        NovaDatabase.of([said])
    assert caught.value.exit_code == 2
    assert "secret" not in f"{caught.value.brief} {caught.value.details}"


def test_passwords_are_nowhere():
    base = NovaDatabase.of(["mysql+pymysql://nova:p%40ss:w@127.0.0.1:1/nova"])
    assert "p%40ss" not in repr(base)
    pytest.importorskip("pymysql")
    with pytest.raises(DatabaseUnreachable) as caught:
        base.read()
    said = f"{caught.value.brief} {caught.value.details}"
    assert "p%40ss" not in said
    assert "p@ss" not in said
    assert "nova:***@127.0.0.1:1/nova" in said


def test_masked():
    assert masked("mysql://u:p@ss:word@h/d") == "mysql://u:***@h/d"
    assert masked("sqlite:////var/x") == "sqlite:////var/x"


def test_it_cannot_be_written(cell):
    from urllib.parse import urlsplit

    from gpuctl.moves.books.database import _sqlite

    url = cell("nova.db")
    with pytest.raises(DatabaseUnreachable, match="cannot be read"), _sqlite(urlsplit(url)) as ask:
        ask("DELETE FROM compute_nodes")


def test_the_migrations_of_a_deleted_server_are_found_by_it_and_by_one_of_them(tmp_path):
    moved = "aaaaaaaa-0000-0000-0000-00000000000a"
    base = sqlite3.connect(tmp_path / "moved.db")
    base.executescript("""
        CREATE TABLE migrations (id INTEGER, uuid TEXT, instance_uuid TEXT, migration_type TEXT, status TEXT, source_compute TEXT,
                                 dest_compute TEXT, created_at TEXT, updated_at TEXT, deleted INTEGER);
    """)
    base.execute(
        "INSERT INTO migrations VALUES (7, ?, ?, 'migration', 'finished', 'gpu-a', 'gpu-b', '2026', NULL, 7)",
        (moved, DEAD),
    )
    base.commit()
    base.close()
    database = NovaDatabase.of([f"sqlite:///{tmp_path / 'moved.db'}"])
    for which in (DEAD, moved):
        (one,) = database.migrations(which)
        assert (one.id, one.uuid, one.server, one.status, one.source, one.dest) == (
            *(7, moved, DEAD, "finished"),
            *("gpu-a", "gpu-b"),
        )
    assert database.migrations(OWNER) == ()
    with pytest.raises(ValueError, match="badly formed"):
        database.migrations("' OR 1=1 --")


def test_which_cell_a_host_is_in(cell, tmp_path):
    first, second = cell("first.db"), cell("second.db")
    base = sqlite3.connect(tmp_path / "second.db")
    base.execute("UPDATE compute_nodes SET deleted = 9 WHERE host = 'gpu-a'")
    base.execute("INSERT INTO compute_nodes VALUES (3, 'gpu-c', 0)")
    base.commit()
    base.close()
    view = NovaDatabase.of([first, second]).read()
    assert (view.cells["gpu-a"], view.cells["gpu-c"]) == (0, 1), "gpu-a was in the second once"
    assert "gpu-b" in view.cells, "of one that is deleted the rows still count"

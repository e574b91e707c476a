"""Makes, once for all labs of this machine, a database with all schemas, the admin user and the cell in it.

The schemas alone cost over a minute; a new lab copies the finished data folder instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import config, database, ini, process
from .install import Install, exclusive
from .layout import Layout, Ports
from .topology import Topology

_SERVICES = {"placement": "placement", "image": "glance", "network": "neutron", "compute": "nova"}


def ensure(install: Install) -> Path:
    """The template's folder is complete."""
    with exclusive(install.cache / "template.lock"):
        if not install.template.exists():
            _build(install)
    return install.template


def adopt(install: Install, layout: Layout) -> None:
    """A lab that has no database yet has a copy of the template's."""
    if layout.mysql.exists():
        return
    template = ensure(install)
    part = layout.state / "mysql.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(layout.state / "keystone", ignore_errors=True)
    shutil.copytree(template / "keystone", layout.state / "keystone")
    shutil.copytree(template / "mysql", part)
    # Last, and in one step: a killed `up` starts the copy anew.
    part.rename(layout.mysql)


def point_at_ports(install: Install, ports: Ports, broker_url: str) -> None:
    """Keystone's catalogue and Nova's cells name this lab's ports, whatever lab they were copied from."""
    addresses = config.endpoints(ports)
    cases = " ".join(["when %s then %s"] * len(addresses))
    arguments = tuple(value for pair in addresses.items() for value in pair)
    database.query(
        install,
        ports.mariadb,
        f"update keystone.endpoint e join keystone.service s on e.service_id = s.id"  # noqa: S608  # only placeholders
        f" set e.url = case s.type {cases} else e.url end",
        arguments,
    )
    for name, schema, transport in (("cell0", "nova_cell0", "none:///"), ("cell1", "nova", broker_url)):
        database.query(
            install,
            ports.mariadb,
            "update nova_api.cell_mappings set database_connection = %s, transport_url = %s where name = %s",
            (database.url(ports.mariadb, schema), transport, name),
        )


def _build(install: Install) -> None:
    part = install.template.with_suffix(".part")
    # What an earlier, killed build left running would hold the files.
    process.stop(part, process.find(part), grace_s=0)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    layout = Layout(part)
    ports = layout.ports()
    database.create(install, layout.mysql)
    process.start(part, "mariadb", database.command(install, layout.mysql, ports.mariadb), part / "mariadb.log")
    try:
        _wait(install, ports)
        for name in database.DATABASES:
            database.query(install, ports.mariadb, f"create database {name}")
        _configure(install, layout, ports)
        _sync(install, layout, ports)
        _fill_catalogue(install, ports)
        _grant_service(install, ports)
    finally:
        process.stop(part, ["mariadb"], grace_s=60)
    for leftover in ("etc", "nova"):
        shutil.rmtree(part / leftover, ignore_errors=True)
    part.rename(install.template)


def _wait(install: Install, ports: Ports) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            database.query(install, ports.mariadb, "select 1")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _configure(install: Install, layout: Layout, ports: Ports) -> None:
    nothing = Topology(hosts=(), aliases=())
    ini.write(layout.etc / "keystone.conf", config.keystone(layout, ports))
    ini.write(layout.etc / "placement.conf", config.placement(ports))
    ini.write(layout.etc / "glance-api.conf", config.glance(layout, ports, install))
    ini.write(layout.etc / "nova.conf", config.nova(layout, ports, nothing, "manage"))


def _sync(install: Install, layout: Layout, ports: Ports) -> None:
    """All schemas are at their newest; keys, admin and cells are made."""
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    for key in ("fernet", "credential"):
        (layout.state / "keystone" / key).mkdir(mode=0o700, parents=True)
    keystone, nova = ["keystone-manage", "keystone.conf"], ["nova-manage", "nova.conf"]
    commands = [
        [*keystone, "db_sync"],
        [*keystone, "fernet_setup", *owner],
        [*keystone, "credential_setup", *owner],
        [*keystone, "bootstrap", "--bootstrap-username", config.USER, "--bootstrap-password", config.PASSWORD,
         "--bootstrap-project-name", config.USER, "--bootstrap-role-name", "admin",
         "--bootstrap-service-name", "keystone", "--bootstrap-region-id", config.REGION,
         # keystonemiddleware asks for the internal one.
         *(f"--bootstrap-{kind}-url={config.auth_url(ports)}" for kind in ("admin", "public", "internal"))],
        ["placement-manage", "placement.conf", "db", "sync"],
        ["glance-manage", "glance-api.conf", "db_sync"],
        [*nova, "api_db", "sync"],
        [*nova, "cell_v2", "map_cell0", "--database_connection", database.url(ports.mariadb, "nova_cell0")],
        [*nova, "db", "sync"],
        [*nova, "cell_v2", "create_cell", "--name", "cell1"],
    ]  # fmt: skip
    for program, conf, *arguments in commands:
        _manage(install, layout, program, conf, arguments)


def _manage(install: Install, layout: Layout, program: str, conf: str, arguments: list[str]) -> None:
    env = {**os.environ, "OS_PLACEMENT_CONFIG_DIR": str(layout.etc), "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
    command = [str(install.venv / "bin" / program), "--config-file", str(layout.etc / conf), *arguments]
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(command, env=env, stdout=out, stderr=out, check=False, timeout=1800)
        if done.returncode != 0:
            out.seek(0)
            raise RuntimeError(f"{program} {' '.join(arguments[:2])}: {out.read().decode(errors='replace')[-3000:]}")


def _grant_service(install: Install, ports: Ports) -> None:
    """The lab's one user has the role `service` too: Placement lets only that one reshape, which a PCI claim does."""
    database.query(
        install,
        ports.mariadb,
        "insert into keystone.assignment (type, actor_id, target_id, role_id, inherited)"
        " select 'UserProject', a.actor_id, a.target_id, r.id, 0 from keystone.assignment a, keystone.role r"
        " where a.type = 'UserProject' and r.name = 'service'"
        " and a.role_id = (select id from keystone.role where name = 'admin')",
    )


def _fill_catalogue(install: Install, ports: Ports) -> None:
    """The catalogue lists all services. Straight into the tables: Keystone is not running here."""
    for kind, name in _SERVICES.items():
        key = f"{name:0<32}"
        database.query(
            install,
            ports.mariadb,
            "insert into keystone.service (id, type, enabled, extra) values (%s, %s, 1, %s)",
            (key, kind, f'{{"name": "{name}"}}'),
        )
        for interface in ("public", "internal", "admin"):
            database.query(
                install,
                ports.mariadb,
                "insert into keystone.endpoint (id, interface, service_id, url, extra, enabled, region_id)"
                " values (%s, %s, %s, 'http://127.0.0.1', '{}', 1, %s)",
                (f"{name}{interface}".ljust(32, "0"), interface, key, config.REGION),
            )

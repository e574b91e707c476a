"""RabbitMQ for Nova's RPC, started without its own scripts (they look for /usr/lib/erlang)."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from .install import Install
from .layout import Ports
from .process import Command


def url(ports: Ports) -> str:
    """oslo.messaging's transport URL."""
    return f"rabbit://guest:guest@127.0.0.1:{ports.amqp}/"


def epmd(install: Install, ports: Ports) -> Command:
    """Erlang's port mapper, on loopback and on a port of its own: an Erlang node does not start without one."""
    binary = next((install.debian / "usr" / "lib" / "erlang").glob("erts-*/bin/epmd"))
    return Command(
        argv=(str(binary), "-port", str(ports.epmd)), env={**install.libraries, "ERL_EPMD_ADDRESS": "127.0.0.1"}
    )


def prepare(folder: Path, ports: Ports) -> None:
    """The broker's folder is empty but for its configuration: queues of an earlier run are worth nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.local = 127.0.0.1:{ports.amqp}\nloopback_users = none\nlog.console = true\nlog.file = false\n",
        encoding="utf-8",
    )


def command(install: Install, folder: Path, ports: Ports) -> Command:
    """Runs RabbitMQ in the foreground."""
    home = next((install.debian / "usr" / "lib" / "rabbitmq" / "lib").glob("rabbitmq_server-*"))
    return Command(
        argv=(
            str(install.debian / "bin" / "erl"),
            *("-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl"),
            # Idle schedulers sleep instead of spinning; the machine has other work.
            *("+W", "w", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "+B", "i"),
            *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
            *("-kernel", "prevent_overlapping_partitions", "false"),
            *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
        ),
        env={
            **install.libraries,
            "HOME": str(folder),
            "ERL_LIBS": str(home / "plugins"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(ports.epmd),
            "ERL_MAX_ETS_TABLES": "50000",
            "ERL_CRASH_DUMP_BYTES": "0",
            "SYS_PREFIX": "",
            "RABBITMQ_HOME": str(home),
            "RABBITMQ_NODENAME": "lab@localhost",
            "RABBITMQ_DIST_PORT": str(ports.erlang),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_DIR": str(home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        },
        cwd=folder,
    )


def answers(ports: Ports) -> bool:
    """The broker speaks AMQP, which it does somewhat later than it listens."""
    try:
        with socket.create_connection(("127.0.0.1", ports.amqp), timeout=2) as link:
            link.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(link.recv(8))
    except OSError:
        return False

"""A run's line in the journal, read from a datagram socket as journald would."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from gpuctl_host.apply import journald
from gpuctl_host.host import Host

RECORD = {"run": "20261121T100000Z-3f2a", "verb": "prepare", "uid": 0, "sudo_user": "ann", "argv": ["gpuctl", "host", "prepare"], "version": "0.1.0",
          "cards": ["0000:42:00.0"], "changes": ["file /etc/gpuctl/cards", "bind 0000:42:00.0"], "result": "done"}  # fmt: skip


def decode(data: bytes) -> dict[str, str]:
    """The native protocol, as systemd's own documentation has it."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            data = rest
        else:
            (size,) = struct.unpack("<Q", rest[:8])
            value, end, data = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        assert name.decode().replace("_", "A").isalnum() and name.decode().isupper()
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journal(tmp_path):
    os.makedirs(tmp_path / "run/systemd/journal")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here = os.getcwd()
    os.chdir(tmp_path)  # the name of a socket may have 107 bytes
    server.bind("run/systemd/journal/socket")
    server.settimeout(5)
    host = Host(str(tmp_path), live=True)
    host.real = lambda path: path.lstrip("/")
    yield host, server
    os.chdir(here)
    server.close()


def test_a_run_is_told_with_its_fields(journal):
    host, server = journal
    journald.tell(host, RECORD)
    fields = decode(server.recv(1 << 20))
    assert fields["GPUCTL_RUN"] == RECORD["run"]
    assert (fields["GPUCTL_VERB"], fields["GPUCTL_RESULT"], fields["GPUCTL_UID"], fields["SUDO_USER"]) == (
        "prepare",
        "done",
        "0",
        "ann",
    )
    assert fields["GPUCTL_CHANGES"].splitlines() == RECORD["changes"]
    assert fields["PRIORITY"] == "5"
    assert fields["MESSAGE"] == "gpuctl host prepare by ann: done, 2 changes"
    assert fields["MESSAGE_ID"] == journald.MESSAGE_ID


def test_a_failure_is_a_warning_with_its_reason(journal):
    host, server = journal
    journald.tell(host, {**RECORD, "sudo_user": None, "result": "undone", "error": "disk\nfull"})
    fields = decode(server.recv(1 << 20))
    assert fields["PRIORITY"] == "4"
    assert fields["GPUCTL_ERROR"] == "disk\nfull"
    assert "SUDO_USER" not in fields


def test_a_record_that_no_datagram_takes_is_shortened(journal):
    host, server = journal
    journald.tell(host, {**RECORD, "changes": ["file /etc/" + "x" * 200] * 5000})
    assert "see the audit log" in decode(server.recv(1 << 20))["GPUCTL_CHANGES"]


def test_a_full_or_absent_journal_delays_nobody(journal, tmp_path):
    host, server = journal
    for _ in range(3000):  # nobody reads: the queue is full long before
        journald.tell(host, RECORD)
    server.close()
    journald.tell(host, RECORD)
    os.unlink("run/systemd/journal/socket")
    journald.tell(host, RECORD)


def test_a_tree_tells_nobody(journal):
    host, server = journal
    host.live = False
    journald.tell(host, RECORD)
    server.settimeout(0)
    with pytest.raises(BlockingIOError):
        server.recv(1)

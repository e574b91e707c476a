"""The audit log's line once more, in the host's journal: `journalctl GPUCTL_RUN=...` finds what a run did.

A copy for whoever collects journals; the audit log is the one that counts. A host without journald has none.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuctl_host.host import Host

SOCKET = "/run/systemd/journal/socket"
# journalctl shows these together: MESSAGE_ID=... (systemd.journal-fields(7))
MESSAGE_ID = "6f3c1d0a5a7e4d0f9d2b8e2f64c7a915"
_NOTICE, _WARNING = "5", "4"
_BYTES_MAX = 128 * 1024  # what a datagram takes everywhere; the protocol's way for more is a memfd


def tell(host: Host, record: Mapping[str, Any]) -> None:
    """Journald has the record, if there is one that takes it: nobody waits for it, and no error leaves.

    Args:
        host: on a captured tree nothing is sent.
        record: a line of the audit log.
    """
    if not host.live:
        return
    import socket

    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.settimeout(0)
        data = encode(fields_of(record))
        if len(data) > _BYTES_MAX:
            data = encode(fields_of({**record, "changes": ["too many to be shown here: see the audit log"]}))
        out.sendto(data, host.real(SOCKET))


def fields_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the journal's fields for a line of the audit log; what it has not is left out."""
    well = record.get("result") == "done"
    changes = record.get("changes") or ()
    who = record.get("sudo_user") or f"uid {record.get('uid')}"
    fields = {
        "MESSAGE": f"gpuctl host {record.get('verb')} by {who}: {record.get('result')}, {len(changes)} changes"
        + (f": {record['error']}" if record.get("error") else ""),
        "MESSAGE_ID": MESSAGE_ID,
        "PRIORITY": _NOTICE if well else _WARNING,
        "SYSLOG_IDENTIFIER": "gpuctl",
        "SUDO_USER": record.get("sudo_user"),
    }
    for key in ("run", "verb", "result", "version", "uid", "error"):
        fields[f"GPUCTL_{key.upper()}"] = record.get(key)
    for key in ("argv", "cards", "changes"):
        fields[f"GPUCTL_{key.upper()}"] = "\n".join(map(str, record.get(key) or ()))
    return {name: str(value) for name, value in fields.items() if value is not None and value != ""}


def encode(fields: Mapping[str, str]) -> bytes:
    """Return the fields in journald's native protocol: NAME=value, or length and value where it has line ends."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "surrogateescape")
        framed = b"\n" + struct.pack("<Q", len(data)) if b"\n" in data else b"="
        parts.append(name.encode() + framed + data + b"\n")
    return b"".join(parts)

"""Take out of text what tells one machine from another: serials, MACs, UUIDs, host names; equal things stay equal."""

from __future__ import annotations

import re
from typing import Callable

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
# colons: Ethernet (6) to IPoIB (20 octets); dashes: PXE's BOOTIF=01-52-54-...
_MAC = re.compile(
    r"(?<![0-9a-f:.-])(?:(?:[0-9a-f]{2}:){5,19}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5,6}[0-9a-f]{2})(?![0-9a-f:-])",
    re.IGNORECASE,
)
_MAC_NAME = re.compile(r"\b((?:en|wl|ib|ww)x)([0-9a-f]{12})\b")
_MACHINE_ID = re.compile(r"(?<![0-9a-fx])[0-9a-f]{32}(?![0-9a-f])")
_SHORT_ID = re.compile(
    r"(uuid[= \"':]+|--fs-uuid\s+(?:--\S+\s+)*)([0-9a-f]{4}-[0-9a-f]{4}|[0-9a-f]{8}-[0-9a-f]{2}|[0-9a-f]{16})\b",
    re.IGNORECASE,
)
_DISK_ID = re.compile(r"(by-id/)([^\s\"',;]+)")
_WWN = re.compile(r"\b((?:wwn-0x|eui\.|naa\.|nvme-eui\.))([0-9a-f]{16,32})\b", re.IGNORECASE)
_SERIAL = re.compile(r"(\bserial[ _-]?(?:number|no\.?)?\s*[:=]\s*)(?!8250|removed)([^\s,;]+)", re.IGNORECASE)
_NETWORK = re.compile(r"(?<!\S)(ip|nfsroot|netroot|root=nfs|rd\.iscsi\.\w+|iscsi_\w+|ds|inst\.\w+|url)=(\S*[:.]\S*)")
_HOST_ARGUMENT = re.compile(r"(?<!\S)((?:systemd\.)?hostname)=(\S+)")
_GPU_SERIAL = re.compile(r"\b(GPU-)[0-9a-f-]{8,36}\b")
# A machine may be called so, yet the words mean something else in a log
_WORDS = frozenset(
    (
        "host",
        "localhost",
        "linux",
        "kernel",
        "root",
        "nvidia",
        "gpu",
        "amd",
        "intel",
        "debian",
        "ubuntu",
        "server",
        "none",
        "node",
    )
)


class Scrubber:
    """Replaces what is private by numbered stand-ins, the same one for the same thing.

    Args:
        host_name: the host's own name; its first label and its form in LVM names go too.
    """

    def __init__(self, host_name: str | None) -> None:
        self._known: dict[str, int] = {}
        labels = {host_name, host_name.partition(".")[0]} if host_name else set()
        labels |= {label.replace("-", "--") for label in labels}
        words = sorted(
            (label for label in labels if len(label) > 2 and label.lower() not in _WORDS), key=len, reverse=True
        )
        joined = "|".join(re.escape(word) for word in words)
        self._host = re.compile(rf"(?<![\w.])(?:{joined})(?![\w])", re.IGNORECASE) if words else None

    def text(self, text: str) -> str:
        """Return ``text`` without what is private."""
        text = _UUID.sub(self._numbered("00000000-0000-4000-8000-{:012x}"), text)
        text = _MAC.sub(self._numbered("02:00:00:00:00:{:02x}"), text)
        text = _MAC_NAME.sub(self._kept("{:012x}"), text)
        text = _SHORT_ID.sub(self._kept("0000-{:04X}"), text)
        text = _DISK_ID.sub(self._kept("disk-{}"), text)
        text = _WWN.sub(self._kept("{:016x}"), text)
        text = _MACHINE_ID.sub(self._numbered("{:032x}"), text)
        text = _GPU_SERIAL.sub(r"\1removed", text)
        text = _SERIAL.sub(r"\1removed", text)
        text = _NETWORK.sub(r"\1=removed", text)
        text = _HOST_ARGUMENT.sub(r"\1=removed", text)
        return self._host.sub("host", text) if self._host else text

    def data(self, data: bytes) -> bytes:
        """Return a file's content without what is private; binary files as they are."""
        if b"\0" in data:
            return data
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
            return self.text(text).encode("latin-1", "replace")
        return self.text(text).encode("utf-8")

    def _number(self, thing: str) -> int:
        return self._known.setdefault(thing.lower(), len(self._known) + 1)

    def _numbered(self, form: str) -> Callable[[re.Match[str]], str]:
        return lambda found: form.format(self._number(found[0]))

    def _kept(self, form: str) -> Callable[[re.Match[str]], str]:
        """A stand-in for the second group; the first one stays."""
        return lambda found: found[1] + form.format(self._number(found[2]))

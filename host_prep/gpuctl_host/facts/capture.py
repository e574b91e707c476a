"""`host capture`: everything that the facts rest on, as a tree that --root reads anywhere."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any

from gpuctl_host.errors import UnreadableInput
from gpuctl_host.facts import learned
from gpuctl_host.facts.aliases import read_claims
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.facts.recorder import Entry, Recorder
from gpuctl_host.facts.scrub import Scrubber

if TYPE_CHECKING:
    from gpuctl_host.facts.model import Facts
    from gpuctl_host.host import Host

SCHEMA = "gpuctl.host.capture/1"
_TOTAL_MAX = 128 << 20  # bytes before compression


def write_capture(host: Host, file: str, *, keep_private: bool = False) -> dict[str, Any]:
    """Write the capture to ``file`` (mode 0600, whole or not at all) and return what it has, as a document.

    Args:
        host: the host, or a tree.
        file: where to; a path of the machine that runs this.
        keep_private: serials, MACs, UUIDs and host names stay in.

    Raises:
        UnreadableInput: ``file`` cannot be written.
    """
    recorder = Recorder(host, keep_private=keep_private)
    facts = read_facts(recorder, ("any",))
    read_claims(recorder, facts.kernel.release, facts.pci or ())
    entries = dict(recorder.kept)
    if facts.kernel.log is not None:
        entries["/var/log/dmesg"] = Entry(data="".join(f"{line}\n" for line in facts.kernel.log).encode())
    notes = json.dumps(_notes(facts, keep_private=keep_private), indent=1, sort_keys=True)
    entries[learned.PATH] = Entry(data=notes.encode() + b"\n")
    if not keep_private:
        entries = _without_private(entries, Scrubber(facts.host))
    left_out = set(recorder.left_out) | _over(entries)
    kept = {path: entry for path, entry in entries.items() if path not in left_out}
    size = _write(file, _archive(kept))
    return {
        "schema": SCHEMA,
        "file": file,
        "bytes": size,
        "entries": len(kept),
        "private": keep_private,
        "left_out": sorted(left_out),
    }


def _notes(facts: Facts, *, keep_private: bool) -> dict[str, Any]:
    """What no file of the tree tells (learned.py reads it back)."""
    notes: dict[str, Any] = {
        "schema": SCHEMA,
        "private": keep_private,
        "arch": facts.system.arch,
        "hypervisor": facts.system.hypervisor,
        "qemu": facts.software.qemu,
        "libvirt": facts.software.libvirt,
        "holders": {
            gpu.address: [[one.kind, one.name] for one in gpu.holders] for gpu in facts.gpus if gpu.holders is not None
        },
        "persistence": {gpu.address: gpu.persistence for gpu in facts.gpus},
        "names": {f"{gpu.pci.vendor_id}:{gpu.pci.device_id}": gpu.name for gpu in facts.gpus},
        "needs": None if facts.needs is None else [[need.address, need.why, need.detail] for need in facts.needs],
        "needs_unknown": list(facts.needs_unknown),
    }
    return notes


def _without_private(entries: dict[str, Entry], scrubber: Scrubber) -> dict[str, Entry]:
    """The same tree with stand-ins; paths below /sys/devices and /sys/bus name hardware, and stay."""
    clean: dict[str, Entry] = {}
    for path, entry in sorted(entries.items()):
        hardware = path.startswith("/sys/")
        place = path if hardware else scrubber.text(path)
        if entry.target is not None:
            clean[place] = Entry(target=entry.target if hardware else scrubber.text(entry.target))
        elif entry.data is not None and not path.endswith("/config"):
            clean[place] = Entry(data=scrubber.data(entry.data), mode=entry.mode)
        else:
            clean[place] = entry
    return clean


def _over(entries: dict[str, Entry]) -> set[str]:
    """The largest files, so many that the rest stays below the bound."""
    sizes = sorted(((len(entry.data), path) for path, entry in entries.items() if entry.data), reverse=True)
    total, over = sum(size for size, _ in sizes), set()
    for size, path in sizes:
        if total <= _TOTAL_MAX:
            break
        over.add(path)
        total -= size
    return over


def _archive(entries: dict[str, Entry]) -> bytes:
    """A tar.gz of the entries: the same bytes for the same entries."""
    packed = io.BytesIO()
    stream = gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0, compresslevel=6)
    with stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in sorted(entries.items()):
            name = path.strip("/")
            if not name:
                continue
            info = tarfile.TarInfo(name)
            info.mode = entry.mode | 0o400
            if entry.target is not None:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
            elif entry.data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(entry.data)
            archive.addfile(info, io.BytesIO(entry.data) if entry.data is not None else None)
    return packed.getvalue()


def _write(file: str, data: bytes) -> int:
    """Put ``data`` at ``file`` by a rename, flushed to the disk; nobody else may read it."""
    folder = os.path.dirname(os.path.abspath(file))
    try:
        handle, temporary = tempfile.mkstemp(prefix=".gpuctl-capture-", dir=folder)  # 0600 by itself
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise UnreadableInput(
            f"cannot write the capture to {file}: {error.strerror}",
            resolution="name a file in a folder that you may write to",
        ) from error
    return len(data)

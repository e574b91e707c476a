"""Host keys collected for review: what each host shows, what known_hosts has, and what filing it would change."""

from __future__ import annotations

import base64
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.errors import OperatorError
from gpuctl.remote import known_hosts
from gpuctl.remote.login import greet
from gpuctl.remote.road import Deadline, Jumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gpuctl.fleet.runner import Target
    from gpuctl.remote.known_hosts import Entry

SAME, NEW, CHANGED, REVOKED, FAILED = "known", "new", "changed", "revoked", "failed"


@dataclass(frozen=True, slots=True)
class Shown:
    """What one host showed.

    Attributes:
        host: its name in the inventory.
        state: known, new (no key of that type is filed), changed, revoked or failed.
        name: what its key is filed under.
        kind: the key's type.
        key: the public key, base64.
        old: what is filed for it, of that type.
        error: why there is no key.
    """

    host: str
    state: str
    name: str = ""
    kind: str = ""
    key: str = ""
    old: tuple[Entry, ...] = ()
    error: OperatorError | None = None

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as ssh-keygen -l prints it."""
        return known_hosts.fingerprint(base64.b64decode(self.key)) if self.key else ""

    def line(self, *, hashed: bool) -> str:
        """Return the line to file."""
        return f"{known_hosts.hashed(self.name) if hashed else self.name} {self.kind} {self.key}"


def collect(targets: Sequence[Target], path: Path, *, forks: int) -> Iterator[Shown]:
    """Yield what each host shows, as it comes: keys are exchanged, nobody logs in, nothing is filed.

    A host behind a jump host is only seen if the jump host lets this user in.

    Args:
        targets: the hosts.
        path: where keys will be filed; looked into beside the files that each host is configured with.
        forks: how many hosts at once.
    """
    waiting: queue.SimpleQueue[Target] = queue.SimpleQueue()
    for target in targets:
        waiting.put(target)
    done: queue.SimpleQueue[Shown] = queue.SimpleQueue()
    with Jumps() as jumps:

        def work() -> None:
            while True:
                try:
                    target = waiting.get_nowait()
                except queue.Empty:
                    return
                done.put(_look(target, path, jumps))

        for _ in range(min(forks, len(targets))):
            threading.Thread(target=work, daemon=True).start()
        for _ in targets:
            yield done.get()


def _look(target: Target, path: Path, jumps: Jumps) -> Shown:
    try:
        way = target.way()
        known = known_hosts.read(tuple(dict.fromkeys((path, *way.known_hosts)))).of(way.known_as)
        revoked = known_hosts.revoked(way.revoked) if way.revoked is not None else frozenset[str]()
        kinds = tuple(entry.kind for entry in known if not entry.marker)
        line = greet(way, jumps, Deadline(way.connect_timeout), prefer=kinds)
        try:
            key = line.transport.get_remote_server_key()
        finally:
            line.close()
    except OperatorError as error:
        return Shown(target.host, FAILED, error=error)
    except Exception as error:  # noqa: BLE001 - one host's trouble is not the others'
        return Shown(target.host, FAILED, error=OperatorError(f"{target.host}: {type(error).__name__}: {error}"))
    shown, kind = base64.b64encode(key.asbytes()).decode(), key.get_name()
    if shown in revoked or any(entry.marker == "@revoked" and entry.key == shown for entry in known):
        return Shown(target.host, REVOKED, way.known_as, kind, shown)
    plain = tuple(entry for entry in known if not entry.marker)
    if any(entry.key == shown for entry in plain):
        return Shown(target.host, SAME, way.known_as, kind, shown)
    # Another type than the filed one is a change as well: whoever has known_hosts already has reason to ask why.
    return Shown(target.host, CHANGED if plain else NEW, way.known_as, kind, shown, plain)


def file(new: Sequence[Shown], replaced: Sequence[Shown], path: Path) -> list[Entry]:
    """``path`` has the keys of both; the old ones of ``replaced`` are gone from it. Return old ones in other files.

    A name is hashed where the file's other names are.
    """
    entries = known_hosts.entries_of(path)
    hashed = bool(entries) and entries[-1].names[0].startswith("|")
    drop, elsewhere, keep = set[int](), list[known_hosts.Entry](), list[str]()
    here = {entry.where: entry for entry in entries}
    for shown in replaced:
        for old in shown.old:
            if old.where not in here:
                elsewhere.append(old)
                continue
            drop.add(int(old.where.rpartition(":")[2]))
            # A line may name several hosts: the others keep it.
            others = [name for name in old.names if name.lower() != shown.name and not name.startswith("|")]
            if len(old.names) > 1 and others:
                keep.append(f"{','.join(others)} {old.kind} {old.key}")
    lines = dict.fromkeys([*keep, *(shown.line(hashed=hashed) for shown in (*new, *replaced))])
    known_hosts.rewrite(path, add=lines, drop=drop)
    return elsewhere

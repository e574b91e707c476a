"""known_hosts files: who is known, by which keys, and which keys are revoked (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

paramiko's own reader skips @revoked lines and hashes every entry anew for each host that it looks up.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import functools
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.remote.errors import BadSshConfig
from gpuctl.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MARKERS = ("@revoked", "@cert-authority")
_KRL = b"SSHKRL\n\0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        names: the names or patterns, as written; one hashed name.
        kind: the key's type: ssh-ed25519, ...
        key: the public key, base64.
        marker: "", "@revoked" or "@cert-authority".
        where: file:line.
    """

    names: tuple[str, ...]
    kind: str
    key: str
    marker: str
    where: str

    @property
    def blob(self) -> bytes:
        """The key as it goes over the wire."""
        return base64.b64decode(self.key)


class KnownHosts:
    """The entries of several files, to be asked for by name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._plain: dict[str, list[Entry]] = {}
        self._hashed: list[tuple[bytes, bytes, Entry]] = []
        self._patterns: list[Entry] = []
        for entry in entries:
            first = entry.names[0]
            if first.startswith("|1|"):
                _, _, salt, digest = first.split("|")
                self._hashed.append((base64.b64decode(salt), base64.b64decode(digest), entry))
            elif any(char in name for name in entry.names for char in "*?!"):
                self._patterns.append(entry)
            else:
                for name in entry.names:
                    self._plain.setdefault(name.lower(), []).append(entry)

    def of(self, name: str) -> tuple[Entry, ...]:
        """Return every entry for a host: plain names, then hashed ones, then patterns.

        Args:
            name: in lower case, as it is filed: ``host``, or ``[host]:port`` for another port than 22.
        """
        bare = name.encode()
        found = list(self._plain.get(name, ()))
        found += [entry for salt, digest, entry in self._hashed if hmac.digest(salt, bare, "sha1") == digest]
        found += [entry for entry in self._patterns if _matches(name, entry.names)]
        return tuple(found)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Say whether a list of patterns means the name; one that is negated and matches decides."""
    hit = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        # Only * and ? are patterns to ssh; [host]:port is a name.
        plain = pattern.removeprefix("!").lower().replace("[", "[[]")
        if fnmatch.fnmatchcase(name, plain):
            if negated:
                return False
            hit = True
    return hit


def read(files: tuple[Path, ...]) -> KnownHosts:
    """Return what the files say; one that is not there says nothing.

    Raises:
        BadSshConfig: a file is there but cannot be read.
    """
    return _read(tuple((path, _stamp(path)) for path in files))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        seen = path.stat()
    except FileNotFoundError:
        return (0, 0)
    except OSError as error:
        raise _unreadable(path, error) from error
    return (seen.st_mtime_ns, seen.st_size)


@functools.lru_cache(maxsize=64)
def _read(files: tuple[tuple[Path, tuple[int, int]], ...]) -> KnownHosts:
    entries: list[Entry] = []
    for path, _ in files:
        entries += entries_of(path)
    return KnownHosts(entries)


def entries_of(path: Path) -> list[Entry]:
    """Return a file's entries; a line that is none is left out, as ssh does."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error
    found = (parse(line, f"{path}:{number}") for number, line in enumerate(text.splitlines(), 1))
    return [entry for entry in found if entry is not None]


def _unreadable(path: Path, error: OSError) -> BadSshConfig:
    return BadSshConfig(f"cannot read {path}", details=str(error), resolution="make it readable, or take it away")


def revoked(path: Path) -> frozenset[str]:
    """Return the keys, base64, that a RevokedHostKeys file takes from every host.

    Raises:
        BadSshConfig: it cannot be read (ssh believes no host then), or is a binary list.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if data.startswith(_KRL):
        raise BadSshConfig(
            f"{path} is a binary key revocation list, which gpuctl cannot read",
            resolution="write the revoked keys in RevokedHostKeys as text, one a line",
        )
    lines = (line.split() for line in data.decode("utf-8", "replace").splitlines())
    return frozenset(word for words in lines if words and not words[0].startswith("#") for word in words[:2])


def parse(line: str, where: str) -> Entry | None:
    """Return the entry of one line, or None where there is none."""
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or (marker and marker not in _MARKERS):
        return None
    names, kind, key = words[:3]
    try:
        base64.b64decode(key, validate=True)
        if names.startswith("|"):
            _, one, salt, digest = names.split("|")
            if one != "1":
                return None
            base64.b64decode(salt, validate=True)
            base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Entry(tuple(name for name in names.split(",") if name) or (names,), kind, key, marker, where)


def hashed(name: str) -> str:
    """Return a name as HashKnownHosts writes it: a new salt each time."""
    salt = secrets.token_bytes(hashlib.sha1(usedforsecurity=False).digest_size)
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def fingerprint(blob: bytes) -> str:
    """Return a public key's fingerprint as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def rewrite(path: Path, *, add: Iterable[str], drop: Iterable[int] = ()) -> None:
    """Leave ``path`` with the lines ``drop`` gone and ``add`` at its end, whole or as it was.

    Args:
        path: made, with mode 0600 in a folder of 0700, if it is not there.
        add: whole lines without their ends.
        drop: line numbers, from 1.

    Raises:
        BadSshConfig: it is /dev/null, where ssh's configuration likes to put them.
    """
    if path.exists() and not path.is_file():
        raise BadSshConfig(f"{path} keeps no host keys: it is no file", resolution="name a file for them with -o")
    path.resolve().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    old = path.read_bytes().splitlines() if path.is_file() else []
    gone = set(drop)
    lines = [line for number, line in enumerate(old, 1) if number not in gone] + [line.encode() for line in add]
    write_whole(path, b"".join(line + b"\n" for line in lines), mode=0o600)

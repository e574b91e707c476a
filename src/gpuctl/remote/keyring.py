"""The user's keys: files that are read once a process, and the agent's, in the order in which ssh would offer them.

What the configuration names comes first, because a server that has seen six keys hangs up (MaxAuthTries).
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paramiko import Agent
    from paramiko.pkey import PKey

    from gpuctl.remote.endpoint import Endpoint

_KINDS = ("ssh-", "ecdsa-", "sk-")


@dataclass(slots=True)
class Offer:
    """The keys for one login; iterate once. ``notes`` then says what was not offered, and why."""

    endpoint: Endpoint
    agent: Agent
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[PKey]:
        """Each key once: the named files (through the agent where it holds them), then the rest of the agent's."""
        held = {key.asbytes(): key for key in self.agent.get_keys()}
        for path in self.endpoint.keys:
            public = _public(path)
            if public is not None and public in held:
                self.names.append(f"{path} (agent)")
                yield held.pop(public)
                continue
            loaded = _load(path)
            if isinstance(loaded, str):
                if loaded:
                    self.notes.append(f"{path}: {loaded}")
                continue
            held.pop(loaded.asbytes(), None)
            self.names.append(str(path))
            yield loaded
        if not self.endpoint.only_keys:
            for key in held.values():
                self.names.append(f"agent: {key.comment or key.get_name()}")
                yield key


@functools.lru_cache(maxsize=256)
def _load(path: Path) -> PKey | str:
    """Return the private key, or why it is not offered; "" where there is no such file."""
    from paramiko import PKey
    from paramiko.ssh_exception import PasswordRequiredException, SSHException

    try:
        return PKey.from_path(path)
    except FileNotFoundError:
        return ""
    except (PasswordRequiredException, TypeError):
        return f"has a passphrase, and nobody is asked for it here: ssh-add {path}"
    except (OSError, SSHException, ValueError) as error:
        return f"not used: {type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - paramiko's UnknownKeyType, and whatever cryptography says of a file
        return f"not used: {type(error).__name__}: {error}"


@functools.lru_cache(maxsize=256)
def _public(path: Path) -> bytes | None:
    """Return the public key beside a private one, or that of ``path`` itself where it is one; None if neither is there.

    `IdentityFile key.pub` is how an agent's key is chosen whose private half is no file (a token, a password manager).
    """
    for file in (path.with_name(path.name + ".pub"), path):
        try:
            kind, key, *_ = file.read_text("utf-8").split()
            if kind.startswith(_KINDS):
                return base64.b64decode(key, validate=True)
        except (OSError, ValueError):
            continue
    return None

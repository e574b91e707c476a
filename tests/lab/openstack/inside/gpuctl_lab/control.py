"""Scripted faults: at each step the compute process asks here whether a rule says that something shall go wrong.

Rules lie in `faults.json` of the host's control folder, written by the operator's half (tests/lab/openstack/faults.py)
under the same lock. A rule: {"id", "step", "within", "action", "times", ...}; `within` limits it to when that step is
being carried out by the same thread.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)
_HOLD_AT_MOST_S = 900.0
_stack = threading.local()


class Control:
    """The control folder of one compute host.

    Args:
        folder: the control folder.
        errors: how an exception of that name is made from a message.
    """

    def __init__(self, folder: Path, errors: dict[str, Callable[[str], Exception]]) -> None:
        self._folder = folder
        self._errors = errors

    @contextmanager
    def step(self, name: str, **about: Any) -> Iterator[None]:
        """The step is being carried out; a fault that is due at its start has happened."""
        stack: list[str] = _stack.__dict__.setdefault("names", [])
        stack.append(name)
        try:
            self.reach(f"{name}.enter", **about)
            yield
        finally:
            stack.pop()

    def reach(self, name: str, **about: Any) -> None:
        """A fault that is due at this point has happened."""
        rule = self._take(name, _stack.__dict__.get("names", []))
        if rule is None:
            return
        LOG.warning("lab: fault %s at step %s %s", rule["id"], name, about)
        with (self._folder / "events.jsonl").open("a", encoding="utf-8") as events:
            events.write(json.dumps({"time": time.time(), "rule": rule["id"], "step": name, **about}) + "\n")
        self._act(rule, about)

    def held(self, address: str) -> bool:
        """The device is taken by something outside Nova."""
        return (self._folder / "held" / address).exists()

    def _take(self, name: str, stack: list[str]) -> dict[str, Any] | None:
        path = self._folder / "faults.json"
        if not path.exists():
            return None
        with (self._folder / "faults.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rules = json.loads(path.read_text(encoding="utf-8"))
            for rule in rules:
                within = rule.get("within")
                if rule["step"] == name and rule["times"] > 0 and (not within or within in stack):
                    rule["times"] -= 1
                    part = path.with_suffix(".part")
                    part.write_text(json.dumps([r for r in rules if r["times"] > 0]), encoding="utf-8")
                    part.rename(path)
                    return dict(rule)
        return None

    def _act(self, rule: dict[str, Any], about: dict[str, Any]) -> None:
        action = rule["action"]
        if action == "delay":
            time.sleep(rule["seconds"])
        elif action == "hold":
            self._hold(rule["id"])
        elif action == "die":
            # As a power cut does it: nothing is cleaned up.
            os._exit(1)
        else:
            known = {"address": "0000:00:00.0", "domain": "instance-00000bad", **about}
            raise self._errors[rule["error"]](rule["message"].format_map(known))

    def _hold(self, rule: str) -> None:
        (self._folder / f"reached-{rule}").touch()
        release, deadline = self._folder / f"release-{rule}", time.monotonic() + _HOLD_AT_MOST_S
        while not release.exists() and time.monotonic() < deadline:
            time.sleep(0.05)

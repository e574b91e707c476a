"""What gpuctl finds in its process beside the console script's own: hosts that are simulated. A scene returns main's ``obj``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tests.docs.world import FleetRack, Server
from tests.sim import worlds
from tests.unit.leftovers import kit
from tests.unit.up.rig import rack

RACK = ("gpu01", "gpu02")


def folder() -> Path:
    """Return where the scene's hosts are."""
    return Path(os.environ["SCENE"])


def up() -> dict[str, Any]:
    """Two bare hosts, by SSH and Ansible as far as `gpuctl up` can tell; a play takes a moment."""
    hosts = rack(folder(), *RACK)
    play = hosts.play

    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(0.3)
        return play(*args, **more)

    hosts.play = slow
    return {"up_doors": (hosts.ask, hosts)}


def fleet() -> dict[str, Any]:
    """The same for `gpuctl fleet prepare`, which takes Ansible itself; a play looks at whether it is to end."""
    hosts = FleetRack({name: Server(worlds.two_gtx1080(), folder() / name) for name in RACK})

    class Ansible:
        """Stands where Ansible does."""

        def __init__(self, _folder: Path, access: Any, stop: Any) -> None:
            self.access, self.stop = access, stop

        def hosts(self) -> tuple[str, ...]:
            return RACK

        def play(self, name: str, heard: Any, *, hosts: Any, variables: Any, words: Any = ()) -> Any:
            from gpuctl.fleet.ansible.playbook import Ended

            time.sleep(0.3)
            if self.stop():
                return Ended(254, stopped=True, said="")
            return farm.play(name, heard, hosts=hosts, variables=variables, words=words)

    farm = hosts
    import gpuctl.fleet.ansible.collection
    import gpuctl.fleet.ansible.playbook

    gpuctl.fleet.ansible.playbook.Ansible = Ansible  # type: ignore[assignment,misc]
    gpuctl.fleet.ansible.collection.stage = lambda place: place  # type: ignore[assignment]
    return {}


def host() -> dict[str, Any]:
    """A bare host; building what boots next takes a moment."""
    one = Server(worlds.two_gtx1080(), folder() / "host")
    run = one.run

    def slow(argv: Any, **more: Any) -> Any:
        time.sleep(0.5 if argv[0].startswith("update-") else 0)
        return run(argv, **more)

    one.run = slow  # type: ignore[method-assign]
    return {"host_factory": lambda _root: one}


class Look:
    """The compute hosts' half, on trees; nothing of them but leftovers can be seen."""

    def look(self, host: str) -> Any:
        raise AssertionError(host)

    def leftovers(self, host: str, request: dict[str, Any]) -> dict[str, Any]:
        machine = kit.ComputeHost(folder() / host)
        machine.later = float(os.environ.get("LATER", "0"))
        document, code = kit.ask(machine, **request)
        assert "leftovers" in document or "results" in document, (document, code)
        return document


def leftovers() -> dict[str, Any]:
    """Compute hosts whose quarantines are below SCENE."""
    return {"host_look": Look()}

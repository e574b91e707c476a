"""What `gpuctl up` is asked to do, and what it does it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gpuctl.cloud import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gpuctl.cloud import Cloud
    from gpuctl.fleet.prepare import Player
    from gpuctl.up.hosts import HostView


@dataclass(frozen=True, slots=True)
class UpWish:
    """The command line.

    Attributes:
        inventory: as `ansible-playbook -i` takes it, absolute.
        limit: a pattern of Ansible's, or empty.
        folder: where Nova's files and the planned catalogue are written.
        release: of Nova, as said; None: what the cloud's API shows.
        layout: of Nova's files.
        catalogues: flavors; none: planned from the facts.
        cpus: threads of each host, where its facts do not say it.
        ram: MiB of each host, where its facts do not say it.
        vendors: whose GPUs; none: the host's own default.
        reboot: hosts may be rebooted without being asked again.
        reboot_timeout: seconds.
        smoke: boot a server of each model.
        image: for it; None: the smallest.
        network: for it; None: none.
        control: service -> hosts that Nova's files are laid down on by the collection; None: somebody else does that.
        wait: seconds to wait until the cloud shows what somebody else does.
        serial: sizes of the batches after the canary.
        max_fail: percentage of hosts that may fail before no further batch begins.
    """

    inventory: tuple[str, ...]
    folder: Path
    limit: str = ""
    release: str | None = None
    layout: str = "plain"
    catalogues: tuple[Path, ...] = ()
    cpus: int | None = None
    ram: int | None = None
    vendors: tuple[str, ...] = ()
    reboot: bool = False
    reboot_timeout: int = 1800
    smoke: bool = True
    image: str | None = None
    network: str | None = None
    control: Mapping[str, tuple[str, ...]] | None = None
    wait: float = 600.0
    serial: tuple[str, ...] = ("10%",)
    max_fail: float = 10.0


class Asker(Protocol):
    """What asks hosts: fleet.ask over SSH, or a test's."""

    def __call__(self, hosts: Sequence[str]) -> list[HostView]:
        """Return what each host said, judged."""


@dataclass(frozen=True, slots=True)
class Means:
    """The rooms' doors.

    Attributes:
        ask: asks hosts.
        player: runs playbooks.
        cloud: the cloud, as an administrator.
        may_reboot: asks a person about these hosts; not called with --reboot.
        show: gets progress: {"text", "done", "total"}.
        say: tells a person something that is to be done while this waits.
        pause: waits so many seconds.
    """

    ask: Asker
    player: Player
    cloud: Cloud
    may_reboot: Callable[[Sequence[str]], bool]
    show: Callable[[dict[str, Any]], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
    pause: Callable[[float], None] = pause

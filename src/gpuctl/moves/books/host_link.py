"""What a host itself shows of its guests: asked of the host's half, over SSH or however one stands before it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gpuctl.errors import OperatorError
from gpuctl.moves.model import Domain, Folder, HostView, Unseen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

AT_ONCE = 32


class HostLook(Protocol):
    """A way to the hosts. Its methods may be called from several threads, for one host at a time each."""

    def look(self, host: str) -> HostView:
        """Return what a compute host shows.

        Raises:
            OperatorError: it cannot be asked.
        """
        ...

    def leftovers(self, host: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of the host's half to a `leftovers` request (docs/reference/zipapp.md).

        Raises:
            OperatorError: it cannot be asked, or refuses.
        """
        ...


@dataclass(frozen=True)
class SshLook:
    """The hosts over SSH, by the names that Nova has for them (~/.ssh/config says how to reach each).

    Attributes:
        instances_path: nova.conf's, on the hosts.
        timeout: seconds for each host.
    """

    instances_path: str = "/var/lib/nova/instances"
    timeout: float = 60.0

    def look(self, host: str) -> HostView:
        """Return what a compute host shows."""
        return read_view(
            host,
            *self._ask(
                host,
                {"command": "instances", "instances_path": self.instances_path},
                # Which of the devices on vfio-pci are GPUs: a sound function may be there too, or an NVSwitch.
                {"command": "facts", "vendors": ["any"]},
            ),
        )

    def leftovers(self, host: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of the host's half to a `leftovers` request."""
        (answer,) = self._ask(host, {"command": "leftovers", "instances_path": self.instances_path, **request})
        return answer

    def _ask(self, host: str, *requests: Mapping[str, Any]) -> list[dict[str, Any]]:
        from gpuctl.remote.endpoint import endpoint
        from gpuctl.remote.host import RemoteHost

        with RemoteHost(endpoint(host)) as there:
            return [there.ask(request, timeout=self.timeout)[0] for request in requests]


def look_at(hosts: Collection[str], link: HostLook) -> tuple[dict[str, HostView], list[Unseen]]:
    """Return ``(view by host, what could not be seen)``; all are asked at once, each with its own deadline."""
    seen: dict[str, HostView] = {}
    unseen: list[Unseen] = []
    if not hosts:
        return seen, unseen
    with ThreadPoolExecutor(min(AT_ONCE, len(hosts)), thread_name_prefix="host") as pool:
        asked = {host: pool.submit(link.look, host) for host in sorted(hosts)}
    for host, answer in asked.items():
        try:
            view = answer.result()
        except OperatorError as error:
            unseen.append(Unseen(f"host {host}", f"{error.brief}{': ' if error.details else ''}{error.details}"))
            continue
        seen[host] = view
        if view.domains is None:
            unseen.append(Unseen(f"host {host} domains", "neither libvirt nor its files could be read there"))
    return seen, unseen


def read_view(host: str, said: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> HostView:
    """Return the host's half's documents as a record.

    Args:
        host: the compute host's name in Nova, which is not always what the machine calls itself.
        said: a `gpuctl.host.instances/1`.
        facts: a `gpuctl.host.facts/1`.
    """
    domains, folders, vfio = said.get("domains"), said.get("folders"), said.get("vfio")
    return HostView(
        host=host,
        domains=None if domains is None else tuple(_domain(host, one) for one in domains),
        folders=None
        if folders is None
        else tuple(
            Folder(host, one["name"], one["uuid"], one["kind"])
            for one in folders
            if one.get("uuid") and one.get("kind") in {"instance", "resize"}
        ),
        shared=(said.get("filesystem") or {}).get("shared"),
        vfio=None if vfio is None else tuple(one["address"].lower() for one in vfio if _on_vfio(one)),
        lspci={one["address"]: f"{one['vendor_id']}:{one['device_id']}" for one in (facts or {}).get("gpus") or ()},
    )


def _domain(host: str, said: Mapping[str, Any]) -> Domain:
    hostdevs = tuple(sorted(str(one).lower() for one in said.get("hostdevs") or ()))
    return Domain(host, said["uuid"], said["name"], said["state"], hostdevs)


def _on_vfio(said: Mapping[str, Any]) -> bool:
    """Say whether a card is on vfio-pci or one of its variants (vfio_pci_nvgrace ...)."""
    return "vfio" in str(said.get("driver") or "")

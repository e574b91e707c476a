"""Who can count the cards of a running server: Nova by its claim, Placement, libvirt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuctl.cloud import CloudError, Service
from gpuctl.flavors.model import ALIAS


@dataclass(frozen=True, slots=True)
class Seen:
    """How many cards a witness counted; ``witness`` says who: "libvirt", "placement" or "nova"."""

    witness: str
    cards: int
    text: str


def cards_of(specs: dict[str, str]) -> int:
    """Return how many devices an alias spec asks for; 0 where it makes no sense."""
    counts = [part.rpartition(":")[2].strip() for part in specs.get(ALIAS, "").split(",") if part.strip()]
    return sum(int(count) for count in counts if count.isdigit())


def wants_hidden(specs: dict[str, str]) -> bool:
    """Say whether the flavor hides KVM."""
    return any(
        specs.get(key, "").lower() in {"true", "yes", "1", "on"}
        for key in ("hw:hide_hypervisor_id", "hide_hypervisor_id")
    )


def by_nova(server: dict[str, Any]) -> Seen | None:
    """Return what Nova's own claim means: a server of a flavor with N devices runs only after N were claimed for it.

    Source: nova/compute/claims.py, Claim: no device, no instance; the flavor is the server's own copy.
    """
    specs = (server.get("flavor") or {}).get("extra_specs")
    if specs is None:
        return None
    cards = cards_of(specs)
    return Seen("nova", cards, f"{cards} claimed by Nova for the running server")


def by_placement(placement: Service | None, server: str | None) -> Seen | None:
    """Return what Placement holds for the server; None where PCI devices are not tracked there."""
    if placement is None:
        return None
    try:
        body = placement.ask("GET", f"/allocations/{server}", "read the allocations", version=(1, 28)).body
    except CloudError:
        return None  # a witness who does not speak is no witness against
    held = [
        count
        for one in body.get("allocations", {}).values()
        for kind, count in one["resources"].items()
        if kind.startswith("CUSTOM_PCI_")
    ]
    return Seen("placement", sum(held), f"{sum(held)} allocated in Placement") if held else None


def read_domain(xml: str) -> tuple[int, bool]:
    """Return how many PCI host devices a domain has, and whether it hides KVM."""
    from xml.etree import ElementTree as ET

    root = ET.fromstring(xml)  # noqa: S314 - libvirt's own, from the host that runs our guest
    cards = [one for one in root.iterfind("./devices/hostdev") if one.get("type") == "pci"]
    hidden = root.find("./features/kvm/hidden")
    return len(cards), hidden is not None and hidden.get("state") == "on"

"""One small server proves a flavor: it boots, has its cards, and is gone again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpuctl.cloud import CloudError, Service, Uncertain
from gpuctl.flavors.errors import FlavorError, HalfMade, NotFound
from gpuctl.flavors.model import Standing
from gpuctl.flavors.witnesses import Seen, by_nova, by_placement, cards_of, read_domain, wants_hidden

SHOWN_SPECS = (2, 47)  # the server shows the copy of the flavor that it was made with
NO_NETWORK = (2, 37)
NEWEST = (2, 90)
POLL = 1.0  # seconds
LOOKS = 5
CREATE_ONCE = "a server"
Told = Callable[[str, int, int], None]


@dataclass
class Proof:
    """What was found, step by step.

    Attributes:
        flavor: the one that is proven.
        steps: (name, seconds).
        server: the server's id while there is one.
    """

    flavor: Standing
    steps: list[tuple[str, float]] = field(default_factory=list)
    server: str | None = None
    host: str | None = None
    status: str | None = None
    seen: tuple[Seen, ...] = ()
    hidden: bool | None = None
    fault: str = ""

    @property
    def wanted(self) -> int:
        """How many cards the flavor asks for."""
        return cards_of(self.flavor.specs)

    @property
    def good(self) -> bool:
        """Whether it booted, and whoever counted counted right."""
        hidden_right = self.hidden is not False or not wants_hidden(self.flavor.specs)
        return (
            self.status == "ACTIVE"
            and bool(self.seen)
            and hidden_right
            and all(one.cards == self.wanted for one in self.seen)
        )


@dataclass
class Verifier:
    """Boots, looks and deletes.

    Attributes:
        nova: the compute API.
        placement: the placement API; None where there is none in reach.
        image: the image's id; None to boot from nothing is not possible.
        network: a network's id; None for no network at all.
        domain: returns a domain's XML by (host, domain's name); None where libvirt is not in reach.
        deadline: seconds for the boot, and again for the deletion.
    """

    nova: Service
    newest: tuple[int, int]
    image: str
    placement: Service | None = None
    network: str | None = None
    host: str | None = None
    domain: Callable[[str, str], str | None] | None = None
    deadline: float = 600.0
    told: Told = lambda *_: None

    def prove(self, flavor: Standing) -> Proof:
        """Return what one server of this flavor showed; the server is gone again, whatever happened.

        Raises:
            CloudError: the API would not let us.
            HalfMade: the server could not be deleted; the message names it.
        """
        proof = Proof(flavor)
        try:
            self._step(proof, "create", self._create)
            self._step(proof, "boot", self._wait)
            if proof.status == "ACTIVE":
                self._step(proof, "look", self._look)
        finally:
            if proof.server:
                self._step(proof, "delete", self._delete)
        return proof

    def _step(self, proof: Proof, name: str, work: Callable[[Proof], None]) -> None:
        """Do one step and note how long it took."""
        self.told(name, 0, 0)
        began = time.monotonic()
        try:
            work(proof)
        finally:
            proof.steps.append((name, time.monotonic() - began))

    @property
    def version(self) -> tuple[int, int]:
        """The microversion that servers are asked with."""
        return min(self.newest, NEWEST)

    def _create(self, proof: Proof) -> None:
        """Ask for a server; its name finds it again if the answer is lost."""
        name = f"gpuctl-verify-{int(time.time() * 1000):x}"
        networks: Any = [{"uuid": self.network}] if self.network else "none"
        wish: dict[str, Any] = {
            "name": name,
            "flavorRef": proof.flavor.id,
            "imageRef": self.image,
            "networks": networks,
        }
        if self.host:
            wish["host"] = self.host
        try:
            body = self.nova.ask(
                "POST",
                "/servers",
                f"boot a server of {proof.flavor.name}",
                body={"server": wish},
                version=self.version,
                once=CREATE_ONCE,
            ).body
            proof.server = body["server"]["id"]
        except Uncertain:
            proof.server = self._by_name(name)
            if proof.server is None:
                raise

    def _by_name(self, name: str) -> str | None:
        """Return the id of our server whose answer was lost; it may be on its way yet."""
        for _ in range(LOOKS):
            path = f"/servers?name=^{name}$"
            found = self.nova.ask("GET", path, "look for the server", version=self.version).body["servers"]
            if found:
                return str(found[0]["id"])
            self.nova.pause(POLL)
        return None

    def _show(self, proof: Proof) -> dict[str, Any] | None:
        answer = self.nova.ask(
            "GET", f"/servers/{proof.server}", "read the server", version=self.version, accept=(404,)
        )
        return None if answer.status == 404 else dict(answer.body["server"])

    def _wait(self, proof: Proof) -> None:
        """Wait until the server runs, or has failed."""
        end = time.monotonic() + self.deadline
        while True:
            server = self._show(proof)
            proof.status = server["status"] if server else "DELETED"
            if server is None or proof.status in {"ACTIVE", "ERROR"}:
                break
            if time.monotonic() > end:
                proof.fault = f"still {proof.status} after {self.deadline:.0f} s"
                return
            self.nova.pause(POLL)
        if server:
            proof.host = server.get("OS-EXT-SRV-ATTR:host")
            proof.fault = (server.get("fault") or {}).get("message", "")

    def _look(self, proof: Proof) -> None:
        """Count the cards, by everybody who can."""
        server = self._show(proof) or {}
        seen = [by_nova(server), by_placement(self.placement, proof.server)]
        xml = (
            self.domain(proof.host, server.get("OS-EXT-SRV-ATTR:instance_name", ""))
            if self.domain and proof.host
            else None
        )
        if xml:
            cards, proof.hidden = read_domain(xml)
            seen.append(Seen("libvirt", cards, f"{cards} host devices in the domain"))
        proof.seen = tuple(one for one in seen if one)

    def _delete(self, proof: Proof) -> None:
        """Let the server be gone."""
        server = proof.server
        try:
            self.nova.ask("DELETE", f"/servers/{server}", "delete the server", version=self.version, accept=(404,))
            end = time.monotonic() + self.deadline
            while self._show(proof) is not None:
                if time.monotonic() > end:
                    raise HalfMade(
                        f"server {server} is still there {self.deadline:.0f} s after it was deleted",
                        resolution=f"openstack server delete {server}",
                    )
                self.nova.pause(POLL)
        except CloudError as error:
            raise HalfMade(
                f"server {server}, made to prove a flavor, could not be deleted and holds its cards",
                details=f"{error.brief}\n{error.details}",
                resolution=f"openstack server delete {server}",
            ) from error
        proof.server = None


def smallest_image(images: Service) -> str:
    """Return the id of the smallest image that is ready.

    Raises:
        NotFound: there is none.
    """
    found = images.ask("GET", "/images?status=active&sort=size:asc&limit=20", "list the images").body.get("images", [])
    for image in found:
        if image.get("disk_format") not in {"aki", "ari", "ami"}:
            return str(image["id"])
    raise NotFound("the cloud has no image to boot from", resolution="say --image")


def failure(proof: Proof) -> FlavorError:
    """Return what is wrong, as an error."""
    said = "; ".join(one.text for one in proof.seen)
    if proof.status != "ACTIVE":
        brief = f"flavor {proof.flavor.name}: the server did not boot: {proof.status}"
        hint = "are there free cards of this alias? gpuctl nova check looks at the configuration"
        if "hw:maxphysaddr_mode" in proof.flavor.specs:
            # nova/virt/libvirt/driver.py: MIN_LIBVIRT_MAXPHYSADDR
            hint += "; address_bits also needs libvirt 8.7 on the host"
        return NotFound(brief, details=proof.fault, resolution=hint)
    return NotFound(f"flavor {proof.flavor.name}: wanted {proof.wanted} cards: {said or 'nobody could count them'}")

"""What the steps of the chain share: to act on its hosts, and to look for itself."""

from __future__ import annotations

from typing import Any

from tests.lab.openstack import database

from .chain import Chain, wait_for
from .compute import Compute

FLAVOR = "gpu.chain.1"
CARDS = ("0000:01:00.0", "0000:02:00.0")
FOREIGN = "somebody-elses"


def make(chain: Chain, name: str, host: str) -> str:
    """The id of a server of our flavor that is ACTIVE on the host."""
    rest = chain.lab.rest
    flavors = rest.call("compute", "GET", "/flavors?is_public=None")["flavors"]
    wish = {
        "name": name, "networks": "none", "host": host, "imageRef": chain.lab.image_id(),
        "flavorRef": next(one["id"] for one in flavors if one["name"] == FLAVOR),
    }  # fmt: skip
    made = str(rest.call("compute", "POST", "/servers", {"server": wish})["server"]["id"])
    shown = wait_for("the boot's end", lambda: (one := chain.server(made))["status"] != "BUILD" and one)
    assert shown["status"] == "ACTIVE", shown.get("fault")
    return made


def runs_on(chain: Chain, server: str, host: str) -> list[str]:
    """What libvirt's XML, sysfs and /proc of the host show of the running guest, every line of it checked."""
    one = chain.compute(host)
    name = domain_of(one, server)
    assert one.domains()[name] == "running", one.domains()
    devices = one.hostdevs(name)
    assert len(devices) == 1, devices
    card = one.card(devices[0])
    assert card["driver"] == "vfio-pci", card
    assert f"guest={name}" in card.get("holder", ""), card
    books = [f"{row['host']} {row['address']}" for row in chain.lab.pci_rows() if row["instance_uuid"] == server]
    assert books == [f"{host} {devices[0]}"], (books, devices)
    managed = one.ssh(f"virsh dumpxml {name} | grep '<hostdev'").out.strip()
    pid = card["holder"].split()[0]
    return [
        f"{host}: {name} is running; its XML: {managed} {devices[0]}",
        f"{host}: sysfs: driver {card['driver']}, group {card['group']}; /proc/{pid}/fd (its QEMU) has /dev/vfio/{card['group']} open",
        f"Nova's books: {books[0]}",
    ]


def gone_from(chain: Chain, server: str, host: str) -> list[str]:
    """Nothing of the server is on the host: no domain, no folder, no process with a card."""
    one = chain.compute(host)
    assert server not in one.ssh("for d in $(virsh -q list --all --uuid); do echo $d; done").out
    folders = [name for name in one.folders() if server in name]
    assert not folders, folders
    cards = {address: one.card(address) for address in CARDS}
    assert all(card["driver"] == "vfio-pci" and "holder" not in card for card in cards.values()), cards
    return [f"{host}: no domain and no folder of it; sysfs and /proc: both cards on vfio-pci, held by nobody"]


def domain_of(one: Compute, server: str) -> str:
    """The name of the server's domain there."""
    return one.ssh(f"virsh domname {server}").out.strip()


def hold_cards(one: Compute) -> str:
    """A libvirt domain of nobody's runs there, paused, with both cards; its line of `virsh list` is returned."""
    devices = "".join(
        f"<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x{card[5:7]}' slot='0x00' function='0x0'/>"
        "</source></hostdev>"
        for card in CARDS
    )
    xml = (
        f"<domain type='qemu'><name>{FOREIGN}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
        f"<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"
    )
    one.write("/run/foreign.xml", xml)
    one.ssh(f"virsh -q define /run/foreign.xml && virsh -q start --paused {FOREIGN}")
    return one.ssh(f"virsh -q list | grep {FOREIGN}").out.strip()


def nova_db(chain: Chain) -> str:
    """The URL of Nova's cell database, in a file of the operator's."""
    path = chain.folder / "home" / "nova-db"
    path.write_text(database.url(chain.lab.layout.ports().mariadb, "nova") + "\n")
    path.chmod(0o600)
    return f"@{path}"


def as_operator(chain: Chain, statement: str) -> list[dict[str, Any]]:
    """The statement was run in the cell's database, as a person pastes it; its rows."""
    return database.query(chain.lab.installed, chain.lab.layout.ports().mariadb, statement, schema="nova")


def told(result: dict[str, Any]) -> list[str]:
    """The steps of a result, a line each."""
    return [f"  step {step['step']}: {step['state']}: {step['detail']}" for step in result["steps"]]

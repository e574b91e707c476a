"""Guards about what moves with it: disks and ports."""

from __future__ import annotations

from gpuctl.moves.guards.say import fail, good, skip, warn
from gpuctl.moves.guards.situation import Situation
from gpuctl.moves.model import Finding
from gpuctl.moves.move import LIVE, SHELVE

SHELVED_PORTS = 24  # LP 1851545: an unshelve binds SR-IOV ports rightly from here on
_DEVICES = frozenset({"direct", "direct-physical", "macvtap", "vdpa", "virtio-forwarder", "remote-managed"})


def disks(at: Situation) -> Finding:
    """Its local disks survive the way that was chosen."""
    name, server = "move-disks", at.server
    root = 0 if server.boots_from_volume else server.root_gib
    where = "on a volume" if server.boots_from_volume else f"{root} GiB"
    said = f"root {where}, ephemeral {server.ephemeral_gib} GiB, swap {server.swap_mib} MiB"
    if at.strategy == SHELVE:
        return _shelved(at, name, said)
    if root or server.ephemeral_gib:
        title = "its local disks are copied between the hosts"
        fix = "nova's ssh between the computes must work, and the disks must not be on LVM: neither is looked at here"
        return warn(name, at, title, said, fix) if at.strategy != LIVE else good(name, at, title, said)
    return good(name, at, "no local disk has to be copied", said)


def _shelved(at: Situation, name: str, said: str) -> Finding:
    server = at.server
    if server.ephemeral_gib:
        if not at.options.accept_ephemeral_loss:
            title = "its ephemeral disk is in no snapshot: shelving loses what is on it"
            return fail(name, at, title, said, "--strategy cold keeps it; --accept-ephemeral-loss gives it up")
        return warn(name, at, "what is on its ephemeral disk will be lost, as accepted", said)
    if server.boots_from_volume:
        return good(name, at, "its disks are volumes: no snapshot is made", said)
    title = f"its root disk (up to {server.root_gib} GiB) goes to Glance as a snapshot and comes back from there"
    return warn(name, at, title, said, "Glance needs the room; Nova deletes the snapshot at the unshelve")


def ports(at: Situation) -> Finding:
    """Its ports can be bound on the destination."""
    name = "move-ports"
    if at.vnic_types is None:
        return skip(name, at, "its ports could not be read", "Neutron was not asked, or did not answer")
    special = sorted(_DEVICES & set(at.vnic_types))
    if not special:
        return good(name, at, "its ports are ordinary ones", f"{len(at.vnic_types)} ports")
    said = ", ".join(special)
    if at.strategy == SHELVE and at.releases.low < SHELVED_PORTS:
        fix = "--strategy cold"
        return fail(name, at, "this Nova does not bind SR-IOV ports rightly when it unshelves", said, fix)
    title = "it has ports that take devices of the host: the destination needs free ones too, which is not looked at"
    return warn(name, at, title, said)

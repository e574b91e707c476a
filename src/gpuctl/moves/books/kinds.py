"""Every finding about GPU servers that there is: its stable id, and what docs/reference/audit.md says of it."""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.moves.model import Finding

DOC = "reference/audit.md"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Attributes:
        id: stable, kebab-case.
        title: one line, as it is shown.
        when: when it fails (F), warns (W) or is skipped (S), each behind its letter.
        reads: what has to be seen for it.
        remedy: what to do, with why.
    """

    id: str
    title: str
    when: str
    reads: str
    remedy: str

    @property
    def statuses(self) -> tuple[str, ...]:
        """What it can be: fail, warn, skip."""
        signs = {"F": "fail", "W": "warn", "S": "skip"}
        return tuple(signs[part.strip()[0]] for part in self.when.split("; ") if part.strip()[:2] in {"F ", "W ", "S "})


_RECOVER = "`gpuctl instance recover SERVER` says which case it is and takes the steps that are safe."

KINDS = {
    one.id: one
    for one in (
        Kind(
            "server-error", "The server is in ERROR",
            "F the server's status is ERROR; the evidence has the last line of the fault",
            "Nova", f"{_RECOVER} Do not hard reboot it before: with rows on two hosts that destroys the guest.",
        ),
        Kind(
            "server-stuck", "The server has been in the middle of something for long",
            "W its task_state has been set, and nothing of it changed, for an hour",
            "Nova", f"{_RECOVER} A large snapshot can take that long.",
        ),
        Kind(
            "active-powered-off", "Nova calls the server ACTIVE, and its guest is off",
            "F vm_state active, power_state shut down or crashed, and no task",
            "Nova", f"{_RECOVER} A hard reboot brings it back where its rows are on one host.",
        ),
        Kind(
            "migration-error", "A failed migration may hold a card",
            "W a migration in `error` with a destination, and a Nova that counts such a migration as an owner "
            "(22 and newer); "
            "with the database the rows themselves are looked at, and this is not said",
            "Nova", f"{_RECOVER} With `--nova-db` it is known which card, if any.",
        ),
        Kind(
            "migration-stuck", "A migration has stood still for long",
            "W a migration that Nova should be working on did not change for an hour",
            "Nova", f"{_RECOVER} Look whether both nova-computes are up.",
        ),
        Kind(
            "reset-too-early", "A migration waits for a confirm that can no longer be given",
            "F a `finished` migration of a server that is not in VERIFY_RESIZE: its state was reset; cards on "
            "both hosts are held",
            "Nova", f"{_RECOVER} Do not migrate it again before: confirm would then take the older record.",
        ),
        Kind(
            "verify-resize-left", "A migration waits for its confirm, and holds cards on two hosts",
            "W VERIFY_RESIZE for a day",
            "Nova", "`gpuctl instance recover SERVER` confirms it once the guest is proven good, or reverts it.",
        ),
        Kind(
            "evacuated-host-away", "Evacuated, and the old host has not come back",
            "W an evacuation in `done`, and the old host's nova-compute is down; "
            "not where the database shows that the server has rows on its own host alone",
            "Nova", "Do not start the server before the old nova-compute is back: the start fails and removes "
            "the guest.",
        ),
        Kind(
            "evacuated-host-back", "Evacuated, the old host is up, and still holds the cards",
            "F an evacuation in `done` although the old host's nova-compute is up",
            "Nova", "Restart nova-compute on the old host: it then removes the old guest and gives the cards back.",
        ),
        Kind(
            "allocation-double", "Placement has more cards for the server than its flavor asks for",
            "F more devices of the server's host are allocated to it: a cold migration or an evacuation with "
            "PCI in Placement does that",
            "Placement", f"{_RECOVER} Until then a free card cannot be had.",
        ),
        Kind(
            "allocation-missing", "Placement has fewer cards for the server than its flavor asks for",
            "F fewer devices are allocated, on a host that reports its devices",
            "Placement", f"{_RECOVER} Until then Placement gives a used card to somebody else, whose claim fails.",
        ),
        Kind(
            "allocation-elsewhere", "Something is allocated to the server on a host where it is not",
            "F an allocation on another host, and no migration at work, no VERIFY_RESIZE and no evacuation explains it",
            "Placement", _RECOVER,
        ),
        Kind(
            "allocation-orphan", "An allocation of nobody: no server has that id, and no migration at work",
            "F a consumer that is the uuid of a migration that is over or of a deleted server's, or that Nova "
            "does not know "
            "at all and that holds a card; W one that Nova does not know and that holds no card",
            "Placement",
            "`gpuctl instance recover SERVER` gives back what a migration left. Nova shows a deleted server's "
            "migrations to nobody: `gpuctl instance recover CONSUMER --nova-db URL` finds the server of one and gives "
            "it back too. Whom the database does not know may be another service's: look before you delete it.",
        ),
        Kind(
            "row-elsewhere", "Nova's rows give the server cards on a host where it is not",
            "F rows of `pci_devices` on another host, and no migration at work, no VERIFY_RESIZE and no "
            "evacuation explains them",
            "--nova-db", f"{_RECOVER} Since 26 the next start or hard reboot fails and destroys the guest.",
        ),
        Kind(
            "row-double", "Nova's rows give the server more cards than its flavor asks for",
            "F more rows on its own host: a move was tried again after one that leaked",
            "--nova-db", f"{_RECOVER} Shelving and unshelving it to the same host puts it right.",
        ),
        Kind(
            "row-missing", "Nova's rows give the server fewer cards than its flavor asks for",
            "F fewer rows, of a server that is on a host",
            "--nova-db", _RECOVER,
        ),
        Kind(
            "row-orphan", "Nova's rows give a card to a server that is deleted",
            "F the owner of a row is a deleted server, or none",
            "--nova-db", "The next audit of that nova-compute frees it (a minute); where it does not, restart "
            "that nova-compute.",
        ),
        Kind(
            "domain-missing", "The server's guest is not on its host",
            "F Nova calls the server active, and its host runs no domain of it",
            "hosts", f"{_RECOVER} A shelve whose snapshot failed ends so, and a hard reboot after a failed move.",
        ),
        Kind(
            "domain-elsewhere", "A second guest of the server runs on another host",
            "F a running domain of the server on a host that is not its own: two guests may write to the same disks",
            "hosts", "Find out which is the right one before anything else; then `gpuctl instance recover SERVER`.",
        ),
        Kind(
            "domain-stale", "A stale domain of the server is defined on another host",
            "W a shut-off domain of the server elsewhere, and no migration that may still be reverted",
            "hosts", "`gpuctl instance leftovers list HOST` says whether it may go.",
        ),
        Kind(
            "domain-unknown", "A domain of no server",
            "F it runs and has host devices; W it is shut off and has, or bears a name that Nova gives",
            "hosts", "`virsh dumpxml` on that host says what it is; a guest of yours beside Nova must not have "
            "Nova's cards.",
        ),
        Kind(
            "hostdev-mismatch", "The guest has other devices than the books say",
            "F the host devices of the running domain are not those of Nova's rows, or not those of Placement, "
            "or not as many",
            "hosts, with --nova-db or Placement", _RECOVER,
        ),
        Kind(
            "resize-leftover", "What a move left on the disk",
            "W a `<uuid>_resize` folder, and no migration that may still be reverted",
            "hosts", "`gpuctl instance leftovers list HOST` says whether it may go; never remove it by hand before.",
        ),
        Kind(
            "card-unbooked", "A card on vfio-pci that Nova does not know",
            "W a GPU that the host has on vfio-pci is in no row and no provider",
            "hosts, with --nova-db or Placement", "`gpuctl nova check` shows whether device_spec has it; "
            "restart nova-compute.",
        ),
        Kind(
            "card-not-vfio", "A card of Nova's is not on vfio-pci",
            "F it is allocated; W it is free: the next guest's start fails, unless libvirt can take it from its driver",
            "hosts, with --nova-db or Placement", "`gpuctl host check` on that host says who has it.",
        ),
        Kind(
            "alias-gone", "The server asks for an alias that nova.conf does not have",
            "F the alias is in none of the files of `--nova-conf`: no move of the server can succeed",
            "--nova-conf", "Put the alias back into `[pci] alias` of nova-api and of every nova-compute.",
        ),
        Kind(
            "compute-forced-down", "A compute service is forced down",
            "W forced_down is set",
            "Nova", "Once the host is well: `openstack compute service set --up HOST nova-compute`.",
        ),
        Kind(
            "compute-disabled", "gpuctl left a compute service disabled",
            "W a disabled service whose reason begins with gpuctl",
            "Nova", "If the drain is over: `openstack compute service set --enable HOST nova-compute`.",
        ),
        Kind(
            "not-seen", "Something could not be looked at",
            "S a view was not asked for, or could not be had; what rests on it is not known",
            "-", "The evidence says which, and why.",
        ),
    )
}  # fmt: skip


def found(kind: str, status: str, subject: str, evidence: str, fix: str) -> Finding:
    """Return a finding of one of these kinds.

    Args:
        kind: its id.
        status: warn, fail or skip.
        subject: a server's uuid, host/address, or a host.
        evidence: what was read where.
        fix: one thing to do now, a command if there is one.
    """
    return Finding(kind, status, subject, KINDS[kind].title, evidence, fix, f"{DOC}#{kind}")


def recover(server: str) -> str:
    """Return the command that most of them end with."""
    return f"gpuctl instance recover {server}"

"""A plan is data: what will change, from what to what, why, and at which risk.

Dry run, diff, JSON, consent, journal and audit all print these very objects.
"""

from __future__ import annotations

from gpuctl_host.data import frozen
from gpuctl_host.facts.model import Card, FileState

# kinds
FILE = "file"  # a file (or link) gets a new content, appears or goes; target: its path
GENERATED = (
    "generated"  # a command of the host rewrites files of its own; target: a name, such as "initramfs 6.1.0-56-amd64"
)
OVERRIDE = "override"  # driver_override of a PCI function; target: its address
UNBIND = "unbind"  # a PCI function loses its driver; target: its address
BIND = "bind"  # a PCI function gets the driver named in `after` (drivers_probe); target: its address
REMOVE = "remove"  # a PCI function leaves the bus; target: its address
RESCAN = "rescan"  # the bus below a bridge is scanned again; target: the bridge's address, or "pci" for all
MODULE = "module"  # a kernel module is loaded; target: its name
KINDS = (FILE, GENERATED, OVERRIDE, UNBIND, BIND, REMOVE, RESCAN, MODULE)
LIVE_KINDS = (OVERRIDE, UNBIND, BIND, REMOVE, RESCAN, MODULE)  # they act on the running kernel and do not outlive it

# risks
NONE, SERVICE, REBOOT = "none", "service", "reboot"


@frozen
class Change:
    """One step of a plan.

    Attributes:
        kind: one of KINDS.
        target: a path, a PCI address, a module, or what is generated.
        before: what is there now: FileState or None for a file; a driver's or override's name or None for a device.
        after: what will be there, in the same form.
        reason: why, in one sentence for the person who must agree.
        risk: "none"; "service" (something that runs notices); "reboot" (holds only after one).
        paths: for GENERATED: the files that the command rewrites; their before-images are kept.
        argv: for GENERATED: the command; it is run again where its before-images no longer fit.
        timeout: for GENERATED: seconds.
    """

    kind: str
    target: str
    before: FileState | str | None
    after: FileState | str | None
    reason: str
    risk: str = NONE
    paths: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    timeout: float = 0.0


@frozen
class Refusal:
    """Why nothing is done: a finding's id, the address or "host", what was read, what to do."""

    id: str
    subject: str
    evidence: str
    fix: str


@frozen
class Wish:
    """What the host shall be: the input of the boot back-ends and of the live steps.

    Attributes:
        cards: every function to take charge of, by identity.
        arguments: kernel arguments that the next boot needs and has not.
        blacklist: drivers that no device which the host keeps needs.
        softdep: drivers that shall load after vfio-pci, because a kept device needs them.
        driver_modules: vfio-pci or variant modules the images must hold ("vfio_pci").
        vfio_options: options for vfio-pci ("disable_idle_d3=1"), usually none.
        kernels: installed releases whose image has to be made anew.
    """

    cards: tuple[Card, ...]
    arguments: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    softdep: tuple[str, ...] = ()
    driver_modules: tuple[str, ...] = ("vfio_pci",)
    vfio_options: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()


@frozen
class Plan:
    """Everything that a prepare (or a restore) will do, bound to what it saw.

    Attributes:
        fingerprint: sha256 over the facts that the plan rests on; apply reads again and refuses another one.
        refusals: if there are any, there are no changes.
        manual: what a person has to do because gpuctl will not (UKI, ostree, an unknown loader).
        reboot: whether the wish holds only after a reboot, and why.
    """

    verb: str  # "prepare" or "restore"
    boot_id: str | None
    fingerprint: str
    wish: Wish
    changes: tuple[Change, ...]
    refusals: tuple[Refusal, ...] = ()
    manual: tuple[str, ...] = ()
    reboot: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

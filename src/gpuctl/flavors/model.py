"""The records: a catalogue's entry, what it is on a given cloud, what a cloud has."""

from __future__ import annotations

from dataclasses import dataclass, field

OWNER = "gpuctl:catalogue"
"""The extra spec that says which catalogue a flavor belongs to.

A namespace that Nova's validation passes (nova/api/validation/extra_specs/validators.py, 21 to 34: unknown names are
refused only inside its own namespaces) and that AggregateInstanceExtraSpecsFilter and ComputeCapabilitiesFilter skip
(both read keys without a namespace and their own). A description would be there for people to change, and is missing
before 2.55.
"""

ALIAS = "pci_passthrough:alias"


@dataclass(frozen=True, slots=True)
class Gpus:
    """So many devices of one alias of Nova's `[pci] alias`."""

    alias: str
    count: int


@dataclass(frozen=True, slots=True)
class Numa:
    """Guest NUMA nodes (0: Nova decides), and how strictly the cards must be near them."""

    nodes: int = 0
    gpu_affinity: str | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """How virtual CPUs are pinned."""

    policy: str | None = None
    threads: str | None = None
    emulator_threads: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One flavor of a catalogue, as it was wished for. ``ram`` and ``swap`` are MiB, ``disk`` and ``ephemeral`` GiB.

    ``None`` in ``id``, ``description`` and ``access`` means: not ours to say, leave what is there.
    """

    name: str
    vcpus: int
    ram: int
    disk: int
    catalogue: str | None = None
    id: str | None = None
    ephemeral: int = 0
    swap: int = 0
    gpus: tuple[Gpus, ...] = ()
    hide_kvm: bool = False
    numa: Numa = field(default_factory=Numa)
    cpu: Cpu = field(default_factory=Cpu)
    page_size: str | None = None
    locked_memory: bool = False
    address_bits: str | int | None = None  # "host", or a number
    secure_boot: str | None = None
    traits: tuple[tuple[str, str], ...] = ()
    aggregates: tuple[tuple[str, str], ...] = ()
    extra_specs: tuple[tuple[str, str], ...] = ()
    public: bool = False
    access: tuple[str, ...] | None = None
    description: str | None = None
    source: str = ""  # file:line, for messages


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry in the words of one cloud's Nova."""

    name: str
    vcpus: int
    ram: int
    disk: int
    ephemeral: int
    swap: int
    public: bool
    specs: dict[str, str]
    id: str | None = None
    description: str | None = None
    access: tuple[str, ...] | None = None  # project ids
    catalogue: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def gpu(self) -> bool:
        """Whether a server of this flavor gets a device of the host."""
        return is_gpu(self.specs)


@dataclass(frozen=True, slots=True)
class Standing:
    """A flavor that a cloud has. ``access`` is None while nobody has asked for it, and for public flavors."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int
    ephemeral: int
    swap: int
    public: bool
    specs: dict[str, str]
    description: str | None = None
    access: tuple[str, ...] | None = None

    @property
    def gpu(self) -> bool:
        """Whether a server of this flavor gets a device of the host."""
        return is_gpu(self.specs)

    @property
    def owner(self) -> str | None:
        """The catalogue that made it."""
        return self.specs.get(OWNER)


def is_gpu(specs: dict[str, str]) -> bool:
    """Say whether these extra specs ask for a device: an alias, a vGPU, or a resource class of PCI devices."""
    return ALIAS in specs or any(
        (key.startswith("resources") and key.rpartition(":")[2] in {"VGPU", "PGPU"}) or key.startswith("accel:")
        for key in specs
    )

"""Who uses each card now: processes, services, domains, and what hangs on the card itself (VFs, mediated devices)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.data import changed
from gpuctl_host.errors import ToolError
from gpuctl_host.facts.model import Gpu, Holder
from gpuctl_host.facts.nodes import device_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl_host.host import Host

_MDEVS = "/sys/bus/mdev/devices"
_PERSISTENCED = "nvidia-persistenced"
_SMI_DEADLINE = 10.0  # seconds: without persistence it initialises the card first


def read_holders(
    host: Host,
    gpus: Sequence[Gpu],
    uses: Mapping[str, tuple[int, tuple[str, ...]]] | None,
    learned: Mapping[str, object],
    *,
    deep: bool,
) -> tuple[Gpu, ...]:
    """Return the GPUs with their holders; None where processes cannot be seen and sysfs shows nobody.

    Args:
        host: the host.
        gpus: the GPUs.
        uses: /proc/modules: references and users of each module.
        learned: what a capture has noted of its host.
        deep: also ask nvidia-smi for the persistence mode, which no file shows.
    """
    if not gpus:
        return ()
    nodes = {gpu.address: device_nodes(host, gpu) for gpu in gpus} if host.live else {}
    wanted = {node: number for of in nodes.values() for node, number in of.items()}
    opened = host.open_devices(wanted) if wanted else ([] if host.live else None)
    domains = _domains(host)
    daemon = _daemon(host) if any(gpu.pci.driver == "nvidia" for gpu in gpus) else None
    found = []
    for gpu in gpus:
        holders = _attached(host, gpu) + _domains_of(gpu, domains)
        known: tuple[Holder, ...] | None
        if opened is None:
            known = _noted(learned, gpu.address) if not host.live else None
            known = tuple(holders) or known
        else:
            pids = {pid for pid, node in opened if node in nodes[gpu.address]} - {holder.pid for holder in holders}
            if daemon is not None and gpu.pci.driver == "nvidia":
                pids.add(daemon)  # it may keep a card without an open node
            holders += [_described(host, pid, opened) for pid in sorted(pids)]
            holders += _unaccounted(gpu, uses, opened, wanted)
            known = tuple(holders)
        found.append(changed(gpu, holders=known, persistence=_persistence(host, gpu, learned, deep=deep)))
    return tuple(found)


def _domains(host: Host) -> dict[str, Holder]:
    """The running domains by device; the reader of their XML is only loaded where there may be some."""
    if not host.live and not host.is_dir("/run/libvirt/qemu"):
        return {}
    from gpuctl_host.facts.domains import read_domains

    return read_domains(host)


def _daemon(host: Host) -> int | None:
    """The pid of NVIDIA's persistence daemon."""
    if not host.live:
        return None
    from gpuctl_host.facts.processes import running

    return running(host, _PERSISTENCED)


def _attached(host: Host, gpu: Gpu) -> list[Holder]:
    """What sysfs shows to hang on the card: enabled VFs and mediated devices."""
    holders = []
    if gpu.pci.sriov_numvfs > 0:
        holders.append(Holder("vf", f"{gpu.pci.sriov_numvfs} virtual functions are enabled"))
    names = host.names(_MDEVS)[:256]
    mediated = [name for name in names if host.resolve(f"{_MDEVS}/{name}").startswith(f"{gpu.pci.path}/")]
    return [*holders, *(Holder("mdev", name) for name in mediated)]


def _domains_of(gpu: Gpu, domains: Mapping[str, Holder]) -> list[Holder]:
    return list(dict.fromkeys(domains[item.address] for item in gpu.members if item.address in domains))


def _described(host: Host, pid: int, opened: Sequence[tuple[int, str]]) -> Holder:
    """The process; as a "vfio" holder if all that it has open is the group and nothing says which domain it is."""
    from gpuctl_host.facts.processes import describe

    holder = describe(host, pid)
    if holder.kind == "process" and any(owner == pid and node.startswith("/dev/vfio/") for owner, node in opened):
        return changed(holder, kind="vfio")
    return holder


def _unaccounted(
    gpu: Gpu,
    uses: Mapping[str, tuple[int, tuple[str, ...]]] | None,
    opened: Sequence[tuple[int, str]],
    wanted: Mapping[str, int | None],
) -> list[Holder]:
    """References to the nvidia module that no other module and no open node explains: somebody unseen has it."""
    if gpu.pci.driver != "nvidia" or not uses or "nvidia" not in uses or opened or not wanted:
        return []
    references, users = uses["nvidia"]
    surplus = references - len(users)
    return [Holder("process", f"somebody unseen: {surplus} uses of the nvidia module")] if surplus > 0 else []


def _persistence(host: Host, gpu: Gpu, learned: Mapping[str, object], *, deep: bool) -> bool | None:
    """Whether NVIDIA's persistence mode keeps the card; None: not known, which is not the same as no."""
    if gpu.pci.driver != "nvidia":
        return False if gpu.pci.driver is not None else None
    if not host.live:
        noted = learned.get("persistence")
        value = noted.get(gpu.address) if isinstance(noted, dict) else None
        return value if isinstance(value, bool) else None
    tool = host.which("nvidia-smi") if deep else None
    if tool is None:
        return None
    try:
        argv = [tool, "-i", gpu.address, "--query-gpu=persistence_mode", "--format=csv,noheader"]
        answer = host.run(argv, timeout=_SMI_DEADLINE)
    except ToolError:
        return None
    return {"enabled": True, "disabled": False}.get(answer.stdout.strip().lower())


def _noted(learned: Mapping[str, object], address: str) -> tuple[Holder, ...] | None:
    noted = learned.get("holders")
    rows = noted.get(address) if isinstance(noted, dict) else None
    if not isinstance(rows, list):
        return None
    return tuple(Holder(str(row[0]), str(row[1])) for row in rows if isinstance(row, list) and len(row) >= 2)

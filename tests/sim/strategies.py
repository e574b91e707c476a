"""Hypothesis strategies: valid hosts of every kind that the field has shown, small enough to simulate in milliseconds."""

from __future__ import annotations

from hypothesis import strategies as st

from .catalogue import NOUVEAU, NVGRACE, NVIDIA, STOCK, bridge, card
from .parts import Function, Machine, Module
from .worlds import chipset

ROOTS = ("0000", "0001", "0009", "10000")
KERNELS = {
    "debian": ("6.1.0-9-amd64", "6.1.0-56-amd64", "6.12.9+bpo-amd64"),
    "rhel": ("5.14.0-362.8.1.el9_3.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
    "suse": ("6.4.0-150600.21-default", "6.4.0-150600.23.7-default"),
}
# What people leave behind: each is valid for the tool that reads it.
GRUB_FILES = (
    'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "GRUB_CMDLINE_LINUX_DEFAULT='quiet splash'\n",
    "GRUB_CMDLINE_LINUX_DEFAULT=quiet\nGRUB_CMDLINE_LINUX=\n",
    'GRUB_CMDLINE_LINUX="console=ttyS0,115200n8 iommu_intel=on"\n# GRUB_CMDLINE_LINUX="intel_iommu=on"\n',
    'GRUB_CMDLINE_LINUX_DEFAULT="quiet \\\n  mitigations=auto"\nGRUB_DISABLE_RECOVERY=true\n',
    "export GRUB_CMDLINE_LINUX='dyndbg=\"file drivers/pci/* +p\"'\n",
    'A=net.ifnames=0\nGRUB_CMDLINE_LINUX="$A biosdevname=0"; GRUB_CMDLINE_LINUX_DEFAULT="${A}"\n',
    'GRUB_CMDLINE_LINUX="intel_iommu=on,sm_on iommu=pt amd_iommu=on"',  # and no newline at the end
    "GRUB_TIMEOUT=0\n",
)
DROPINS = (
    "",
    'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\n',
    'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT nvme_core.io_timeout=4294967295"\n',
)
MODPROBE_FILES = (
    "",
    "# nothing but a comment",
    "blacklist floppy\noptions  kvm_intel   nested=1\n",
    "blacklist nouveau\noptions nouveau modeset=0\n",
    "softdep nvme pre: \\\n  ahci\n",
    "install firewire-core /bin/true\nalias net-pf-10 off\n",
    "options snd_hda_intel power_save=1\n\n\n",
)


def _functions_of(draw: st.DrawFn, model: str, root: str, number: int, groups: _Groups) -> tuple[Function, ...]:
    """A card behind a port of its own, in one of the group layouts that are seen."""
    port_bus, bus = 0x40 + 2 * number, 0x41 + 2 * number
    port = bridge(f"{root}:{port_bus:02x}:02.0", group=groups.new())
    layouts = ("own", "own", "own", "split", "with port", "regroup", "shared")
    layout = draw(st.sampled_from(layouts), label="layout")
    group = port.group if layout == "with port" else groups.new()
    if layout == "shared" and groups.last_card is not None:  # two slots behind one switch without ACS
        group = groups.last_card
    groups.last_card = group
    parts = card(
        model, f"{root}:{bus:02x}:00", parent=port.address, group=group, numa=draw(st.sampled_from((-1, 0, 1))),
        subsystem=draw(st.sampled_from((None, ("3842", "6180"), ("10de", "119e")))),
        regroup=groups.new() if layout == "regroup" else None,
    )  # fmt: skip
    if layout == "split":  # AMD with ACS: each function has a group (pci-ids.md, rule 3)
        parts = tuple(_but(item, group=groups.new()) for item in parts)
    if draw(st.integers(0, 4), label="nouveau fails") == 0:
        parts = (_but(parts[0], refuses=(("nouveau", 22),)), *parts[1:])
    return (port, *parts)


class _Groups:
    """Numbers for groups, none twice."""

    def __init__(self, first: int) -> None:
        self._next = first
        self.last_card: int | None = None

    def new(self) -> int:
        """The next number."""
        self._next += 1
        return self._next


def _but(function: Function, **changes: object) -> Function:
    from dataclasses import replace

    return replace(function, **changes)  # type: ignore[arg-type]


@st.composite
def hosts(draw: st.DrawFn, *, safe: bool = False) -> Machine:
    """A host with one to six cards.

    Args:
        safe: only hosts on which nothing has to be refused: no card shares a group with what the host needs.
    """
    family = draw(st.sampled_from(("debian", "debian", "rhel", "suse")), label="family")
    groups = _Groups(40)
    functions: list[Function] = list(
        chipset(
            onboard_sound=draw(st.booleans(), label="onboard sound"), disk=draw(st.sampled_from(("nvme0n1", "sda")))
        )
    )
    if any(item.disk == "sda" for item in functions):
        functions = [_but(item, cls="010601") if item.disk else item for item in functions]
    models = draw(
        st.lists(
            st.sampled_from(("gtx1080", "gtx1080", "rtx2080ti", "l4", "h100", "a100", "rx7900", "grace")),
            min_size=1,
            max_size=6,
        ),
        label="models",
    )
    if not any(model != "rx7900" for model in models):
        models.append("gtx1080")
    for number, model in enumerate(models):
        functions += _functions_of(draw, model, draw(st.sampled_from(ROOTS), label="domain"), number, groups)
    if not safe and draw(st.integers(0, 5), label="danger") == 0:
        victim = draw(st.sampled_from([item for item in functions if item.disk or item.net]))
        gpu = next(item for item in functions if item.vendor == "10de")
        functions = [_but(item, group=victim.group) if item.slot == gpu.slot else item for item in functions]
    modules, builtin = _modules(draw)
    iommu, cpu = draw(st.sampled_from((("intel", "intel"), ("intel", "intel"), ("amd", "amd"))), label="iommu")
    count = draw(st.integers(1, len(KERNELS[family])), label="kernels")
    return Machine(
        "generated", tuple(functions), modules, builtin, family, cpu, iommu,
        iommu_default_on=draw(st.booleans(), label="default on"), releases=KERNELS[family][-count:], files=_files(draw, family),
        modes={"/etc/modprobe.d/zz-local.conf": draw(st.sampled_from((0o644, 0o600, 0o640)))},
    )  # fmt: skip


def _modules(draw: st.DrawFn) -> tuple[tuple[Module, ...], tuple[str, ...]]:
    vendor_driver = draw(st.sampled_from((NOUVEAU, NOUVEAU, NVIDIA, None)), label="driver")
    modules = tuple(item for item in STOCK if item.name != "nouveau") + ((vendor_driver,) if vendor_driver else ())
    modules += (NVGRACE,) if draw(st.booleans(), label="variant") else ()
    builtin: tuple[str, ...] = ("pcieport",)
    if draw(st.integers(0, 3), label="vfio builtin") == 0:
        builtin += ("vfio", "vfio_virqfd", "vfio_pci_core", "vfio_iommu_type1", "vfio_pci")
    if draw(st.booleans(), label="xhci builtin"):
        builtin += ("xhci_pci",)
    return modules, builtin


def _files(draw: st.DrawFn, family: str) -> dict[str, bytes]:
    files = {
        "/etc/modprobe.d/zz-local.conf": draw(st.sampled_from(MODPROBE_FILES), label="modprobe.d").encode(),
        "/etc/udev/rules.d/70-persistent-net.rules": b'SUBSYSTEM=="pci", ACTION=="change", GOTO="end"\nLABEL="end"\n',
    }
    if family == "debian":
        files["/etc/default/grub"] = draw(st.sampled_from(GRUB_FILES), label="grub").encode()
        dropin = draw(st.sampled_from(DROPINS), label="drop-in")
        if dropin:
            files["/etc/default/grub.d/50-cloudimg-settings.cfg"] = dropin.encode()
        if draw(st.booleans(), label="vfio in modules"):
            files["/etc/initramfs-tools/modules"] = b"# by hand\nvfio\n  vfio_pci \n"
    elif family == "suse":
        files["/etc/default/grub"] = draw(
            st.sampled_from(GRUB_FILES[:4]), label="grub"
        ).encode()  # pbl's own editing is line by line
    else:
        files["/etc/default/grub"] = (
            b'GRUB_ENABLE_BLSCFG=true\nGRUB_DEFAULT=saved\nGRUB_CMDLINE_LINUX="'
            + draw(st.sampled_from((b"", b"rhgb quiet", b"crashkernel=auto iommu_intel=on")))
            + b'"\n'
        )
    return files


__all__ = ["hosts"]

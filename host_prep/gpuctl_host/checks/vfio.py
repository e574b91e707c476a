"""VFIO itself: the module, the initramfs, the device nodes, and QEMU above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.checks import advice
from gpuctl_host.checks.answer import HOST, Answer, Check, failed, passed, skipped
from gpuctl_host.checks.kernels import version
from gpuctl_host.checks.view import is_vfio, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuctl_host.checks.view import View

_OTHERS = 0o006  # read or write for everybody
_KVM_OFF = (2, 1)  # `kvm=off`, which hides KVM from a guest's NVIDIA driver, came with QEMU 2.1


def vfio_module(view: View) -> Iterator[Answer]:
    """vfio-pci is in the kernel, and in the initramfs that boots next."""
    have, release = view.facts.software.vfio_pci, view.facts.kernel.release or "the running kernel"
    if have is None:
        yield skipped(HOST, "whether the kernel has vfio-pci could not be seen", "/lib/modules is not there")
    elif have == "missing":
        package = {
            "debian": f"linux-modules-extra-{release} (Ubuntu) or the full linux-image",
            "redhat": "kernel-modules",
        }
        fix = f"install {package.get(advice.family(view) or '', 'a kernel with CONFIG_VFIO_PCI')}"
        yield failed(HOST, f"{release} has no vfio-pci", f"/lib/modules/{release}: neither a module nor built in", fix)
    elif have == "builtin":
        yield passed(
            HOST,
            "vfio-pci is built into the kernel",
            f"/lib/modules/{release}/modules.builtin; options come from the command line alone",
        )
    else:
        yield _in_image(view, release)


def _in_image(view: View, release: str) -> Answer:
    """Whether the image that boots next holds the modules that its cards need."""
    entry = view.next_entry
    booted = entry.release if entry and entry.release else view.facts.kernel.release
    image = next((item for item in view.facts.images or () if item.release == booted), None)
    there = f"/lib/modules/{release}: module"
    if image is None or image.modules is None:
        return passed(HOST, "the kernel has vfio-pci as a module", f"{there}; the initramfs was not opened")
    wanted = {"vfio_pci"} | {
        plain(card.driver) for card in view.cards.values() if card.action == "bind" and is_vfio(card.driver)
    }
    lacking = sorted(wanted - {plain(name) for name in image.modules})
    if lacking:
        fix = "run `gpuctl host prepare`" if not view.cards else f"run `{advice.rebuild(view)}`"
        return failed(
            HOST, "the initramfs that boots next has no vfio-pci", f"{image.path}: no {', '.join(lacking)}", fix
        )
    return passed(HOST, "vfio-pci is in the initramfs that boots next", f"{image.path}: {', '.join(sorted(wanted))}")


def vfio_permissions(view: View) -> Iterator[Answer]:
    """No VFIO group is open to everybody; the control node is, by design."""
    nodes = [(path, mode) for path, mode in view.facts.software.vfio_nodes if path != "/dev/vfio/vfio"]
    wide = [(path, mode) for path, mode in nodes if mode & _OTHERS]
    if wide:
        shown = ", ".join(f"{path} {mode & 0o7777:04o}" for path, mode in wide)
        fix = (
            "take the udev rule out that sets it (grep -r vfio /etc/udev/rules.d), then run `udevadm trigger "
            "--subsystem-match=vfio`"
        )
        yield failed(HOST, "VFIO groups are open to everybody", f"/dev/vfio: {shown}", fix)
    elif nodes:
        yield passed(
            HOST,
            "VFIO groups are not open to everybody",
            ", ".join(f"{path} {mode & 0o7777:04o}" for path, mode in nodes[:8]),
        )
    else:
        yield skipped(HOST, "no VFIO group to look at", "/dev/vfio has no group")


def qemu_version(view: View) -> Iterator[Answer]:
    """QEMU is new enough for an NVIDIA card."""
    text = view.facts.software.qemu
    now = version(text)
    if not now:
        yield skipped(HOST, "no QEMU was found", "no qemu-system binary or package was seen")
    elif now < _KVM_OFF:
        yield failed(
            HOST,
            f"QEMU {text} is too old",
            f"QEMU {text}; kvm=off needs 2.1",
            f"`{advice.install(view, 'qemu-system-x86', 'qemu-kvm')}` from a supported release",
        )
    else:
        yield passed(HOST, f"QEMU {text}", "2.1 or newer")


CHECKS = (
    Check(
        "vfio-module",
        vfio_module,
        "Is vfio-pci there when it is needed?",
        "Fails when the kernel has no vfio-pci, or the initramfs that boots next has not.",
        "modules.builtin and the modules of the running release; the content of the built image, where it was opened.",
        "A blacklist without vfio-pci in the image leaves the card to nobody; options for a built-in driver in "
        "/etc/modprobe.d are never read.",
        "gpuctl host prepare rebuilds every image and looks inside.",
        ("anatol/booster#20, clayfreeman#3", "measured on Linux 6.1 in QEMU"),
    ),
    Check(
        "vfio-permissions",
        vfio_permissions,
        "Who may open VFIO groups?",
        "Fails when /dev/vfio/<group> is readable or writable for everybody.",
        "The modes of /dev/vfio/*. /dev/vfio/vfio may be 0666: it gives nothing without a group.",
        "Whoever opens the group owns the card, and with it what the card can reach.",
        "Take out the udev rule that sets 0666.",
        ("one-deploy 99-mode.rules", "Linux Documentation/driver-api/vfio.rst"),
    ),
    Check(
        "qemu-version",
        qemu_version,
        "Is QEMU new enough?",
        "Fails when it is older than 2.1.",
        "The version of the QEMU that was found.",
        "Old NVIDIA drivers refuse to start where they see KVM; kvm=off hides it since 2.1.",
        "Install a supported release.",
        ("QEMU 2.1 change log: -cpu ...,kvm=off",),
    ),
)

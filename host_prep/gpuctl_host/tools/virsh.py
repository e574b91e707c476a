"""virsh: what libvirt has, and a definition taken away or put back. The reading ones use its read-only socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.errors import ToolError
from gpuctl_host.tools import QUICK, ran

if TYPE_CHECKING:
    from gpuctl_host.host import Host

_URI = "qemu:///system"
_ANSWER = 10.0  # seconds: libvirtd is asked what it knows already
_SEE = "see `systemctl status libvirtd virtqemud`"


def uuids(host: Host, *, persistent: bool) -> tuple[str, ...]:
    """Return the uuids of all domains, or of those that are defined.

    Raises:
        ToolError: libvirt did not answer.
    """
    argv = ["virsh", "-q", "-r", "-c", _URI, "list", "--all", "--uuid", *(["--persistent"] if persistent else [])]
    answer = ran(host, argv, timeout=_ANSWER, what="asking libvirt for its domains", resolution=_SEE)
    return tuple(answer.stdout.split())


def state(host: Host, uuid: str) -> str:
    """Return libvirt's word for a domain's state: "running", "shut off", ...

    Raises:
        ToolError: libvirt did not answer, or has no such domain.
    """
    argv = ["virsh", "-q", "-r", "-c", _URI, "domstate", uuid]
    return ran(host, argv, timeout=_ANSWER, what=f"asking for domain {uuid}", resolution=_SEE).stdout.strip()


def xml(host: Host, uuid: str) -> str:
    """Return a domain's XML.

    Raises:
        ToolError: libvirt did not answer, or has no such domain.
    """
    argv = ["virsh", "-q", "-r", "-c", _URI, "dumpxml", uuid]
    return ran(host, argv, timeout=_ANSWER, what=f"reading domain {uuid}", resolution=_SEE).stdout


def definition(host: Host, uuid: str) -> str:
    """Return the XML that `define` takes, with what only a writing connection may see.

    Raises:
        ToolError: libvirt did not answer, or has no such domain.
    """
    argv = ["virsh", "-q", "-c", _URI, "dumpxml", "--inactive", "--security-info", uuid]
    return ran(host, argv, timeout=_ANSWER, what=f"reading domain {uuid}", resolution=_SEE).stdout


def undefine(host: Host, uuid: str, *, keep: tuple[str, ...]) -> None:
    """The domain is no longer defined; what ``keep`` names ("nvram", "tpm") stays on disk.

    Raises:
        ToolError: libvirt refused: it runs, or it has snapshots or a saved state, which are never thrown away here.
    """
    argv = ["virsh", "-q", "-c", _URI, "undefine", "--domain", uuid, *(f"--keep-{what}" for what in keep)]
    ran(
        host,
        argv,
        timeout=QUICK,
        what=f"undefining domain {uuid}",
        resolution=f"see `virsh dominfo {uuid}` and `virsh snapshot-list {uuid}`",
    )


def define(host: Host, definition: str) -> None:
    """The domain of that XML is defined again. It goes in as text: a path could be led elsewhere meanwhile.

    Raises:
        ToolError: libvirt refused.
    """
    answer = host.run(["virsh", "-q", "-c", _URI, "define", "/dev/stdin"], timeout=QUICK, stdin=definition)
    if answer.returncode:
        raise ToolError("libvirt did not define the domain again", details=answer.stderr.strip(), resolution=_SEE)

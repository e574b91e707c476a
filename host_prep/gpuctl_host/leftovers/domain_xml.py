"""One libvirt domain, out of its XML: what it is called, which cards it has, which files it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.leftovers.names import IN_PATH, is_uuid

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XML_MAX = 4 << 20
_NOVA = "{http://openstack.org/xmlns/libvirt/nova/1."  # ...0}, and 1.1 since Nova 23
_DECLARES = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@frozen
class Domain:
    """One domain as libvirt has it.

    Attributes:
        state: libvirt's word: "running", "paused", "shut off", "crashed", ...
        persistent: whether it is defined, so that it is still there when it has ended; None: not known.
        hostdevs: addresses of its PCI host devices.
        nova_name: the server's name in Nova's metadata; None if Nova did not make it.
        nova_flavor: the flavor's name there.
        folders: names of servers' folders that any path in it goes through, its own among them.
        keeps: "nvram", "tpm": state beside its disks that has to outlive its definition.
        xml: the definition itself.
    """

    uuid: str
    name: str
    state: str
    persistent: bool | None
    hostdevs: tuple[str, ...]
    nova_name: str | None
    nova_flavor: str | None
    folders: tuple[str, ...]
    keeps: tuple[str, ...]
    xml: str

    @property
    def is_off(self) -> bool:
        """Whether no guest of it runs."""
        return self.state == "shut off"


def parse_domain(text: str, *, state: str | None = None, persistent: bool | None = None) -> Domain | None:
    """Return the domain that ``text`` (a <domain>, or libvirt's own <domstatus> around one) tells of.

    Args:
        text: the XML. One that declares a document type or an entity is refused: libvirt writes neither.
        state: libvirt's word; by default the status file's own, else "shut off".
        persistent: whether it is defined.

    Returns:
        None if it is no such XML, is too big, or names no uuid.
    """
    if len(text) > XML_MAX or _DECLARES.search(text):
        return None
    from xml.etree.ElementTree import ParseError, XMLParser  # loaded only where domains are looked at

    try:
        parser = XMLParser()  # noqa: S314 - root's own files, and no entity gets this far
        parser.feed(text)
        top: Element = parser.close()
    except (ParseError, ValueError):
        return None
    if top.tag == "domstatus":
        state = state or top.get("state")
    inner = top if top.tag == "domain" else top.find("domain")
    server = inner.findtext("uuid", "").strip().lower() if inner is not None else ""
    if inner is None or not is_uuid(server):
        return None
    flavor = _nova(inner, "flavor")
    name = _nova(inner, "name")
    return Domain(
        uuid=server,
        name=inner.findtext("name", "").strip(),
        state=state or "shut off",
        persistent=persistent,
        hostdevs=_hostdevs(inner),
        nova_name=None if _nova(inner, "instance") is None else ((name.text or "") if name is not None else ""),
        nova_flavor=flavor.get("name") if flavor is not None else None,
        folders=_folders(inner),
        keeps=_keeps(inner),
        xml=text,
    )


def _nova(domain: Element, tag: str) -> Element | None:
    for found in domain.iterfind("metadata//*"):
        if found.tag.startswith(_NOVA) and found.tag.endswith("}" + tag):
            return found
    return None


def _hostdevs(domain: Element) -> tuple[str, ...]:
    found = []
    for address in domain.iterfind("devices/hostdev/source/address"):
        try:
            fields = [int(address.get(key, "0"), 0) for key in ("domain", "bus", "slot", "function")]
        except ValueError:
            continue
        if (
            address.get("uuid") is None and address.get("bus") is not None
        ):  # a mediated device has a uuid, USB no bus of PCI
            found.append("{:04x}:{:02x}:{:02x}.{:x}".format(*fields))
    return tuple(dict.fromkeys(found))


def _folders(domain: Element) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for element in domain.iter():
        for text in (element.text, element.tail, *element.attrib.values()):
            if text and "/" in text:
                names.update(dict.fromkeys(IN_PATH.findall(text)))
    return tuple(names)


def _keeps(domain: Element) -> tuple[str, ...]:
    nvram = ("nvram",) if domain.find("os/nvram") is not None else ()
    tpm = ("tpm",) if domain.find("devices/tpm/backend[@type='emulator']") is not None else ()
    return nvram + tpm

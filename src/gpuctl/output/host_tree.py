"""A host drawn as a tree: sockets, the bridges on the way, IOMMU groups, cards, functions, and who holds them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from gpuctl.output.table import cells, width, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Document = dict[str, Any]
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ROOM_MIN = 20  # columns that a text keeps, however deep it hangs


@dataclass(frozen=True, slots=True)
class Pen:
    """The signs that a tree is drawn with."""

    branch: str
    last: str
    down: str
    then: str


LINES = Pen("├─ ", "└─ ", "│  ", " › ")
ASCII = Pen("|- ", "`- ", "|  ", " > ")


@dataclass(slots=True)
class Node:
    """One line of the tree, and what hangs from it; ``bridge`` if it is nothing but a step on the way."""

    text: str
    children: list[Node] = field(default_factory=list)
    bridge: bool = False


def host_tree(facts: Document, pen: Pen = LINES) -> str:
    """Return the host as text, at most as wide as the terminal where the words allow it.

    Args:
        facts: a gpuctl.host.facts/1 document; one of an older gpuctl shows fewer bridges.
        pen: LINES, or ASCII for a terminal that has no other signs.
    """
    trunk = Node(_host(facts))
    for numa in sorted({item.get("numa_node") for item in _cards(facts)}, key=_none_last):
        socket = Node(_socket(facts, numa))
        trunk.children.append(socket)
        for way, branch in _groups(facts, numa):
            _hang(socket, way, branch, facts)
    if not trunk.children:
        trunk.children.append(Node("no GPU of the selected vendors"))
    elif any(item.get("holders_known") is False for item in facts["gpus"]):
        trunk.children.append(Node("who holds the cards is not known here: it takes the live host, and root"))
    return draw(_joined(trunk, pen), pen)


def draw(trunk: Node, pen: Pen = LINES) -> str:
    """Return a tree as text, a line a node, wrapped to the terminal's width."""
    return "".join(line.rstrip() + "\n" for line in _draw(trunk, pen, "", ""))


def _cards(facts: Document) -> list[Document]:
    return [*facts["gpus"], *facts["nvswitches"]]


def _none_last(number: int | None) -> tuple[bool, int]:
    return number is None, number or 0


def _host(facts: Document) -> str:
    iommu, system = facts["iommu"], facts["system"]
    state = {True: "on", False: "off", None: "unknown"}[iommu["enabled"]]
    machine = " ".join(filter(None, (system["vendor"], system["product"])))
    said = [machine, f"Linux {facts['kernel']['release'] or 'unknown'}", f"IOMMU {state}"]
    name = click.style(_safe(facts["host"] or "this host"), bold=True)
    return f"{name}  {_safe(', '.join(filter(None, said)))}"


def _socket(facts: Document, numa: int | None) -> str:
    if numa is None:
        return "NUMA node unknown"
    node = next((item for item in facts["system"].get("numa") or () if item["node"] == numa), None)
    more = f"  {node['cpus']} CPUs, {node['memory_mib'] / 1024:.0f} GiB" if node else ""
    return f"NUMA node {numa}{more}"


# ---------------------------------------------------------------- groups, and what is in them


def _groups(facts: Document, numa: int | None) -> Iterator[tuple[list[str], Node]]:
    """Yield (way there, group) for every group with a GPU or NVSwitch of this NUMA node."""
    found: dict[tuple[int | None, str], list[Document]] = {}
    for item in _cards(facts):
        if item.get("numa_node") == numa:
            group = item["iommu_group"]
            found.setdefault((group, item["address"] if group is None else ""), []).append(item)
    for (group, _), members in sorted(found.items(), key=lambda pair: pair[1][0]["address"]):
        shown = {item["address"] for item in members}
        shown.update(part["address"] for item in members for part in item.get("functions", ()))
        # Two GPUs of one group are each other's peers: each is drawn once.
        peers = {peer["address"]: peer for item in members for peer in item.get("group_peers", ())}
        others = [peer for address, peer in sorted(peers.items()) if address not in shown]
        node = Node("no IOMMU group" if group is None else f"group {group}")
        endpoints = [*members, *(peer for peer in others if not peer["bridge"])]
        way = _common([_way(item) for item in endpoints if item.get("path")])
        node.children += [_card(item) for item in members]
        node.children += [Node(_peer(peer)) for peer in others if peer["address"] not in way]
        yield way, node


def _way(item: Document) -> list[str]:
    """The root bus ("pci0000:40") and the bridges above a function, the outermost first."""
    parts = str(item["path"]).split("/")[:-1]
    return [part for part in parts if _ADDRESS.fullmatch(part) or re.fullmatch(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}", part)]


def _common(ways: list[list[str]]) -> list[str]:
    shared = []
    for steps in zip(*ways, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return shared


def _hang(socket: Node, way: Iterable[str], branch: Node, facts: Document) -> None:
    """Put a group below its bridges, which are there once for all the groups behind them."""
    groups = {item["address"]: item["iommu_group"] for item in facts.get("bridges") or ()}
    place = socket
    for step in way:
        text = f"bus {step[3:]}" if step.startswith("pci") else step
        if groups.get(step) is not None:
            text += f" (group {groups[step]})"
        below = next((item for item in place.children if item.bridge and item.text == text), None)
        if below is None:
            below = Node(text, bridge=True)
            place.children.append(below)
        place = below
    place.children.append(branch)


def _card(item: Document) -> Node:
    ident = f"{item['vendor_id']}:{item['device_id']}"
    name = _safe(item.get("name") or "NVSwitch")
    extra = [word for word, so in (("console", item.get("boot_vga")), (f"SR-IOV {item.get('sriov_totalvfs')}",
             item.get("sriov_totalvfs")), ("virtual function", item.get("physfn"))) if so]  # fmt: skip
    words = [click.style(item["address"], bold=True), name, ident, _driver(item), *extra]
    node = Node("  ".join(words))
    node.children += [
        Node(f"{part['address']}  {part['role']}  {part['vendor_id']}:{part['device_id']}  {_driver(part)}")
        for part in item.get("functions", ())
    ]
    held = [f"{holder['kind']} {holder['name']}" for holder in item.get("holders") or ()]
    if held:
        node.children.append(Node(click.style("held", fg="yellow") + _safe(f" by {', '.join(held)}")))
    return node


def _peer(peer: Document) -> str:
    what = "bridge" if peer["bridge"] else "in the same group"
    return f"{peer['address']}  {what}  {peer['vendor_id']}:{peer['device_id']}  class {peer['class']}  {_driver(peer)}"


def _driver(item: Document) -> str:
    name = item["driver"]
    if not name:
        return "(no driver)"
    return click.style(_safe(name), fg="green" if "vfio" in name else "yellow")


def _safe(text: str) -> str:
    """A host's own words without what a terminal would obey."""
    return _CONTROL.sub("?", text)


# ---------------------------------------------------------------- drawing


def _joined(node: Node, pen: Pen) -> Node:
    """Return the tree with bridges that have one bridge below them on one line with it."""
    while node.bridge and len(node.children) == 1 and node.children[0].bridge:
        below = node.children[0]
        node = Node(f"{node.text}{pen.then}{below.text}", below.children, bridge=True)
    return Node(node.text, [_joined(child, pen) for child in node.children], bridge=node.bridge)


def _draw(node: Node, pen: Pen, lead: str, hang: str) -> Iterator[str]:
    """Yield the node's lines: ``lead`` before the first, ``hang`` before whatever follows."""
    down = pen.down if node.children else "   "
    room = max(width() - cells(hang) - len(down), _ROOM_MIN)
    for number, piece in enumerate(wrap(node.text, room)):
        yield (lead if number == 0 else hang + down) + piece.strip()
    for number, child in enumerate(node.children, 1):
        last = number == len(node.children)
        yield from _draw(child, pen, hang + (pen.last if last else pen.branch), hang + ("   " if last else pen.down))

"""What a person sees of GPU servers: a list, one of them as a tree, an audit."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.output.host_tree import LINES, Node, Pen, draw
from gpuctl.output.table import columns, mark

Document = dict[str, Any]
_VIEWS = (("placement", "Placement"), ("rows", "database"), ("domain", "guest"))
_BAD = frozenset({"ERROR", "error"})


def list_table(document: Document) -> str:
    """Return the GPU servers, one line each; a view that disagrees with another is shown beside it."""
    if not document["servers"]:
        return "No GPU servers.\n" + _unseen(document)
    rows = [
        (
            row["name"],
            row["id"],
            _status(row),
            row["host"] or "-",
            " ".join(f"{wish['count']} {wish['alias']}" for wish in row["cards"]["wanted"]),
            _cards(row),
            _move(row["last_move"]),
        )
        for row in document["servers"]
    ]
    return columns(rows, ("NAME", "ID", "STATE", "HOST", "ASKS FOR", "HAS", "LAST MOVE")) + _unseen(document)


def _status(row: Document) -> str:
    text = row["status"] + (f" ({row['task_state']})" if row["task_state"] else "")
    return click.style(text, fg="red") if row["status"] in _BAD else text


def _cards(row: Document) -> str:
    """One view's cards where all that are known agree; else each."""
    views = {name: row["cards"][key] for key, name in _VIEWS if row["cards"][key] is not None}
    if not views:
        return "unknown"
    if len({tuple(cards) for cards in views.values()}) == 1:
        return _short(next(iter(views.values())), row["host"])
    return click.style("; ".join(f"{name}: {_short(cards, row['host'])}" for name, cards in views.items()), fg="yellow")


def _short(cards: list[str], host: str | None) -> str:
    return " ".join(card.removeprefix(f"{host}/") for card in cards) or "none"


def _move(move: Document | None) -> str:
    if move is None:
        return "-"
    text = f"{move['kind']} {move['from']} -> {move['to'] or 'nowhere'} {move['status']} {move['at'][:16]}"
    return click.style(text, fg="red") if move["status"] in _BAD else text


def _unseen(document: Document) -> str:
    rows = [(mark("skip"), f"{one['view']} not seen: {one['why']}") for one in document["unseen"]]
    return ("\n" + columns(rows)) if rows else ""


def show_tree(document: Document, pen: Pen = LINES) -> str:
    """Return one server as a tree: Nova, Placement, the database, the hosts, and what is wrong.

    Args:
        document: a gpuctl.instance.show/1 document.
        pen: LINES, or ASCII for a terminal that has no other signs.
    """
    asks = ", ".join(f"{wish['count']} x {wish['alias']}" for wish in document["cards"]["wanted"]) or "no card"
    trunk = Node(
        f"{click.style(document['name'], bold=True)}  {document['id']}  asks for {asks} ({document['flavor']})"
    )
    trunk.children = [_nova(document), _placement(document), _database(document), _guests(document)]
    text = draw(trunk, pen)
    for one in document["findings"]:
        text += columns([(mark(one["status"]), one["id"], _told(one))])
    return text


def _nova(document: Document) -> Node:
    where = f"on {document['host']}" if document["host"] else "on no host"
    node = Node(f"Nova: {_status(document)} {where}, vm_state {document['vm_state']}, power {document['power_state']}")
    compute = document["compute"]
    if compute is not None:
        words = ["up" if compute["up"] else "down", "enabled" if compute["enabled"] else "disabled"]
        words += ["forced down"] if compute["forced_down"] else []
        node.children.append(Node(f"nova-compute {', '.join(words)}"))
    if document["locked"]:
        node.children.append(Node(f"locked: {document['locked_reason'] or 'no reason given'}"))
    if document["fault"]:
        fault = document["fault"]
        last = (fault["details"].strip().splitlines() or [fault["message"]])[-1]
        node.children.append(Node(click.style("fault", fg="red") + f" {last}"))
    for one in document["migrations"][-5:]:
        sign = click.style(one["status"], fg="red") if one["status"] in _BAD else one["status"]
        way = f"{one['source']} -> {one['dest'] or 'nowhere'}"
        node.children.append(Node(f"migration {one['id']}  {one['kind']} {way}  {sign}  {one['updated'][:19]}"))
    for one in document["actions"]:
        result = f"  {one['message']}" if one["message"] else ""
        node.children.append(Node(f"action {one['action']}{result}  {one['started'][:19]}  {one['request']}"))
    return node


def _placement(document: Document) -> Node:
    held = document["allocations"]
    if held is None:
        return Node("Placement: not seen")
    node = Node("Placement" if held else "Placement: nothing allocated")
    for one in held:
        what = " ".join(f"{name}={amount}" for name, amount in one["resources"].items())
        who = "" if one["consumer"] == document["id"] else f"  (held by migration {one['consumer']})"
        node.children.append(Node(f"{one['name'] or one['provider']}  {what}{who}"))
    return node


def _database(document: Document) -> Node:
    rows = document["rows"]
    if rows is None:
        return Node("Nova's database: not seen (--nova-db)")
    node = Node("Nova's database" if rows else "Nova's database: no row")
    for one in rows:
        node.children.append(Node(f"{one['host']}/{one['address']}  {one['status']}  {one['kind']}  row {one['id']}"))
    return node


def _guests(document: Document) -> Node:
    if not document["hosts"]:
        return Node("hosts: not seen (--ssh)")
    node = Node("hosts")
    for host in document["hosts"]:
        below = Node(host["host"] + ("" if host["shared"] is not True else "  (instances on shared storage)"))
        for one in host["domains"] or ():
            devices = " ".join(one["hostdevs"]) or "no host device"
            below.children.append(Node(f"domain {one['name']}  {one['state']}  {devices}"))
        if host["domains"] is None:
            below.children.append(Node("domains: not seen"))
        below.children += [Node(f"folder {name}") for name in host["folders"] or ()]
        node.children.append(below if below.children else Node(f"{below.text}  nothing of it"))
    return node


def audit_table(document: Document, *, verbose: bool = False) -> str:
    """Return what stands, what to do, and a closing line.

    Args:
        document: a gpuctl.instance.audit/1 document.
        verbose: say each thing that was not seen, too.
    """
    text = ""
    for one in document["findings"]:
        if one["status"] == "skip" and not verbose:
            continue
        who = f"{one['name']} ({one['subject']})" if one["name"] else one["subject"]
        text += f"{mark(one['status'])} {click.style(who, bold=True)}  {one['title']}  [{one['id']}]\n"
        text += columns([("   ", _told(one))])
    counts = document["counts"]
    text += f"{document['servers']} GPU servers, {document['hosts']} hosts ({document['hosts_seen']} looked at): "
    text += f"{counts['fail']} failed, {counts['warn']} warned"
    return text + (f", {counts['skip']} not seen" + ("" if verbose else " (-v)") if counts["skip"] else "") + ".\n"


def _told(one: Document) -> str:
    return f"{one['evidence']}" + (f"\nwhat to do: {one['fix']}" if one["fix"] else "")

"""What a person sees of flavors."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.output.table import columns

Document = dict[str, Any]
_SIGN = {
    "done": ("✔", "green"),
    "planned": ("·", "cyan"),
    "unchanged": ("=", "bright_black"),
    "waiting": ("!", "yellow"),
    "failed": ("✘", "red"),
    "not-tried": ("?", "bright_black"),
}
_VERB = {"create": "create", "repair": "repair", "replace": "replace", "prune": "delete", "none": "", "conflict": ""}


def apply_table(document: Document, *, verbose: bool = False) -> str:
    """Return a plan or its result: what differs, a line a field, and a closing line.

    Args:
        document: a gpuctl.flavor.apply/1 document.
        verbose: show what is as it should be, too.
    """
    text = ""
    counts: dict[str, int] = {}
    for row in document["flavors"]:
        counts[row["state"]] = counts.get(row["state"], 0) + 1
        if row["state"] != "unchanged" or row["notes"] or verbose:
            text += _row(row)
    return text + _sum(document, counts)


def _row(row: Document) -> str:
    sign, colour = _SIGN[row["state"]]
    verb = _VERB[row["action"]] if row["state"] != "waiting" else "needs replacing"
    text = f"{click.style(sign, fg=colour)} {click.style(row['name'], bold=True)}  {verb}".rstrip()
    if row["servers"] is not None:
        text += f"  ({row['servers']} servers were made from it and keep their copy)"
    text += "\n"
    for one in row["differences"]:
        if one["before"] is not None:
            text += click.style(f"    - {one['field']}: {_value(one['before'])}\n", fg="red")
        if one["after"] is not None:
            text += click.style(f"    + {one['field']}: {_value(one['after'])}\n", fg="green")
    if row["state"] == "waiting":
        text += f"    Nova cannot change {', '.join(row['needs_replacing'])}: --replace deletes it and makes it anew\n"
    for note in row["notes"]:
        text += f"    note: {note}\n"
    error = row["error"]
    if error:
        lines = [error["brief"], *error["details"].splitlines()]
        if error["resolution"]:
            lines.append(f"what to do: {error['resolution']}")
        text += "".join(click.style(f"    {line}\n", fg="red") for line in lines)
    return text


def _value(value: Any) -> str:  # noqa: ANN401 - a field's value
    return (", ".join(map(str, value)) or "nobody") if isinstance(value, list) else str(value)


def _sum(document: Document, counts: dict[str, int]) -> str:
    names = {
        "done": "done and read back",
        "planned": "to do",
        "unchanged": "as they should be",
        "waiting": "need --replace",
    }
    said = ", ".join(f"{counts[state]} {names.get(state, state)}" for state in _SIGN if state in counts)
    if not document["flavors"]:
        return "No flavors.\n"
    if set(counts) == {"unchanged"}:
        return f"Nothing to change: {counts['unchanged']} flavors are as they should be.\n"
    return f"{said}.\n"


def list_table(document: Document) -> str:
    """Return the flavors of a cloud, one line each."""
    rows = [
        (
            row["name"],
            str(row["vcpus"]),
            f"{row['ram'] / 1024:g}",
            str(row["disk"]),
            row["extra_specs"].get("pci_passthrough:alias", "-"),
            "public" if row["public"] else "private",
            row["catalogue"] or "-",
        )
        for row in document["flavors"]
    ]
    return (
        columns(rows, ("NAME", "VCPUS", "RAM GiB", "DISK", "GPUS", "ACCESS", "CATALOGUE"))
        if rows
        else "No GPU flavors; --all shows the others.\n"
    )


def show_table(row: Document) -> str:
    """Return one flavor, a line a field."""
    plain = [(key, str(row[key])) for key in ("name", "id", "vcpus", "ram", "disk", "ephemeral", "swap")]
    plain += [("public", "yes" if row["public"] else "no"), ("catalogue", row["catalogue"] or "-")]
    if row["description"]:
        plain.append(("description", row["description"]))
    if row["access"] is not None:
        plain.append(("access", ", ".join(row["access"]) or "nobody"))
    plain += [(f"  {key}", value) for key, value in row["extra_specs"].items()]
    return columns([(click.style(key, bold=True), value) for key, value in plain])


def division_table(hosts: list[Document], catalogue: Document) -> str:
    """Return hosts with what goes with each card, and the flavors."""
    rows = []
    for host in hosts:
        share = host["share"]
        left = ", ".join(f"{one['cpus']} threads {one['ram'] / 1024:g} GiB" for one in host["left_over"])
        cards = ", ".join(f"{'+'.join(map(str, gpu['by_node']))} x {gpu['model']}" for gpu in host["gpus"])
        where = "a node" if share["local"] else "the host"
        rows.append((host["host"], cards, f"{share['cpus']} threads {share['ram'] / 1024:g} GiB of {where}", left))
    flavors = [
        (
            one["name"],
            str(one["vcpus"]),
            one["ram"],
            str(one["disk"]),
            str(one["numa"]["nodes"]) if "numa" in one else "any",
        )
        for one in catalogue["flavors"]
    ]
    text = columns(rows, ("HOST", "GPUS BY NODE", "WITH EACH GPU", "LEFT OVER BY NODE"))
    return text + "\n" + columns(flavors, ("FLAVOR", "VCPUS", "RAM", "DISK", "NODES"))


def proof_document(proof: Any, error: Any) -> Document:  # noqa: ANN401 - a Proof and its error, whose module is heavy
    """Return what a test boot showed."""
    return {
        "schema": "gpuctl.flavor.verify/1",
        "flavor": proof.flavor.name,
        "good": proof.good,
        "status": proof.status,
        "host": proof.host,
        "gpus": {"wanted": proof.wanted, "seen": [{"by": one.witness, "count": one.cards} for one in proof.seen]},
        "kvm_hidden": proof.hidden,
        "steps": [{"step": name, "seconds": round(seconds, 2)} for name, seconds in proof.steps],
        "error": None
        if error is None
        else {"brief": error.brief, "details": error.details, "resolution": error.resolution},
    }


def proof_table(document: Document) -> str:
    """Return what a test boot showed, as text."""
    sign, colour = _SIGN["done" if document["good"] else "failed"]
    name = click.style(document["flavor"], bold=True)
    text = f"{click.style(sign, fg=colour)} {name}  {document['status']} on {document['host'] or 'no host'}\n"
    by = {one["by"]: one["count"] for one in document["gpus"]["seen"]}
    names = (("nova", "claimed by Nova"), ("placement", "in Placement"), ("libvirt", "in the domain"))
    counts = [
        (f"    GPUs {said}", f"{by[who]} of {document['gpus']['wanted']}" if who in by else "not known")
        for who, said in names
    ]
    hidden = {True: "yes", False: "no", None: "not known (--libvirt shows it)"}[document["kvm_hidden"]]
    text += columns(
        [
            *counts,
            ("    KVM hidden", hidden),
            *((f"    {one['step']}", f"{one['seconds']:.1f} s") for one in document["steps"]),
        ]
    )
    if document["error"]:
        lines = [document["error"]["brief"], document["error"]["details"], document["error"]["resolution"]]
        text += "".join(click.style(f"    {line}\n", fg="red") for line in lines if line)
    return text

"""What a person sees of `gpuctl up`: what each phase would change, each phase's time, what can be sold."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from gpuctl.output.fleet_run_tables import names, plan_table
from gpuctl.output.table import columns, fold, mark

Document = dict[str, Any]
_MARKS = {
    "holds": "pass",
    "done": "pass",
    "part": "warn",
    "waiting": "warn",
    "interrupted": "warn",
    "failed": "fail",
    "not-asked": "skip",
}
_WORDS = {"holds": "holds already", "not-asked": "not asked for"}


def preview(document: Document, *, verbose: bool = False) -> str:
    """Return what each phase would change.

    Args:
        document: a gpuctl.up.plan/1.
        verbose: the hosts' diffs as well.
    """
    hosts, prepare, reboot = document["hosts"], document["prepare"], document["reboot"]
    told, laid = document["configuration"], document["configuration"]["laid_down_on"]
    again = "; it asks again before that" if reboot["asked_again"] else ""
    changed = sum(len(group["hosts"]) for group in prepare["groups"] if group["changes"]) if prepare else 0
    where = (
        "services restarted on "
        + names(sorted({name for some in laid.values() for name in some}))
        + " and the GPU hosts"
        if laid is not None
        else "to be laid down by you"
    )
    actions = Counter(step["action"] for step in document["flavors"])
    smoke = document["smoke"]
    rows = [
        ("check", f"asked: {hosts['ready']} of {hosts['asked']} hosts ready"),
        ("prepare", f"{changed} hosts changed" if changed else "nothing to change"),
        ("", f"{len(reboot['hosts'])} hosts rebooted{again}" if reboot["hosts"] else ""),
        ("verify", "reads only"),
        ("configuration", f"files for Nova {told['release']} ({told['layout']}) in {told['folder']}; {where}"),
        ("flavors", ", ".join(f"{count} to {action}" for action, count in actions.items() if action != "none")
         or "nothing to change"),
        ("smoke", "no server" if smoke is None else f"{len(smoke)} servers, each deleted again: {', '.join(smoke)}"),
    ]  # fmt: skip
    text = plan_table(prepare, verbose=verbose) + "\n" if prepare else ""
    shown = [(click.style(name, bold=True), what) for name, what in rows if what]
    return text + columns(shown) + _left_out(document["left_out"], shown_before=prepare)


def phase_line(row: Document) -> str:
    """Return one phase that has ended, with its time.

    Args:
        row: of a gpuctl.up/1's phases.
    """
    state = _WORDS.get(row["state"], row["state"])
    earlier = row["earlier_seconds"]
    took = f"{row['seconds']:.1f} s" + (f" (was {earlier:.1f} s)" if earlier is not None else "")
    lead = (f"{mark(_MARKS[row['state']])} {click.style(row['phase'], bold=True):<22}", f"{state:<14}", took.rjust(7))
    first, *more = row["evidence"] or [""]
    text = columns([(*lead, first)])
    text += "".join(columns([("    ", line)]) for line in more)
    if row["resolution"] and row["state"] not in ("holds", "done"):
        text += columns([("    what to do", row["resolution"])])
    return text


def result_table(document: Document) -> str:
    """Return each phase with its time, the hosts that were left out, and what can be sold.

    Args:
        document: a gpuctl.up/1.
    """
    text = "".join(phase_line(row) for row in document["phases"])
    text += _left_out(document["left_out"])
    if document["interrupted"]:
        text += "Interrupted: run it again, it goes on from what is there.\n"
    return fold(f"{text}\n{_sellable(document)}")


def _left_out(left: list[Document], shown_before: Document | None = None) -> str:
    """Return hosts that are not part of it any more, equal reasons together."""
    known = {one["host"] for one in shown_before["problems"]} if shown_before else set()
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in left:
        if one["host"] not in known:
            groups.setdefault((one["phase"], one["why"], one["resolution"]), []).append(one["host"])
    text = ""
    for (phase, why, resolution), hosts in groups.items():
        text += columns([(f"{mark('fail')} {click.style(names(hosts), bold=True)}", f"left out at {phase}", why)])
        if resolution:
            text += columns([("    what to do", resolution)])
    return text


def _sellable(document: Document) -> str:
    sold = document["sellable"]
    total = f"{document['seconds']:.0f} s in all  (run {document['run']})"
    if not sold["flavors"] or not sold["hosts"]:
        return f"Nothing can be sold yet; {total}\n"
    proof = "" if sold["proven"] else ", not proven by a server"
    text = click.style(f"Can be sold now{proof}", bold=True) + f"; {total}\n"
    text += columns(
        [
            (str(card["count"]), card["model"], card["alias"] or "-", card["name"], names(card["hosts"]))
            for card in sold["cards"]
        ],
        ("CARDS", "MODEL", "ALIAS", "NAME", "HOSTS"),
    )
    rows = [
        (one["name"], str(one["vcpus"]), f"{one['ram_mib'] / 1024:g}", str(one["disk_gib"]), one["gpus"] or "-",
         one["open_to"] if isinstance(one["open_to"], str) else ", ".join(one["open_to"]) or "nobody yet")
        for one in sold["flavors"]
    ]  # fmt: skip
    text += "\n" + columns(rows, ("FLAVOR", "VCPUS", "RAM GiB", "DISK", "GPUS", "OPEN TO"))
    if any(row[-1] == "nobody yet" for row in rows):
        text += "Open one: openstack flavor set --project PROJECT FLAVOR; or `access` in a catalogue.\n"
    return text

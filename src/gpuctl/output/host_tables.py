"""What a person sees of facts and check: the host in lines, each card as a tree, findings with their fix."""

from __future__ import annotations

from typing import Any

import click

from gpuctl.output.table import MARKS, columns, mark

Document = dict[str, Any]


def facts_table(facts: Document) -> str:
    """Return the facts document as text: the machine first, then one tree a card."""
    system, kernel, iommu = facts["system"], facts["kernel"], facts["iommu"]
    remap = {True: "on", False: "off", None: "unknown"}[iommu["interrupt_remapping"]]
    state = {True: f"on, {iommu['groups']} groups", False: "off", None: "unknown"}[iommu["enabled"]]
    boot, software = facts["boot"], facts["software"]
    rows = [
        ("host", facts["host"] or "unknown"),
        ("machine", " ".join(filter(None, (system["vendor"], system["product"]))) or "unknown"),
        ("processor", f"{system['cpu_vendor'] or 'unknown'}, {system['cpu_virtualization'] or 'no vmx/svm seen'}"),
        ("kernel", kernel["release"] or "unknown"),
        ("IOMMU", f"{state} ({iommu['kind'] or 'kind unknown'}), interrupt remapping {remap}"),
        ("boot", f"{boot['loader'] or 'loader unknown'}, {boot['initramfs'] or 'image builder unknown'}"),
        ("vfio-pci", software["vfio_pci"] or "unknown"),
        ("qemu", software["qemu"] or "unknown"),
    ]
    text = columns([(click.style(name, bold=True), value) for name, value in rows])
    if system["hypervisor"]:
        text += f"\nThis host is itself a guest ({system['hypervisor']}).\n"
    if not facts["gpus"]:
        return text + "\nNo GPU of the selected vendors.\n"
    for gpu in facts["gpus"]:
        text += "\n" + _card(gpu)
    for switch in facts["nvswitches"]:
        text += f"\n{switch['address']}  NVSwitch {switch['vendor_id']}:{switch['device_id']}  {_driver(switch)}\n"
    return text


def _driver(item: Document) -> str:
    name = item["driver"]
    colour = "green" if name and "vfio" in name else "yellow"
    return click.style(name or "no driver", fg=colour)


def _group(item: Document) -> str:
    return "no group" if item["iommu_group"] is None else f"group {item['iommu_group']}"


def _card(gpu: Document) -> str:
    ident = f"{gpu['vendor_id']}:{gpu['device_id']}"
    numa = "" if gpu["numa_node"] is None else f", NUMA {gpu['numa_node']}"
    extra = "".join(
        word
        for word, said in ((", console", gpu["boot_vga"]), (f", SR-IOV {gpu['sriov_totalvfs']}", gpu["sriov_totalvfs"]))
        if said
    )
    lines = [
        f"{click.style(gpu['address'], bold=True)}  {gpu['name']}  {ident}  {_driver(gpu)}  {_group(gpu)}{numa}{extra}"
    ]
    leaves = [
        f"{item['address']}  {item['role']}  {item['vendor_id']}:{item['device_id']}  {_driver(item)}  {_group(item)}"
        for item in gpu["functions"]
    ]
    leaves += [
        f"{item['address']}  {'bridge' if item['bridge'] else 'in the same group'}  "
        f"{item['vendor_id']}:{item['device_id']}  "
        f"class {item['class']}  {item['driver'] or 'no driver'}"
        for item in gpu["group_peers"]
        if item["address"] not in {function["address"] for function in gpu["functions"]}
    ]
    leaves += [f"held by {item['kind']} {item['name']}" for item in gpu["holders"] or ()]
    bars = [bar for bar in gpu["bars"] if bar["size"]]
    if bars:
        leaves.append("BARs " + "  ".join(f"{bar['index']}: {size(bar['size'])}" for bar in bars))
    for number, leaf in enumerate(leaves):
        lines.append(f"{'└─' if number == len(leaves) - 1 else '├─'} {leaf}")
    return "\n".join(lines) + "\n"


def size(count: int) -> str:
    """Return a number of bytes as 16M, 128G, 512."""
    for unit in ("", "K", "M", "G", "T"):
        if count < 1024 or unit == "T":
            return f"{count}{unit}"
        count //= 1024
    raise AssertionError


def check_table(check: Document, *, verbose: bool) -> str:
    """Return the check document as text: what fails or warns with evidence and fix, then a verdict.

    Args:
        check: a gpuctl.host.check/1 document.
        verbose: show what passed and what could not be known as well.
    """
    findings = check["findings"]
    order = {"fail": 0, "warn": 1, "skip": 2, "pass": 3}
    shown = [item for item in findings if verbose or item["status"] in ("fail", "warn")]
    shown.sort(key=lambda item: (order[item["status"]], item["subject"] != "host", item["subject"]))
    text = ""
    for item in shown:
        colour = MARKS[item["status"]][1]
        name = click.style(item["id"], fg=colour, bold=True)
        text += f"{mark(item['status'])} {name}  {item['subject']}  {item['title']}\n"
        detail = []
        if item["evidence"]:
            detail.append((click.style("    read", dim=True), item["evidence"]))
        if item["fix"] and item["status"] in ("fail", "warn"):
            detail.append((click.style("     fix", dim=True), item["fix"]))
        text += columns(detail)
    if shown:
        text += "\n"
    if check["gpus"]:
        rows = [
            (
                mark("pass" if gpu["ready"] else "fail"),
                gpu["address"],
                gpu["name"],
                "ready" if gpu["ready"] else "not ready: " + ", ".join(gpu["blockers"] or ["the host is not"]),
            )
            for gpu in check["gpus"]
        ]
        text += columns(rows) + "\n"
    counts = {status: sum(item["status"] == status for item in findings) for status in order}
    verdict = (
        click.style("ready", fg="green", bold=True) if check["ready"] else click.style("not ready", fg="red", bold=True)
    )
    said = f"{counts['fail']} failed, {counts['warn']} warned, {counts['pass']} passed, {counts['skip']} not known"
    more = "" if verbose else "  (-v shows them all)"
    return f"{text}{check['host'] or 'this host'}: {verdict}  {said}{more}\n"

"""A host described in a YAML file, built as a tree and read and judged by the real code.

A case is one file below tests/cases. Its keys; all but `why` and an expectation may be missing, and what is not said
is not in the tree, so that it must be reported as unknown:

    why:      what the case is about
    vendors:  [10de]          whose GPUs are asked for
    system:   {vendor, product, cpu: GenuineIntel, flags: vmx hypervisor, os: {ID: ubuntu}, arch}
    kernel:   {release, cmdline, modules: [names], log: [lines], parameters: {module.name: value}}
    iommu:    {groups: false (the folder is there and empty), units: [dmar0], tables: [DMAR], direct: {group: range}}
    devices:  one line a function: address vendor:device class [driver] [key=value...]
              ?     for an id or class that the host does not tell
              keys  group vga numa sub (vendor:device) below (the bridge above) rev vfs (total/enabled) pf reset state
                    d3cold power override dead header bars
              bars  index:size[@start][!] with commas between; ! is a BAR without a place
    files:    {/path: text}
    modes:    {/path: octal string}   of files
    given:    facts that only a live kernel has: holders, persistence, needs, images, qemu, vfio_nodes, entries, ...
    facts:    a part of `host facts -f json` that must be there; gpus and nvswitches by address
    ready:    the verdict
    must:     [status id subject: words]   such a finding is there, and its title, evidence or fix has all the words
    must_not: [status id subject]          no such finding is there; several statuses or subjects with |, * for any
"""

from __future__ import annotations

import pathlib
import re

import yaml

from gpuctl_host.checks.registry import run_checks
from gpuctl_host.checks.render import check_document
from gpuctl_host.data import changed
from gpuctl_host.facts import model
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.host import Host

HERE = pathlib.Path(__file__).resolve().parent
_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BAR = re.compile(r"(\d+):(\d+)([KMG]?)(?:@([0-9a-f]+))?(!?)")
_ROWS = 17
_KEYS = {
    "why",
    "vendors",
    "system",
    "kernel",
    "iommu",
    "devices",
    "files",
    "modes",
    "given",
    "facts",
    "ready",
    "must",
    "must_not",
}


def cases(*folders):
    """Return the case files below these folders of tests/cases."""
    return sorted(path for folder in folders for path in (HERE / folder).glob("*.yaml"))


def load(path):
    """Return the case in a file; a key that nobody knows, or a case that expects nothing, is an error."""
    case = yaml.safe_load(path.read_text("utf-8"))
    unknown = set(case) - _KEYS
    if unknown or not case.get("why"):
        raise ValueError(f"{path.name}: unknown keys {sorted(unknown)}, or no `why`")
    if not (case.get("must") or case.get("must_not")):
        raise ValueError(f"{path.name}: neither must nor must_not: it would hold whatever happens")
    return case


# ---------------------------------------------------------------- the tree


class Tree:
    """Files and links below a folder."""

    def __init__(self, root):
        self.root = root

    def write(self, path, text):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def folder(self, path):
        (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def link(self, path, target):
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(pathlib.PurePosixPath(path).parts) - 2)
        place.symlink_to(up + target.lstrip("/"))


def build(case, root):
    """Build the case's tree below ``root``."""
    tree = Tree(root)
    _system(tree, case.get("system") or {})
    _kernel(tree, case.get("kernel") or {})
    functions = _parse(case.get("devices") or "")
    _devices(tree, functions)
    _iommu(tree, case.get("iommu") or {}, functions)
    for path, text in (case.get("files") or {}).items():
        tree.write(path, text)
    for path, mode in (case.get("modes") or {}).items():
        (root / path.lstrip("/")).chmod(int(mode, 8))


def _system(tree, system):
    for key, name in (("vendor", "sys_vendor"), ("product", "product_name")):
        if key in system:
            tree.write(f"/sys/class/dmi/id/{name}", system[key] + "\n")
    if "cpu" in system:
        rows = ["processor\t: 0", f"vendor_id\t: {system['cpu']}"]
        if "flags" in system:
            rows.append(f"flags\t\t: fpu lm {system['flags']}")
        tree.write("/proc/cpuinfo", "\n".join(rows) + "\n\n")
    if "arch" in system:
        tree.write("/proc/sys/kernel/arch", system["arch"] + "\n")
    if "os" in system:
        tree.write("/etc/os-release", "".join(f"{key}={value}\n" for key, value in system["os"].items()))


def _kernel(tree, kernel):
    if "release" in kernel:
        tree.write("/proc/sys/kernel/osrelease", kernel["release"] + "\n")
    if "cmdline" in kernel:
        tree.write("/proc/cmdline", kernel["cmdline"] + "\n")
    if "modules" in kernel:
        tree.write("/proc/modules", "".join(f"{name} 16384 0 - Live 0x0\n" for name in kernel["modules"]))
        for name in kernel["modules"]:
            tree.folder(f"/sys/module/{name}")
    if "log" in kernel:
        tree.write("/var/log/dmesg", "".join(f"[    1.000000] {line}\n" for line in kernel["log"]))
    for name, value in (kernel.get("parameters") or {}).items():
        module, _, option = name.partition(".")
        tree.write(f"/sys/module/{module}/parameters/{option}", f"{value}\n")


def _iommu(tree, iommu, functions):
    if iommu.get("groups") is False or any("group" in item for item in functions.values()):
        tree.folder("/sys/kernel/iommu_groups")
    for unit in iommu.get("units") or ():
        tree.folder(f"/sys/devices/virtual/iommu/{unit}")
        tree.link(f"/sys/class/iommu/{unit}", f"/sys/devices/virtual/iommu/{unit}")
    if "tables" in iommu:
        tree.folder("/sys/firmware/acpi/tables")
        for table in iommu["tables"]:
            tree.write(f"/sys/firmware/acpi/tables/{table}", table)
    for group, window in (iommu.get("direct") or {}).items():
        tree.write(f"/sys/kernel/iommu_groups/{group}/reserved_regions", f"{window} direct\n")


# ---------------------------------------------------------------- its PCI functions


def _parse(text):
    functions = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        address, ids, class_code, *rest = words
        item = functions[address] = {"ids": ids, "class": class_code}
        for word in rest:
            key, equals, value = word.partition("=")
            if equals:
                item[key] = value
            elif word == "dead":
                item["dead"] = "1"
            else:
                item["driver"] = word
    return functions


def _path(functions, address):
    up = functions[address].get("below")
    if up in functions:
        return f"{_path(functions, up)}/{address}"
    return f"/sys/devices/pci{address.rpartition(':')[0]}/{address}"


def _devices(tree, functions):
    if functions:
        tree.folder("/sys/bus/pci/devices")
        tree.folder("/sys/bus/pci/drivers")
    start = 0x2000000000
    drivers = set()
    for address, item in functions.items():
        path = _path(functions, address)
        tree.folder(path)
        tree.link(f"/sys/bus/pci/devices/{address}", path)
        _ids(tree, path, item)
        for key, name in (
            ("vga", "boot_vga"),
            ("numa", "numa_node"),
            ("state", "power_state"),
            ("d3cold", "d3cold_allowed"),
            ("power", "power/control"),
            ("override", "driver_override"),
        ):
            if key in item:
                tree.write(f"{path}/{name}", item[key] + "\n")
        if "reset" in item:
            tree.write(f"{path}/reset_method", item["reset"].replace(",", " ") + "\n")
        if "vfs" in item:
            total, _, enabled = item["vfs"].partition("/")
            tree.write(f"{path}/sriov_totalvfs", total + "\n")
            tree.write(f"{path}/sriov_numvfs", (enabled or "0") + "\n")
        if "bars" in item:
            start = _bars(tree, path, item["bars"], start)
        if "dead" in item:
            tree.write(f"{path}/config", b"\xff" * 64)
        elif "header" in item:
            tree.write(f"{path}/config", bytes(14) + bytes([int(item["header"], 16)]) + bytes(49))
        driver = item.get("driver", "-")
        if driver != "-":
            folder = f"/sys/bus/pci/drivers/{driver}"
            if driver not in drivers:
                tree.folder(folder)
                drivers.add(driver)
            tree.link(f"{folder}/{address}", path)
            tree.link(f"{path}/driver", folder)
        if "group" in item:
            group = f"/sys/kernel/iommu_groups/{item['group']}"
            tree.link(f"{group}/devices/{address}", path)
            tree.link(f"{path}/iommu_group", group)
        if "pf" in item:
            tree.link(f"{path}/physfn", _path(functions, item["pf"]))


def _ids(tree, path, item):
    vendor, _, device = item["ids"].partition(":")
    sub_vendor, _, sub_device = item.get("sub", "").partition(":")
    known = {
        "vendor": vendor,
        "device": device,
        "class": item["class"].ljust(6, "0"),
        "subsystem_vendor": sub_vendor,
        "subsystem_device": sub_device,
        "revision": item.get("rev", ""),
    }
    for name, value in known.items():
        if value and "?" not in value:
            tree.write(f"{path}/{name}", f"0x{value}\n")


def _bars(tree, path, text, start):
    """Write the file `resource`; BARs without a start of their own follow each other."""
    rows = ["0x0 0x0 0x0"] * _ROWS
    for index, count, unit, at, homeless in _BAR.findall(text):
        size = int(count) * _UNIT[unit]
        flags = 0x140204 | (0x20000000 if homeless else 0)
        place = 0
        if not homeless:
            start = -(-start // size) * size
            place = int(at, 16) if at else start
            start += 0 if at else size
        rows[int(index)] = f"0x{place:016x} 0x{place + size - 1:016x} 0x{flags:016x}"
    tree.write(f"{path}/resource", "\n".join(rows) + "\n")
    return start


# ---------------------------------------------------------------- reading and judging


def judge(case, root):
    """Return (facts, findings, document) of the built case."""
    facts = read_facts(Host(str(root)), vendors=tuple(case.get("vendors") or ("10de",)))
    facts = _given(facts, case.get("given") or {})
    findings = run_checks(facts)
    return facts, findings, check_document(facts, findings)


def _given(facts, given):
    """Put in what only a live kernel shows."""
    kinds = {
        "needs": lambda lines: tuple(model.Need(*line.split(" ", 2)) for line in lines),
        "images": lambda images: tuple(_image(*item) for item in images.items()),
        "record": _record,
    }
    more = {name: build(given[name]) for name, build in kinds.items() if name in given}
    if "builtin" in given:
        more["kernel"] = changed(facts.kernel, builtin=tuple(given["builtin"]))
    return changed(
        facts,
        gpus=tuple(_given_gpu(gpu, given) for gpu in facts.gpus),
        software=_given_software(facts.software, given),
        boot=_given_boot(facts.boot, given),
        **more,
    )


def _given_gpu(gpu, given):
    more = {"persistence": given["persistence"]} if "persistence" in given else {}
    if "holders" in given:
        more["holders"] = tuple(model.Holder(*line.split(" ", 1)) for line in given["holders"].get(gpu.address, ()))
    return changed(gpu, **more)


def _given_software(software, given):
    more = {name: given[name] for name in ("qemu", "vfio_pci") if name in given}
    if "services" in given:
        more["services"] = tuple(given["services"])
    if "vfio_nodes" in given:
        more["vfio_nodes"] = tuple((path, int(mode, 8)) for path, mode in given["vfio_nodes"].items())
    return changed(software, **more)


def _given_boot(boot, given):
    more = {name: given[name] for name in ("loader", "initramfs") if name in given}
    if "configured" in given:
        more["configured"] = tuple(given["configured"].split())
    if "entries" in given:
        more["entries"] = tuple(_entry(item) for item in given["entries"])
    return changed(boot, **more)


def _entry(item):
    line = tuple(item["cmdline"].split())
    return model.BootEntry(item.get("release"), line, None, item.get("default"), item["source"])


def _image(release, modules):
    return model.Image(release, f"/boot/initrd.img-{release}", None, (), tuple(modules), {})


def _record(wanted):
    parts = {name: tuple(wanted.get(name, ())) for name in ("edited", "missing", "unprepared", "group_changes")}
    cards = tuple(model.Card(*line.split()) for line in wanted.get("cards", ()))
    return model.Record(cards=cards, run=wanted.get("run", "20261120T185155Z-3f2a"), **parts)


# ---------------------------------------------------------------- expectations


def problems(case, document, facts_document):
    """Yield what the case expects and is not so."""
    findings = document["findings"]
    for wish in case.get("must") or ():
        head, _, words = wish.partition(": ")
        hits = [item for item in findings if _fits(head, item)]
        said = [f"{item['title']} {item['evidence']} {item['fix']}" for item in hits]
        if not hits:
            shown = [
                (item["status"], item["subject"], item["title"]) for item in findings if item["id"] == head.split()[1]
            ]
            yield f"must {head}: there is {shown}"
        elif not any(all(word in text for word in words.split()) for text in said):
            yield f"must {wish}: it says {said}"
    for wish in case.get("must_not") or ():
        hits = [item for item in findings if _fits(wish, item)]
        if hits:
            yield f"must not {wish}: {hits[0]['title']} ({hits[0]['evidence']})"
    if "ready" in case and document["ready"] is not case["ready"]:
        fails = [item["id"] for item in findings if item["status"] == "fail"]
        yield f"ready is {document['ready']}; fails: {fails}"
    yield from _differences(case.get("facts") or {}, facts_document, "facts")


def _fits(head, item):
    status, name, *subject = head.split()
    about = subject[0].split("|") if subject else ["*"]
    return item["status"] in status.split("|") and item["id"] == name and ("*" in about or item["subject"] in about)


def _differences(want, got, where):
    if isinstance(want, dict) and isinstance(got, list):
        got = {item.get("address"): item for item in got}
    if isinstance(want, dict):
        for key, value in want.items():
            if not isinstance(got, dict) or key not in got:
                if value is not None:
                    yield f"{where}.{key} is not there"
            else:
                yield from _differences(value, got[key], f"{where}.{key}")
    elif isinstance(want, list) and isinstance(got, list) and got and isinstance(got[0], dict):
        have = [item.get("address") for item in got]
        if sorted(want) != sorted(have):
            yield f"{where}: {have}, not {want}"
    elif want != got:
        yield f"{where} is {got!r}, not {want!r}"

"""A plan case: the host of a case file, a prepare on it, and what the plan must hold.

The form is the loader's, and two keys more:

    like:  a host to start from (HOSTS below): the case's own keys are laid over it; null takes one out
    plan:  options: {gpus: [...], audio, nvswitch}
           refused: [ids]           these and no others; without the key the plan is not refused
           cards:   {address: bind DRIVER | remove}     exactly these
           writes:  [paths]         among the files written
           leaves:  [paths]         not written
           holds:   {path: [texts]} the file as written has all the texts
           lacks:   {path: [texts]} and none of these
           builds:  [names]         what commands make anew, exactly
           arguments, blacklist, softdep: [words], exactly
           steps:   [kind target]   the live steps, exactly and in this order
           reboot:  true | false
           manual, notes: [words]   somewhere in what is said
           selector: words          of the UsageError that is raised instead of a plan
"""

from __future__ import annotations

import yaml

from gpuctl_host.boot.registry import managed_paths
from gpuctl_host.changes.model import FILE, GENERATED, LIVE_KINDS
from gpuctl_host.changes.options import Options
from gpuctl_host.changes.prepare import plan_prepare
from gpuctl_host.checks.registry import run_checks
from gpuctl_host.data import changed
from gpuctl_host.facts.managed import managed_files
from gpuctl_host.facts.reader import read_facts
from gpuctl_host.host import Host
from tests.cases import loader

RELEASE = "6.1.0-56-amd64"
_ALIASES = """\
alias pci:v000010DEd*sv*sd*bc03sc*i* nouveau
alias pci:v*d*sv*sd*bc04sc03i00* snd_hda_intel
alias pci:v*d*sv*sd*bc0Csc03i30* xhci_pci
alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci
"""
_DEBIAN = {
    "system": {"cpu": "GenuineIntel", "flags": "vmx", "os": {"ID": "debian", "VERSION_ID": '"12"'}},
    "kernel": {
        "release": RELEASE,
        "cmdline": "BOOT_IMAGE=/boot/vmlinuz root=/dev/nvme0n1p2 ro quiet",
        "modules": ["nouveau", "snd_hda_intel"],
    },
    "iommu": {"units": ["dmar0"], "tables": ["DMAR"]},
    "files": {
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
        "/usr/sbin/grub-mkconfig": "for x in ${sysconfdir}/default/grub.d/*.cfg ; do . $x; done\n",
        "/usr/sbin/update-grub": "#!/bin/sh\n",
        "/usr/sbin/mkinitramfs": "#!/bin/sh\n",
        "/usr/sbin/update-initramfs": "#!/bin/sh\n",
        f"/boot/vmlinuz-{RELEASE}": "kernel",
        f"/boot/initrd.img-{RELEASE}": "image",
        f"/lib/modules/{RELEASE}/modules.alias": _ALIASES,
        f"/lib/modules/{RELEASE}/modules.dep": "kernel/drivers/vfio/pci/vfio-pci.ko:\nkernel/drivers/vfio/vfio_iommu_type1.ko:\n",
        f"/lib/modules/{RELEASE}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
    },
    "modes": dict.fromkeys(
        ("/usr/sbin/grub-mkconfig", "/usr/sbin/update-grub", "/usr/sbin/mkinitramfs", "/usr/sbin/update-initramfs"),
        "755",
    ),
    "given": {"holders": {}, "needs": []},
}
HOSTS = {"debian": _DEBIAN}
_KEYS = {
    "options", "refused", "cards", "writes", "leaves", "holds", "lacks", "arguments", "blacklist", "softdep", "steps", "reboot",
    "manual", "notes", "selector", "builds",
}  # fmt: skip


def load(path):
    """Return the case; a key that nobody knows, or a plan that expects nothing, is an error."""
    case = yaml.safe_load(path.read_text("utf-8"))
    base = HOSTS[case.pop("like")] if "like" in case else {}
    plan = case.get("plan") or {}
    unknown = (
        set(case) - {"why", "system", "kernel", "iommu", "devices", "files", "modes", "given", "plan", "vendors"}
    ) | (set(plan) - _KEYS)
    if unknown or not case.get("why"):
        raise ValueError(f"{path.name}: unknown keys {sorted(unknown)}, or no `why`")
    if not set(plan) - {"options"}:
        raise ValueError(f"{path.name}: the plan expects nothing: it would hold whatever happens")
    return _merged(base, case)


def _merged(base, over):
    if isinstance(base, dict) and isinstance(over, dict):
        kept = [key for key in {**base, **over} if over.get(key, base.get(key)) is not None]
        return {key: _merged(base.get(key), over[key]) if key in over else base[key] for key in kept}
    return over


def plan(case, root):
    """Return (facts, plan) of the built case, as on a live host."""
    loader.build(case, root)
    host = Host(str(root))
    facts = read_facts(host, vendors=tuple(case.get("vendors") or ("10de",)), deep=True)
    given = dict(case.get("given") or {})
    facts = loader._given(facts, {key: value for key, value in given.items() if key != "record"})
    files = managed_files(host, facts.boot)
    assert set(files) >= set(managed_paths(facts.boot))
    facts = changed(facts, files=files)
    wanted = (case["plan"].get("options")) or {}
    options = Options(tuple(wanted.get("gpus") or ()), wanted.get("audio", "remove"), wanted.get("nvswitch", "leave"))
    return facts, plan_prepare(facts, run_checks(facts), options)


def problems(case, made):
    """Yield what the case expects of the plan and is not so."""
    want = case["plan"]
    refused = sorted({item.id for item in made.refusals})
    if refused != sorted(want.get("refused") or []):
        yield f"refused for {[(item.id, item.subject, item.evidence) for item in made.refusals]}"
    if made.refusals and made.changes:
        yield "refused, and yet there are changes"
    yield from _wrong_files(want, made)
    for name in ("arguments", "blacklist", "softdep"):
        if name in want and sorted(getattr(made.wish, name)) != sorted(want[name]):
            yield f"{name}: {getattr(made.wish, name)}"
    if "cards" in want:
        got = {
            card.address: card.action if card.action == "remove" else f"{card.action} {card.driver}"
            for card in made.wish.cards
        }
        if got != want["cards"]:
            yield f"cards: {got}"
    built = [change.target for change in made.changes if change.kind == GENERATED]
    if "builds" in want and built != want["builds"]:
        yield f"builds: {built}"
    if "steps" in want:
        steps = [f"{change.kind} {change.target}" for change in made.changes if change.kind in LIVE_KINDS]
        if steps != want["steps"]:
            yield f"steps: {steps}"
    if "reboot" in want and bool(made.reboot) is not want["reboot"]:
        yield f"reboot: {made.reboot}"
    for name in ("manual", "notes"):
        said = " ".join(getattr(made, name))
        for words in want.get(name) or ():
            if words not in said:
                yield f"{name}: {words!r} is not in {said!r}"


def _wrong_files(want, made):
    """Yield what is wrong with the files that the plan writes."""
    files = {change.target: change for change in made.changes if change.kind == FILE}
    for path in want.get("writes") or ():
        if path not in files:
            yield f"{path} is not written; {sorted(files)} are"
    for path in want.get("leaves") or ():
        if path in files or any(path in change.paths for change in made.changes if change.kind == GENERATED):
            yield f"{path} is written"
    for path, texts in {**(want.get("holds") or {}), **(want.get("lacks") or {})}.items():
        text = files[path].after.data.decode() if path in files else ""
        for piece in texts:
            if (piece in text) is (path in (want.get("lacks") or {}) and piece in want["lacks"][path]):
                yield f"{path}: {piece!r} is {'' if piece in text else 'not '}in it:\n{text}"

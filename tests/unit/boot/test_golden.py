"""What is left on each distribution, byte for byte: golden/NAME.txt. `GPUCTL_GOLDEN=write` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuctl_host.boot import registry
from gpuctl_host.changes.model import GENERATED, Change
from gpuctl_host.data import changed
from gpuctl_host.facts.model import FileState
from gpuctl_host.host import Host
from tests.unit.boot.build import WISH, facts_of, put, write_files
from tests.unit.boot.hosts import HOSTS

GOLDEN = Path(__file__).parent / "golden"
SCRIPTS = ("init-top/gpuctl", "hooks/gpuctl", "gpuctl-early.sh", "module-setup.sh", "install/gpuctl")


def shown(change: Change) -> str:
    head = f"== {change.kind} {change.target} [{change.risk}]\n"
    if change.kind == GENERATED:
        return head + f"argv: {' '.join(change.argv)}\npaths: {' '.join(change.paths)}\n"
    assert isinstance(change.after, FileState)
    if change.target.endswith(SCRIPTS):
        return head + f"mode: {change.after.mode:o}; {len(change.after.data.splitlines())} lines, templates/ has them\n"
    return head + f"mode: {change.after.mode:o}\n{change.after.data.decode()}"


def text_of(host: Host) -> str:
    facts = facts_of(host)
    boot = facts.boot
    lines = [
        f"loader: {boot.loader}\ninitramfs: {boot.initramfs}\nconfigured: {boot.configured}\nkdump: {boot.kdump}\n"
    ]
    lines += [
        f"entry: {e.release} {e.cmdline} {e.initramfs} default={e.default} {e.source}\n" for e in boot.entries or ()
    ]
    changes, manual = registry.plan_boot(facts, WISH)
    return "".join((*lines, *map(shown, changes), *(f"-- manual: {line.rstrip()}\n" for line in manual)))


@pytest.fixture(params=sorted(HOSTS))
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    put(tmp_path, HOSTS[request.param])
    return request.param, tmp_path


def test_plan_is_the_golden_one(tree: tuple[str, Path]) -> None:
    name, root = tree
    text = text_of(Host(str(root)))
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("GPUCTL_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_once_written_nothing_is_planned_but_what_no_tree_can_do(tree: tuple[str, Path]) -> None:
    """The second plan has no file in it; what a command generates is asked for until it is there."""
    _, root = tree
    host = Host(str(root))
    changes, _ = registry.plan_boot(facts_of(host), WISH)
    write_files(root, changes)
    again, _ = registry.plan_boot(facts_of(host), WISH)
    assert [change for change in again if change.kind != GENERATED] == []
    assert not any(change.target.startswith("initramfs") for change in again)


def test_after_the_boot_the_arguments_stay(tree: tuple[str, Path]) -> None:
    """The wish then asks for none: what is there stays, and nothing is planned."""
    _, root = tree
    host = Host(str(root))
    changes, _ = registry.plan_boot(facts_of(host), WISH)
    write_files(root, changes)
    again, _ = registry.plan_boot(facts_of(host), changed(WISH, arguments=()))
    assert [change for change in again if change.kind != GENERATED] == []


def test_every_written_file_is_a_managed_one_with_a_header(tree: tuple[str, Path]) -> None:
    _, root = tree
    facts = facts_of(Host(str(root)))
    changes, _ = registry.plan_boot(facts, WISH)
    managed = registry.managed_paths(facts.boot)
    for change in changes:
        if change.kind == GENERATED:
            assert change.argv
            assert change.timeout >= 60
            continue
        assert change.target in managed
        assert isinstance(change.after, FileState)
        if change.target != "/etc/kernel/cmdline":
            assert b"Written by gpuctl " in change.after.data.splitlines()[0] + change.after.data.splitlines()[1]


def test_reading_a_host_runs_nothing_and_survives_rubbish(tmp_path: Path) -> None:
    for files in HOSTS.values():
        put(tmp_path, {name: "\udcff\0{{{ $(\n".encode("utf-8", "surrogateescape").decode("latin-1") for name in files})
    boot = registry.read_boot(Host(str(tmp_path)), "6.1.0-56-amd64")
    registry.managed_paths(boot)

"""The watch on a simulated host: installed, started, upgraded, drifting, and gone without a trace."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pytest

from gpuctl_host import entry
from gpuctl_host.command import Result
from gpuctl_host.templates.watch import ARCHIVE, PATHS, SERVICE, TIMER, UNITS, request_of, watch_files
from tests.sim import cpio, worlds
from tests.sim.host import SimHost

ZIPAPP = b"#!/usr/bin/env python3\nPK gpuctl_host/ not really"
FOLDER = "/var/lib/prometheus/node-exporter"


class Systemd(SimHost):
    """A host whose systemctl knows which units it has read, and which of them run."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.known, self.running = set(), set()

    def run(self, argv, *, timeout, stdin="", env=None):
        if os.path.basename(argv[0]) != "systemctl":
            return super().run(argv, timeout=timeout, stdin=stdin, env=env)
        verb, unit = argv[1], argv[-1]
        code = 0
        if verb == "daemon-reload":
            self.known = set(self.names(UNITS))
        elif verb == "start":
            code = 0 if unit in self.known else 5
            self.running |= {unit} if code == 0 else set()
        elif verb == "stop":
            code = 0 if unit in self.known else 5
            self.running.discard(unit)
        elif verb == "is-active":
            code = 0 if unit in self.running else 3
        return Result(tuple(argv), code, "", "" if code in (0, 3) else f"Unit {unit} not found.")


@pytest.fixture
def host(tmp_path):
    made = Systemd(worlds.two_gtx1080(), tmp_path / "root")
    for folder in ("run/systemd/system", UNITS[1:], FOLDER[1:], "usr/local/lib"):
        (tmp_path / "root" / folder).mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "gpuctl-host.pyz"
    path.write_bytes(ZIPAPP)
    return str(path)


def ask(host, **request):
    events = []
    code = entry.serve(request, events.append, host=host)
    last = events[-1]
    return code, last.get("document", last)


def change(host, **request):
    """Plan, then apply that very plan."""
    code, plan = ask(host, **request, phase="plan")
    if code:
        return code, plan
    return ask(host, **request, phase="apply", fingerprint=plan["fingerprint"])


def install(host, archive, **more):
    return change(host, command="watch", action="install", archive=archive, **more)


def test_install_starts_the_timer_and_remove_leaves_nothing(host, archive):
    before = host.snapshot("etc", "boot", "usr", "var/lib/prometheus")
    code, done = install(host, archive)
    assert (code, done["problems"]) == (0, [])
    assert host.running == {TIMER}
    assert host.link(PATHS[-1]) == f"{UNITS}/{TIMER}"
    assert host.read_bytes(ARCHIVE) == ZIPAPP
    code, status = ask(host, command="watch")
    assert (code, status["installed"], status["active"]) == (0, True, True)
    ask(host, **request_of(host.read(f"{UNITS}/{SERVICE}")))
    assert host.exists(f"{FOLDER}/gpuctl.prom")
    code, gone = change(host, command="watch", action="remove")
    assert (code, gone["problems"]) == (0, [])
    assert host.snapshot("etc", "boot", "usr", "var/lib/prometheus") == before
    assert (host.running, host.known & {TIMER, SERVICE}) == (set(), set())
    assert ask(host, command="watch")[0] == 1


def test_a_second_install_changes_nothing_and_an_upgrade_is_one_run_that_stands(host, archive):
    first = install(host, archive)[1]["run"]
    code, again = install(host, archive)
    assert (code, again["run"]) == (0, None)
    with open(archive, "ab") as file:
        file.write(b"newer")
    code, upgrade = install(host, archive)
    assert code == 0
    assert upgrade["run"] != first
    assert host.read_bytes(ARCHIVE) == ZIPAPP + b"newer"
    assert host.running == {TIMER}
    change(host, command="watch", action="remove")
    assert [path for path in PATHS if host.stat(path, follow=False)] == []


def test_a_restore_of_everything_takes_the_watch_too(host, archive):
    before = host.snapshot("etc", "boot", "usr", "var/lib/prometheus")
    install(host, archive)
    assert change(host, command="prepare")[0] == 4
    ask(host, **request_of(host.read(f"{UNITS}/{SERVICE}")))
    assert change(host, command="restore")[0] in (0, 4)
    assert host.snapshot("etc", "boot", "usr", "var/lib/prometheus") == before
    assert host.running == set()


def test_a_restore_of_another_run_leaves_the_watch(host, archive):
    prepared = change(host, command="prepare")[1]["run"]
    install(host, archive)
    assert change(host, command="restore", run=prepared)[0] in (0, 4)
    assert host.running == {TIMER}
    assert host.exists(ARCHIVE)


def test_somebody_elses_unit_is_left_alone(host, archive, tmp_path):
    (tmp_path / "root" / UNITS[1:] / SERVICE).write_text("[Service]\nExecStart=/bin/theirs\n")
    code, refused = install(host, archive)
    assert code == 3
    assert SERVICE in refused["refusals"][0]["evidence"]
    assert not host.exists(ARCHIVE)


def test_without_systemd_it_is_refused_with_another_way(host, archive, tmp_path):
    shutil.rmtree(tmp_path / "root/run/systemd")
    code, refused = install(host, archive)
    assert code == 3
    assert "cron" in refused["refusals"][0]["fix"]


def test_a_timer_that_does_not_start_is_said(host, archive):
    host.known = set()
    host.names = lambda path, real=host.names: [] if path == UNITS else real(path)
    code, done = install(host, archive)
    assert code == 1
    assert "systemctl start" in done["problems"][0]


@pytest.mark.parametrize("folder", ["relative", "/with space", "/per%cent", "/quote'", "/a/../b\n"])
def test_a_folder_that_a_unit_could_misread_is_refused(host, archive, folder):
    code, error = install(host, archive, folder=folder)
    assert (code, error["code"]) == (2, "usage")


def test_what_is_no_zipapp_is_not_installed(host, tmp_path):
    (tmp_path / "x.pyz").write_bytes(b"#!/bin/sh\nrm -rf /\n")
    assert install(host, str(tmp_path / "x.pyz"))[0] == 2


def watched(host, archive):
    """A prepared and watched host after its reboot; returns the request that its service makes."""
    assert change(host, command="prepare")[0] == 4
    restart(host)
    assert install(host, archive)[0] == 0  # the groups are there now, and are what later ones are compared with
    request = request_of(host.read(f"{UNITS}/{SERVICE}"))
    code, _ = ask(host, **request)
    assert code == 1  # its old iommu_intel=on does nothing, and is said
    metrics = host.read(f"{FOLDER}/gpuctl.prom")
    assert "gpuctl_host_ready 1\n" in metrics
    assert 'id="drift"' not in metrics
    assert 'id="identity"' not in metrics
    return request


def restart(host, machine=None):
    host.reboot(machine)
    os.makedirs(host.real("/run/systemd/system"), exist_ok=True)


def moved(machine, address, **changes):
    functions = tuple(
        dataclasses.replace(item, **changes) if item.address.startswith(address) else item for item in machine.functions
    )
    return machine.but(functions=functions)


def problem(host, name):
    """The metric of one check's problem."""
    lines = [line for line in host.read(f"{FOLDER}/gpuctl.prom").splitlines() if f'problem{{id="{name}"' in line]
    assert lines, f"nothing of {name}"
    assert all('fix=""' not in line for line in lines)
    return lines[0]


def test_a_later_kernel_that_nobody_prepared_is_found(host, archive):
    request = watched(host, archive)
    release, old = "6.99.0-1-amd64", worlds.DEBIAN
    root = host.real("/")
    shutil.copytree(f"{root}/lib/modules/{old}", f"{root}/lib/modules/{release}", symlinks=True)
    shutil.copy(f"{root}/boot/vmlinuz-{old}", f"{root}/boot/vmlinuz-{release}")
    with open(f"{root}/boot/initrd.img-{release}", "wb") as file:
        file.write(cpio.pack({"init": (0o100755, b"#!/bin/sh\n")}))
    code, said = ask(host, **request)
    assert code in (1, 2)
    assert "; do: " in said["line"]
    assert release in problem(host, "drift") or "initramfs" in problem(host, "drift")
    code, check = ask(host, command="check")
    assert "drift" in [item["id"] for item in check["findings"] if item["status"] == "warn"]


def test_a_group_that_changed_is_found(host, archive):
    request = watched(host, archive)
    restart(host, moved(host.machine, "0000:84:00", group=61))
    restart(host, moved(host.machine, "0000:42:00", group=61))
    code, _ = ask(host, **request)
    assert code in (1, 2)
    assert "groups" in problem(host, "drift")


def test_a_swapped_card_is_found(host, archive):
    request = watched(host, archive)
    restart(host, moved(host.machine, "0000:84:00.0", device="2204", subdevice="147d"))
    assert ask(host, **request)[0] == 2
    assert "0000:84:00.0" in problem(host, "identity")


def test_the_service_runs_what_it_says_it_runs():
    files = watch_files(ZIPAPP, python="/usr/bin/python3", vendors=("10de", "1002"), folder=FOLDER)
    text = files[f"{UNITS}/{SERVICE}"].data.decode()
    assert request_of(text) == {
        "command": "watch",
        "action": "run",
        "plain": True,
        "vendors": ["10de", "1002"],
        "textfile": f"{FOLDER}/gpuctl.prom",
    }
    assert "@" not in "".join(line for line in text.splitlines() if not line.startswith(("#", "SystemCallFilter")))
    assert f"ReadWritePaths=-{FOLDER}\n" in text
    without = watch_files(ZIPAPP, python="/usr/bin/python3", vendors=("10de",), folder=None)
    assert "ReadWritePaths" not in without[f"{UNITS}/{SERVICE}"].data.decode()


@pytest.mark.machine
def test_systemd_itself_finds_nothing_wrong(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    files = watch_files(ZIPAPP, python=sys.executable, vendors=("any",), folder=FOLDER)
    units = [tmp_path / name for name in (SERVICE, TIMER)]
    for unit in units:
        unit.write_bytes(files[f"{UNITS}/{unit.name}"].data)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)], check=False, capture_output=True, text=True
    )
    about = [line for line in ran.stderr.splitlines() if "gpuctl" in line]
    assert (ran.returncode, about) == (0, []), ran.stderr


def test_the_line_alone_goes_to_the_log(tmp_path):
    (tmp_path / "sys").mkdir()
    request = json.dumps({"command": "watch", "action": "run", "plain": True, "root": str(tmp_path)})
    ran = subprocess.run([sys.executable, "-m", "gpuctl_host", request], check=False, capture_output=True, text=True)
    assert ran.stdout.startswith("GPUCTL ")
    assert ran.stdout.count("\n") == 1
    assert ran.returncode in (2, 3)

"""`gpuctl host watch` under a real systemd: its timer fires, its service says what is wrong, and no trace stays.

The machine is tests/e2e/systemd.py's; its host half runs on the distribution's Python, as the service does.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from gpuctl.zipapp import build_zipapp
from gpuctl_host import entry
from gpuctl_host.templates.watch import ARCHIVE, PATHS, SERVICE, TIMER, UNITS
from tests.e2e.systemd import Booted, why_not
from tests.sim import SimHost, worlds

REASON = why_not()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.machine,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]
FOLDER = "var/lib/prometheus/node-exporter"
CARD = "0000:42:00.0"
PYTHON, PYZ = "/usr/bin/python3", "/opt/gpuctl-host.pyz"
# The unit's own timer waits five minutes and an hour, to which up to ten minutes are added.
SOON = "[Timer]\nOnBootSec=\nOnUnitInactiveSec=\nOnBootSec=1\nRandomizedDelaySec=0\nAccuracySec=100ms\n"
OFTEN = f"{SOON}OnUnitInactiveSec=2\n"


def engine(sim, **request):
    events = []
    code = entry.serve(request, events.append, host=sim)
    return code, events[-1].get("document", events[-1])


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    """A prepared and rebooted machine of which nothing is to be said."""
    made = SimHost(worlds.two_gtx1080(), tmp_path_factory.mktemp("watch") / "root")
    made.tree.write("/etc/default/grub", made.tree.text("/etc/default/grub").replace(" iommu_intel=on", ""))
    made.run(["update-grub"], timeout=60)
    plan = engine(made, command="prepare", phase="plan")[1]
    assert engine(made, command="prepare", phase="apply", fingerprint=plan["fingerprint"])[0] == 4
    made.reboot()
    Path(made.tree.root, FOLDER).mkdir(parents=True)
    return made


@pytest.fixture
def box(sim):
    with Booted(sim) as made:
        build_zipapp(made.root / PYZ[1:])
        made.drop_in(TIMER, SOON)
        made.sees_the_simulation(SERVICE)
        yield made


@contextlib.contextmanager
def unbound(sim):
    """A card has lost its driver meanwhile."""
    sim.poke("/sys/bus/pci/drivers/vfio-pci/unbind", CARD)
    try:
        yield
    finally:
        sim.poke("/sys/bus/pci/drivers_probe", CARD)


def ask(box, python=PYTHON, **request):
    ran = box.run(python, "-I", PYZ, json.dumps({"command": "watch", **request}))
    last = json.loads(ran.stdout.splitlines()[-1])
    return ran.returncode, last.get("document", last)


def change(box, action, python=PYTHON):
    code, plan = ask(box, python, action=action)
    assert code == 0, plan
    return ask(box, python, action=action, phase="apply", fingerprint=plan["fingerprint"])


def ended(box, status):
    """The timer has started the service, and it has ended with this status; return what systemd makes of that."""
    found = {}

    def so():
        found.update(box.show(SERVICE, "Result", "ActiveState", "ExecMainStatus", "ExecMainExitTimestampMonotonic"))
        ran = found.pop("ExecMainExitTimestampMonotonic", "0") != "0"
        return ran and found["ActiveState"] in ("inactive", "failed") and found.pop("ExecMainStatus") == str(status)

    box.wait(so)
    return found


def lines(box):
    said = box.run("journalctl", "-t", "gpuctl-host-check", "-o", "json", "--no-pager").stdout
    return [json.loads(line) for line in said.splitlines()]


def metrics(box):
    return (box.root / FOLDER / "gpuctl.prom").read_text()


def traces(box):
    """What is there of the watch: files, and units that systemd still knows."""
    files = [path for path in (*PATHS, f"/{FOLDER}/gpuctl.prom") if os.path.lexists(box.root / path[1:])]
    units = box.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "gpuctl*").stdout
    return files, [line.split()[0] for line in units.splitlines()]


def test_the_timer_fires_and_the_service_says_what_is_so(box, sim):
    box.drop_in(TIMER, OFTEN)
    code, done = change(box, "install")
    assert (code, done["problems"]) == (0, [])
    assert ask(box)[1]["active"] is True
    assert box.show(TIMER, "ActiveState", "NextElapseUSecMonotonic")["ActiveState"] == "active"

    assert ended(box, 0) == {"Result": "success", "ActiveState": "inactive"}
    assert lines(box)[-1]["MESSAGE"].startswith("GPUCTL OK")
    assert (lines(box)[-1]["_SYSTEMD_UNIT"], lines(box)[-1]["PRIORITY"]) == (SERVICE, "6")
    assert "gpuctl_host_ready 1\n" in metrics(box)
    assert box.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""

    (owned,) = (path for path in (box.root / "etc/modprobe.d").iterdir() if "gpuctl" in path.name)
    text = owned.read_text()
    owned.write_text(f"{text}# somebody was here\n")
    assert ended(box, 1) == {"Result": "success", "ActiveState": "inactive"}, "a warning does not fail the unit"
    assert lines(box)[-1]["MESSAGE"].startswith("GPUCTL WARNING - drift: ")
    assert 'gpuctl_host_problem{id="drift"' in metrics(box)
    owned.write_text(text)
    ended(box, 0)

    with unbound(sim):
        assert ended(box, 2) == {"Result": "exit-code", "ActiveState": "failed"}
        assert lines(box)[-1]["MESSAGE"].startswith(f"GPUCTL CRITICAL - {CARD} gpu-driver: ")
        assert "gpuctl_host_ready 0\n" in metrics(box)
        assert SERVICE in box.run("systemctl", "--failed", "--plain", "--no-legend").stdout
    assert ended(box, 0)["ActiveState"] == "inactive", "well again, and no longer failed"

    said = box.run("journalctl", "-o", "json", "--no-pager", "GPUCTL_VERB=watch").stdout
    (record,) = (json.loads(line) for line in said.splitlines())
    assert (record["GPUCTL_RUN"], record["GPUCTL_RESULT"], record["_TRANSPORT"]) == (done["run"], "done", "journal")
    assert record["GPUCTL_CHANGES"].splitlines()[0] == f"file {ARCHIVE}"
    for word in ("EPERM", "Operation not permitted", "Permission denied", "Unknown key", "Failed to parse"):
        assert word not in box.run("journalctl", "--no-pager", "-b", "-u", SERVICE, "-u", TIMER).stdout

    code, gone = change(box, "remove")
    assert (code, gone["problems"]) == (0, [])
    assert traces(box) == ([], [])


def test_removed_while_it_fails_nothing_of_it_is_left(box, sim):
    change(box, "install")
    with unbound(sim):
        ended(box, 2)
        code, gone = change(box, "remove")
    assert (code, gone["problems"]) == (0, [])
    assert traces(box) == ([], [])


@pytest.mark.parametrize("distribution", ["has one", "has none"])
def test_an_interpreter_in_a_home_folder_serves_if_no_other_can(box, distribution):
    """ProtectHome=yes hides /root and /home: a pyenv's or uv's Python is none there."""
    own, common = box.root / "root/own/bin/python3", box.root / PYTHON[1:]
    own.parent.mkdir(parents=True)
    own.write_bytes(Path(PYTHON).read_bytes())
    own.chmod(0o755)
    if distribution == "has none":
        common.unlink()
        common.write_text("#!/bin/sh\nexit 1\n")
        common.chmod(0o755)
    code, done = change(box, "install", python="/root/own/bin/python3")
    assert (code, done["problems"]) == (0, [])
    assert ("/root/own" in (box.root / UNITS[1:] / SERVICE).read_text()) is (distribution == "has none")
    assert ended(box, 0)["Result"] == "success"

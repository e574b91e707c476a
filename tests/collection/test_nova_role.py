"""The nova playbook on folders: what is laid down where, what is restarted in which order, and when it stops."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible_runner")

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.timeout(300)]
ALIAS = 'alias = {"name": "gpu", "vendor_id": "10de"}'


@pytest.fixture
def rig(tmp_path):
    """A configurator's output; hosts as folders; commands that note what they were asked."""
    source = tmp_path / "nova"
    source.mkdir()
    (source / "compute.conf").write_text(f"# head\n[pci]\n{ALIAS}\ndevice_spec = common\n")
    (source / "compute.c2.conf").write_text(f"# head\n[pci]\n{ALIAS}\ndevice_spec = {{'address': \"own\"}}\n")
    (source / "api.conf").write_text(f"[pci]\n{ALIAS}\n")
    (source / "scheduler.conf").write_text("[filter_scheduler]\nenabled_filters = A,PciPassthroughFilter\n")
    (source / "conductor.conf").write_text("# nothing to set\n")
    log = tmp_path / "log"
    for name, text in {
        "restart": f'echo "restart $1" >> {log}',
        "active": f'echo "active $1" >> {log}; [ ! -e {tmp_path}/broken-$1 ]',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def hosts(rig, *names, **more):
    given = {
        "nova_source": str(rig / "nova"), "nova_owner": "root", "nova_group": "root", "nova_settle": 0,
        "nova_restart_command": [str(rig / "restart")], "nova_active_command": [str(rig / "active")],
    }  # fmt: skip
    return {
        name: {**given, "nova_folder": str(rig / f"etc-{name}"), "nova_units": _units(name), **more} for name in names
    }


def _units(name):
    return {service: f"{service}@{name}" for service in ("compute", "conductor", "scheduler", "api")}


def groups(compute, control):
    found = {"nova_compute": {"hosts": {key: {} for key in compute}}}
    return {
        **found,
        **{f"nova_{name}": {"hosts": {key: {} for key in control}} for name in ("conductor", "scheduler", "api")},
    }


def log(rig):
    return (rig / "log").read_text().split("\n")[:-1] if (rig / "log").exists() else []


def test_computes_first_one_at_a_time_and_the_second_run_restarts_nothing(play, rig):
    named = hosts(rig, "c1", "c2", "ctl")
    done = play("nova", named, groups=groups(["c1", "c2"], ["ctl"]))
    assert done.code == 0, done.said
    assert log(rig) == [
        f"{what} {unit}"
        for unit in ("compute@c1", "compute@c2", "scheduler@ctl", "api@ctl")
        for what in ("restart", "active")
    ]
    own = (rig / "etc-c2/zz-gpuctl-compute.conf").read_text()
    assert own == (rig / "nova/compute.c2.conf").read_text(), "byte for byte, whatever Jinja or YAML would make of it"
    assert (rig / "etc-c1/zz-gpuctl-compute.conf").read_text() == (rig / "nova/compute.conf").read_text()
    assert (rig / "etc-c1/zz-gpuctl-compute.conf").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in (rig / "etc-ctl").iterdir()) == [
        "zz-gpuctl-api.conf",
        "zz-gpuctl-scheduler.conf",
    ]
    assert play("nova", named, groups=groups(["c1", "c2"], ["ctl"])).code == 0
    assert len(log(rig)) == 8, "nothing changed, nothing restarted"


def test_the_first_service_that_does_not_come_up_ends_it(play, rig):
    (rig / "broken-compute@c1").touch()
    done = play("nova", hosts(rig, "c1", "c2", "ctl"), groups=groups(["c1", "c2"], ["ctl"]))
    assert done.code == 2
    assert log(rig) == ["restart compute@c1", "active compute@c1"]
    assert not (rig / "etc-c2").exists()
    assert not (rig / "etc-ctl").exists(), "no API knows an alias that no compute has"


def test_aliases_are_not_added_up_in_one_folder(play, rig):
    named = hosts(rig, "all-in-one")
    done = play("nova", named, groups=groups(["all-in-one"], ["all-in-one"]))
    assert done.code == 2
    assert "nova_folders" in done.said
    assert "restart api@all-in-one" not in log(rig)
    named = hosts(rig, "all-in-one", nova_folders={"api": str(rig / "etc-api")})
    done = play("nova", named, groups=groups(["all-in-one"], ["all-in-one"]))
    assert done.code == 0, done.said
    assert (rig / "etc-api/zz-gpuctl-api.conf").exists()


def test_check_mode_restarts_nothing(play, rig):
    done = play("nova", hosts(rig, "c1"), "--check", "--diff", groups=groups(["c1"], []))
    assert done.code == 0, done.said
    assert "device_spec = common" in done.said
    assert log(rig) == []
    assert not (rig / "etc-c1").exists()


def test_a_service_that_was_not_seen_running_is_restarted_by_the_next_run(play, rig):
    (rig / "broken-compute@c1").touch()
    named, where = hosts(rig, "c1", "ctl"), groups(["c1"], ["ctl"])
    assert play("nova", named, groups=where).code == 2
    again = play("nova", named, groups=where)
    assert again.code == 2, "the file is there, but the service does not run with it"
    assert not (rig / "etc-ctl").exists()
    (rig / "broken-compute@c1").unlink()
    assert play("nova", named, groups=where).code == 0
    assert [line for line in log(rig) if line.endswith("@c1")] == ["restart compute@c1", "active compute@c1"] * 3
    count = len(log(rig))
    assert play("nova", named, groups=where).code == 0
    assert len(log(rig)) == count
    assert sorted(path.name for path in (rig / "etc-c1").iterdir()) == ["zz-gpuctl-compute.conf"]


def test_a_file_with_nothing_to_say_takes_an_older_ones_place(play, rig):
    named, where = hosts(rig, "c1"), groups(["c1"], [])
    assert play("nova", named, groups=where).code == 0
    (rig / "nova/compute.conf").write_text("# this host has no card any more\n")
    done = play("nova", named, groups=where)
    assert done.code == 0, done.said
    assert (rig / "etc-c1/zz-gpuctl-compute.conf").read_text() == "# this host has no card any more\n"
    assert log(rig).count("restart compute@c1") == 2

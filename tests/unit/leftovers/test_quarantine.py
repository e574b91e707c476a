"""A leftover moved into quarantine, back, and deleted; and what the documents say."""

from __future__ import annotations

import json
import os

import pytest

from gpuctl_host.entry import serve
from gpuctl_host.leftovers.folder import INSTANCES
from tests.unit.leftovers.kit import (
    ONE,
    QUARANTINE,
    THREE,
    ComputeHost,
    ask,
    domain,
    instance,
    plan,
    proof,
    quarantine,
    read,
    rules,
    shelf,
    tree,
    write,
)

WEEK = 7 * 24 * 3600


def test_what_is_proven_may_go_and_what_is_not_stays(host):
    assert rules(plan(host)) == []
    document, code = ask(host, phase="plan")
    assert (rules(document), code) == (["proof-missing"], 0)
    assert [item["name"] for item in document["leftovers"]] == [ONE + "_resize"]  # TWO's own folder was not asked for


def test_quarantine_then_restore_gives_the_tree_back(root, host):
    before = tree(root)
    document, code = quarantine(host)
    assert code == 0, document
    (result,) = document["results"]
    assert (result["name"], result["state"]) == (ONE + "_resize", "quarantined")
    assert not os.path.lexists(f"{root}{INSTANCES}/{ONE}_resize")
    ((run, names),) = shelf(root).items()
    assert names == [ONE + "_resize", ONE + "_resize.json"]
    record = json.loads(read(f"{root}{INSTANCES}/{QUARANTINE}/{run}/{ONE}_resize.json"))
    assert record["proof"] == {"server_host": "gpu-b", "status": "ACTIVE", "open_migrations": []}
    assert document["quarantine"][0]["state"] == "quarantined"

    document, code = ask(host, phase="restore", uuids=[ONE])
    assert (code, [result["state"] for result in document["results"]]) == (0, ["restored"])
    assert shelf(root) == {}
    assert tree(root) == before


def test_purge_waits_a_week_and_then_deletes_only_that(root, host):
    instance(root, THREE + "_resize")
    before = tree(root)
    quarantine(host)
    host.later += WEEK - 60
    document, code = ask(host, phase="purge")
    assert (code, document["results"], len(document["kept"])) == (0, [], 1)
    host.later += 120
    document, code = ask(host, phase="purge")
    assert (code, [result["state"] for result in document["results"]]) == (0, ["purged"])
    assert shelf(root) == {}
    assert tree(root) == {path: value for path, value in before.items() if f"{ONE}_resize" not in path}


def test_a_clock_set_back_makes_nothing_old_enough(root, host):
    quarantine(host)
    host.later -= 3600
    document, _ = ask(host, phase="purge", older_than_s=0)
    assert document["results"] == []
    assert document["kept"][0]["why"] == "its age is not known"


def test_purge_of_one_server_leaves_the_others(root, host):
    instance(root, THREE + "_resize")
    quarantine(host, uuids=[ONE, THREE], proof=proof(ONE, THREE))
    document, code = ask(host, phase="purge", uuids=[THREE], older_than_s=0)
    assert (code, [result["uuid"] for result in document["results"]]) == (0, [THREE])
    assert [record["uuid"] for record in document["quarantine"]] == [ONE]


def test_a_stale_plan_touches_nothing(root, host):
    agreed = plan(host)["fingerprint"]
    os.utime(f"{root}{INSTANCES}/{ONE}_resize", (1, 1))
    before = tree(root)
    document, code = ask(host, phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint=agreed)
    assert (document["code"], code) == ("stale-plan", 3)
    document, code = ask(host, phase="quarantine", uuids=[ONE], proof=proof(ONE))
    assert (document["code"], code) == ("stale-plan", 3)
    assert tree(root) == before


def test_the_same_host_gives_the_same_fingerprint(host):
    assert plan(host)["fingerprint"] == plan(host)["fingerprint"]
    assert plan(host, proof=proof(ONE, status="SHUTOFF"))["fingerprint"] != plan(host)["fingerprint"]


def test_all_refused_is_exit_3_and_some_is_5(root, host):
    before = tree(root)
    document, code = quarantine(host, proof=proof(ONE, migrations=["17"]))
    assert (code, document["results"], document["kept"][0]["reasons"][0]["rule"]) == (3, [], "open-migration")
    assert tree(root) == before
    instance(root, THREE + "_resize")
    _, code = quarantine(host, uuids=[ONE, THREE], proof={**proof(ONE), **proof(THREE, host="gpu-a")})
    assert code == 5
    assert os.path.isdir(f"{root}{INSTANCES}/{THREE}_resize")


def test_an_instances_own_folder_goes_only_when_asked_for(root, host):
    instance(root, ONE)
    assert [item["kind"] for item in plan(host)["leftovers"]] == ["resize"]
    _, code = quarantine(host, kinds=["instance"])
    assert code == 0
    assert os.path.isdir(f"{root}{INSTANCES}/{ONE}_resize")
    assert not os.path.lexists(f"{root}{INSTANCES}/{ONE}")


def test_the_stale_domain_is_undefined_and_can_be_defined_again(root, host):
    text = domain(root, ONE, extra="<nvram>/var/lib/libvirt/qemu/nvram/x.fd</nvram>")
    before = tree(root)
    document, code = quarantine(host)
    assert code == 0, document
    assert [(result["kind"], result["state"]) for result in document["results"]] == [
        ("domain", "quarantined"),
        ("resize", "quarantined"),
    ]
    assert not os.path.lexists(f"{root}/etc/libvirt/qemu/instance-00000001.xml")
    undefined = next(call for call in host.calls if "undefine" in call)
    assert undefined[-3:] == ["--domain", ONE, "--keep-nvram"]
    ((_, names),) = shelf(root).items()
    assert f"{ONE}.domain.xml" in names

    document, code = ask(host, phase="restore", uuids=[ONE])
    assert code == 0, document
    assert text in read(f"{root}/etc/libvirt/qemu/instance-00000001.xml")
    assert tree(root) == before


def test_libvirt_refuses_and_the_files_stay_with_it(root, host):
    domain(root, ONE)
    before = tree(root)
    host.refuse = "undefine"
    document, code = quarantine(host)
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert document["kept"][0]["reasons"][0]["rule"] == "order"
    assert shelf(root) == {}
    assert tree(root) == before


def test_without_virsh_the_domain_is_seen_and_left(root, host):
    domain(root, ONE)
    os.unlink(f"{root}/usr/bin/virsh")
    document = plan(host)
    assert document["domains_source"] == "files"
    assert rules(document, "domain") == ["libvirt-unreachable"]
    assert rules(document) == []


def test_the_audit_log_has_a_line(root, host):
    quarantine(host)
    (line,) = read(f"{root}/var/log/gpuctl/audit.jsonl").splitlines()
    told = json.loads(line)
    assert (told["verb"], told["result"]) == ("leftovers quarantine", "done")
    assert told["changes"] == [f"resize {ONE}_resize: quarantined"]


def test_a_captured_tree_is_planned_from_and_never_changed(root):
    captured = ComputeHost(root, live=False)
    assert "captured" in rules(plan(captured))
    before = tree(root)
    document, code = ask(captured, phase="quarantine", uuids=[ONE], proof=proof(ONE), fingerprint="x")
    assert (document["code"], code) == ("refused", 3)
    assert tree(root) == before


@pytest.mark.parametrize(
    "request_",
    [
        {"phase": "destroy"},
        {"phase": "quarantine"},
        {"phase": "restore", "uuids": []},
        {"uuids": ["../etc"]},
        {"kinds": ["base"]},
        {"proof": {"x": {}}},
        {"proof": {ONE: {"status": "ACTIVE"}}},
        {"proof": {ONE: {"status": "ACTIVE", "open_migrations": [], "server_host": ""}}},
        {"destination_shares": {ONE: "no"}},
        {"destination_shares": {ONE: 1}},
        {"phase": "purge", "older_than_s": -1},
        {"phase": "purge", "older_than_s": True},
        {"instances_path": "var/lib"},
        {"instances_path": "/var/../etc"},
        {"instances_path": "/no/such/folder"},
    ],
)
def test_a_wrong_request_is_one_error_with_what_to_do(root, host, request_):
    before = tree(root)
    document, code = ask(host, **request_)
    assert (document["event"], code) == ("error", 2)
    assert document["resolution"]
    assert tree(root) == before


def test_restore_onto_something_is_refused_and_nothing_lost(root, host):
    quarantine(host)
    instance(root, ONE + "_resize", files=("newer",))
    document, code = ask(host, phase="restore", uuids=[ONE])
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert read(f"{root}{INSTANCES}/{ONE}_resize/newer")
    assert document["quarantine"][0]["state"] == "quarantined"


def test_restore_onto_an_empty_folder_is_refused_too(root, host):
    """A rename would put the one in the other's place without a word."""
    quarantine(host)
    os.mkdir(f"{root}{INSTANCES}/{ONE}_resize")
    document, code = ask(host, phase="restore", uuids=[ONE])
    assert (code, document["results"][0]["state"]) == (1, "failed")
    assert os.listdir(f"{root}{INSTANCES}/{ONE}_resize") == []


def test_of_two_of_one_name_the_newer_goes_back(root, host):
    quarantine(host)
    instance(root, ONE + "_resize", files=("newer",))
    host.later += 60
    quarantine(host)
    document, code = ask(host, phase="restore", uuids=[ONE])
    assert (code, [result["state"] for result in document["results"]]) == (5, ["restored"])
    assert os.listdir(f"{root}{INSTANCES}/{ONE}_resize") == ["newer"]


def test_restore_of_what_is_not_there_is_refused(host):
    document, code = ask(host, phase="restore", uuids=[THREE])
    assert (code, document["kept"]) == (3, [{"uuid": THREE, "why": "nothing of this server is in quarantine"}])


def test_another_gpuctl_has_the_lock(root, host):
    import fcntl

    write(root, "/run/gpuctl/lock", json.dumps({"pid": os.getpid(), "verb": "prepare", "since": "now"}))
    with open(f"{root}/run/gpuctl/lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        document, code = quarantine(host)
    assert (document["code"], code) == ("locked", 75)


def test_a_signal_stops_between_two_and_says_so(root, host):
    import signal

    instance(root, THREE + "_resize")
    agreed = plan(host, uuids=[ONE, THREE], proof=proof(ONE, THREE))["fingerprint"]
    request = {"command": "leftovers", "phase": "quarantine", "uuids": [ONE, THREE], "proof": proof(ONE, THREE)}
    events = []

    def hear(event):
        events.append(event)
        if event["event"] == "progress":
            os.kill(os.getpid(), signal.SIGTERM)

    code = serve({**request, "fingerprint": agreed}, hear, host=host)
    document = events[-1]["document"]
    assert (code, [result["state"] for result in document["results"]]) == (130, ["quarantined"])
    assert "SIGTERM" in document["notes"][-1]
    assert os.path.isdir(f"{root}{INSTANCES}/{THREE}_resize")
    assert "SIGTERM" not in str(quarantine(host, uuids=[THREE], proof=proof(THREE))[0]["notes"])

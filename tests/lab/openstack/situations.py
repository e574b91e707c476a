"""What goes wrong with moves, made to happen on the lab's real Nova (facts/nova.md 4.5-4.8, openstack-lab.md 4-9).

Each function takes a lab and a server that runs on gpu-a with one card, and leaves the situation that it is named for.
It proves that it got there by what Nova's books say, so that a test never starts from something else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .clients import (
    act,
    action_ended,
    boot,
    force_down,
    insist,
    migrate,
    reset_state,
    settle,
    show,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lab import Lab

HERE, THERE = "gpu-a", "gpu-b"


def hosts_of_rows(lab: Lab, server: str) -> list[str]:
    """The host of each device that Nova's books give to the server, sorted."""
    return sorted(row["host"] for row in lab.pci_rows() if row["instance_uuid"] == server)


def finish_failed(lab: Lab, server: str) -> None:
    """libvirt refuses the card on the destination: ERROR there, a card here and there."""
    lab.inject(THERE, "finish_migration")
    assert migrate(lab, server, THERE) == ["error"]
    assert show(lab, server)["status"] == "ERROR"
    assert hosts_of_rows(lab, server) == [HERE, THERE]


def finish_failed_then_2016(lab: Lab, server: str) -> None:
    """The same, and somebody followed the recipe of 2016: stopped, and not to be started."""
    finish_failed(lab, server)
    reset_state(lab, server)
    insist(lab, server, {"os-stop": None}, "stop", "SHUTOFF")
    act(lab, server, {"os-start": None})
    assert action_ended(lab, server, "start")["message"] == "Error"


def rolled_back(lab: Lab, server: str) -> None:
    """The first ssh failed: ACTIVE here, no fault, and a card of the destination is held."""
    lab.inject(HERE, "ssh")
    assert migrate(lab, server, THERE) == ["error"]
    assert show(lab, server)["status"] == "ACTIVE"
    assert hosts_of_rows(lab, server) == [HERE, THERE]


def rolled_back_and_rebooted(lab: Lab, server: str) -> None:
    """The same, and a hard reboot that destroyed the running guest (KeyError)."""
    rolled_back(lab, server)
    insist(lab, server, {"reboot": {"type": "HARD"}}, "reboot", "ERROR")
    assert not [one for one in lab.domains(HERE) if one.uuid == server and one.running]


def retried_after_leak(lab: Lab, server: str) -> None:
    """The same, and the move was tried again and confirmed: two cards on the new host."""
    rolled_back(lab, server)
    # With tracking on, nova-compute heals the allocation meanwhile; a claim of the scheduler's at that moment fails.
    lab.audit()
    assert migrate(lab, server, THERE) == ["error", "finished"]
    act(lab, server, {"confirmResize": None})
    until(lambda: lab.migrations(server)[-1]["status"] == "confirmed", "the confirmation")
    settle(lab, server)
    assert until(lambda: hosts_of_rows(lab, server) == [THERE, THERE], "two rows on the new host")


def copy_failed(lab: Lab, server: str) -> None:
    """A disk's copy broke off: ERROR here, guest off, a card of the destination is held."""
    lab.inject(HERE, "disk_copy")
    assert migrate(lab, server, THERE) == ["error"]
    assert show(lab, server)["status"] == "ERROR"
    assert hosts_of_rows(lab, server) == [HERE, THERE]


def left_in_verify_resize(lab: Lab, server: str) -> None:
    """A move that nobody confirmed."""
    assert migrate(lab, server, THERE) == ["finished"]
    assert show(lab, server)["status"] == "VERIFY_RESIZE"


def confirm_failed(lab: Lab, server: str) -> None:
    """The confirmation broke off on the source: ERROR there while the guest runs, a card here is held."""
    left_in_verify_resize(lab, server)
    lab.inject(HERE, "confirm_migration")
    act(lab, server, {"confirmResize": None})
    until(lambda: show(lab, server)["status"] == "ERROR", "the failure of the confirmation")
    assert hosts_of_rows(lab, server) == [HERE, THERE]


def revert_failed(lab: Lab, server: str) -> None:
    """The revert broke off here: ERROR, books clean."""
    left_in_verify_resize(lab, server)
    lab.inject(HERE, "finish_revert_migration")
    act(lab, server, {"revertResize": None})
    until(lambda: show(lab, server)["status"] == "ERROR", "the failure of the revert")
    until(lambda: hosts_of_rows(lab, server) == [HERE], "the destination's card free")


def reset_too_early(lab: Lab, server: str) -> None:
    """reset-state in VERIFY_RESIZE: ACTIVE, cards on both hosts, nothing to confirm or revert."""
    left_in_verify_resize(lab, server)
    reset_state(lab, server)
    assert show(lab, server)["status"] == "ACTIVE"
    assert hosts_of_rows(lab, server) == [HERE, THERE]


def reset_too_early_and_deleted(lab: Lab, server: str) -> None:
    """The same, and the server was deleted: with tracking, the migration's allocation stays for good."""
    reset_too_early(lab, server)
    delete(lab, server)


def alias_missing(lab: Lab, server: str) -> None:
    """The destination's nova-compute does not know the alias: ERROR here, the guest runs, nothing is held."""
    aliases_gone(lab)
    migrate(lab, server, THERE)
    assert show(lab, server)["status"] == "ERROR"
    assert hosts_of_rows(lab, server) == [HERE]


def aliases_gone(lab: Lab) -> None:
    """The destination's nova-compute does not know the alias of the GTX 1080."""
    kept = [json.dumps(alias) for alias in lab.topology.aliases if alias["name"] != "gtx1080"]
    lab.restart(f"compute-{THERE}", {"pci": {"alias": kept}})


def aliases_back(lab: Lab) -> None:
    """The destination's nova-compute knows every alias again."""
    lab.restart(f"compute-{THERE}", {"pci": {"alias": [json.dumps(alias) for alias in lab.topology.aliases]}})


def no_card_anywhere(lab: Lab, server: str) -> None:
    """Every card of the class is taken on the other host: the server just stays, and only the action says why."""
    for number in range(3):
        boot(lab, "gtx1080:1", THERE, name=f"filler-{number}")
    assert migrate(lab, server) == ["error"]
    assert show(lab, server)["status"] == "ACTIVE"
    assert hosts_of_rows(lab, server) == [HERE]


def evacuated(lab: Lab, server: str) -> None:
    """Evacuated from a dead host: SHUTOFF on the new one, cards on both."""
    lab.stop_compute(HERE)
    assert force_down(lab, HERE, down=True) == 200
    act(lab, server, {"evacuate": {"host": THERE}})
    until(lambda: [one["status"] for one in lab.migrations(server)] == ["done"], "the evacuation")
    settle(lab, server)
    assert show(lab, server)["status"] == "SHUTOFF"
    assert hosts_of_rows(lab, server) == [HERE, THERE]


def evacuated_and_started(lab: Lab, server: str) -> None:
    """The same, and it was started while the old host was away: the rebuilt guest is gone (KeyError)."""
    evacuated(lab, server)
    act(lab, server, {"os-start": None})
    assert action_ended(lab, server, "start")["message"] == "Error"
    assert not [one for one in lab.domains(THERE) if one.uuid == server and one.running]


def evacuated_and_back(lab: Lab, server: str) -> None:
    """The same as evacuated, and the old host came back and cleaned up after itself."""
    evacuated(lab, server)
    lab.start_compute(HERE)
    until(lambda: [one["status"] for one in lab.migrations(server)] == ["completed"], "the old host's cleaning")
    lab.audit()
    until(lambda: hosts_of_rows(lab, server) == [THERE], "the old host's card free")


def shelve_lost_its_snapshot(lab: Lab, server: str) -> None:
    """The snapshot of a shelve failed: ACTIVE without a fault, but powered off."""
    lab.inject(HERE, "snapshot")
    act(lab, server, {"shelve": None})
    assert action_ended(lab, server, "shelve")["message"] == "Error"
    assert show(lab, server)["status"] == "ACTIVE"
    assert not [one for one in lab.domains(HERE) if one.uuid == server and one.running]


def unshelve_failed(lab: Lab, server: str) -> None:
    """The unshelve met a card that libvirt refuses: SHELVED_OFFLOADED, nothing held."""
    act(lab, server, {"shelve": None})
    until(lambda: show(lab, server)["status"] == "SHELVED_OFFLOADED", "the shelving")
    lab.inject(THERE, "spawn")
    act(lab, server, {"unshelve": {"host": THERE}})
    assert action_ended(lab, server, "unshelve")["message"] == "Error"
    assert show(lab, server)["status"] == "SHELVED_OFFLOADED"
    assert until(lambda: hosts_of_rows(lab, server) == [], "no row")


def start_refused(lab: Lab, server: str) -> None:
    """A foreign guest took the card while the server was off: SHUTOFF, and only the action says why."""
    [address] = [row["address"] for row in lab.pci_rows(HERE) if row["instance_uuid"] == server]
    act(lab, server, {"os-stop": None})
    until(lambda: show(lab, server)["status"] == "SHUTOFF", "the stop")
    lab.faults(HERE).occupy(address)
    act(lab, server, {"os-start": None})
    assert action_ended(lab, server, "start")["message"] == "Error"


def delete(lab: Lab, server: str) -> None:
    """The server is gone, and Nova's audit has freed what it held."""
    lab.rest.delete("compute", f"/servers/{server}")
    servers = "/servers?all_tenants=1"
    until(lambda: server not in str(lab.rest.call("compute", "GET", servers)), f"the end of {server}")
    lab.audit()
    until(lambda: not hosts_of_rows(lab, server), "its cards free")


SITUATIONS: dict[str, Callable[[Lab, str], None]] = {
    make.__name__.replace("_", "-"): make
    for make in (
        finish_failed,
        finish_failed_then_2016,
        rolled_back,
        rolled_back_and_rebooted,
        retried_after_leak,
        copy_failed,
        left_in_verify_resize,
        confirm_failed,
        revert_failed,
        reset_too_early,
        reset_too_early_and_deleted,
        alias_missing,
        no_card_anywhere,
        evacuated,
        evacuated_and_started,
        evacuated_and_back,
        shelve_lost_its_snapshot,
        unshelve_failed,
        start_refused,
    )
}

"""An Ansible that reacts: hosts with a state, playbooks that change it, and the events that the real one would send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpuctl.fleet.ansible.playbook import Ended
from gpuctl.fleet.prepare_drain import Trouble

STEP = {
    "n": 1,
    "kind": "file",
    "target": "/etc/gpuctl/cards",
    "before": None,
    "after": None,
    "reason": "r",
    "risk": "reboot",
}


@dataclass
class SimHost:
    """One host.

    ``fault``: dead (at once), changed-key, disk (when it is written to), refuses, silent (Ansible says nothing of it),
    no-return (does not come back from a reboot), not-ready (after the reboot).
    """

    fault: str = ""
    prepared: bool = False
    live: bool = False  # rebooted since it was prepared
    needs_reboot: bool = True
    writes: int = 0
    reboots: int = 0


@dataclass
class SimAnsible:
    """A Player. ``plays`` is what was run, in order; ``interrupt_at`` ends it when that host's turn comes."""

    hosts: dict[str, SimHost]
    interrupt_at: str = ""
    plays: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    variables: list[dict[str, Any]] = field(default_factory=list)

    def play(self, name, heard, *, hosts, variables, words=()):
        hosts = tuple(hosts)
        self.plays.append((name, hosts, tuple(words)))
        self.variables.append(dict(variables))
        for host in hosts:
            if host == self.interrupt_at:
                return Ended(254, stopped=True, said="")
            for event in self.events(name, host, check="--check" in words):
                heard(event)
        return Ended(0, stopped=False, said="[WARNING]: something")

    def events(self, name, host, *, check):
        one = self.hosts[host]
        action = f"gpuctl.host.{name}" if name != "reboot" else "ansible.builtin.reboot"
        yield event("runner_on_start", host, action, {})
        if one.fault == "silent":
            return
        if one.fault == "dead":
            said = "Failed to connect to the host via ssh: ssh: connect to host 10.0.0.1 port 22: Connection timed out"
            yield event("runner_on_unreachable", host, action, {"msg": said, "unreachable": True})
        elif one.fault == "changed-key":
            said = (
                "Failed to connect to the host via ssh: @@@@@@\r\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @"
            )
            yield event("runner_on_unreachable", host, action, {"msg": said, "unreachable": True})
        elif name == "reboot":
            yield from self._reboot(host, one)
        elif name == "check":
            yield self._checked(host, one)
        elif one.fault == "refuses":
            result = {"msg": "refused for safety", "refused": True, "exit_code": 3, "resolution": "end the guest",
                      "refusals": [{"id": "gpu-in-use", "subject": "0000:42:00.0", "evidence": "e", "fix": "end the guest"}]}  # fmt: skip
            yield event("runner_on_failed", host, action, result)
        elif one.fault == "disk" and not check:
            result = {
                "msg": "No space left on device: /var/lib/gpuctl",
                "exit_code": 1,
                "resolution": "make room there",
            }
            yield event("runner_on_failed", host, action, result)
        else:
            changes = [] if one.prepared else [{**STEP, "state": "planned" if check else "done"}]
            if not check and changes:
                one.prepared, one.writes = True, one.writes + 1
            needs = one.needs_reboot and not one.live
            result = {"changed": bool(changes), "changes": changes, "reboot_required": needs, "fingerprint": f"print-{host}",
                      "reboot_reasons": ["the IOMMU is off"] if needs else [], "run": "r1", "exit_code": 4 if needs else 0,
                      "diff": [{"prepared": "--- a\n+++ b\n"}] if changes else []}  # fmt: skip
            yield event("runner_on_ok", host, action, result)

    def _reboot(self, host, one):
        one.reboots += 1
        if one.fault == "no-return":
            yield event(
                "runner_on_failed",
                host,
                "ansible.builtin.reboot",
                {"msg": "Timed out waiting for last boot time check"},
            )
            return
        one.live = True
        yield event("runner_on_ok", host, "ansible.builtin.reboot", {"rebooted": True})
        yield self._checked(host, one)

    def _checked(self, host, one):
        finding = {
            "id": "iommu-enabled",
            "status": "fail",
            "subject": "host",
            "evidence": "no groups",
            "fix": "see the BIOS",
        }
        if one.fault == "not-ready":
            result = {
                "msg": "not ready: iommu-enabled",
                "findings": [finding],
                "exit_code": 1,
                "resolution": "see the BIOS",
            }
            return event("runner_on_failed", host, "gpuctl.host.check", result)
        return event("runner_on_ok", host, "gpuctl.host.check", {"ready": True, "findings": []})


def event(kind, host, action, result):
    return {"event": kind, "event_data": {"host": host, "task_action": action, "res": result}}


class SimDrainer:
    """Remembers what it was asked; hosts in ``stuck`` cannot be emptied, those of ``shut`` were disabled before."""

    def __init__(self, stuck=(), shut=(), refuses=(), interrupt_at=""):
        self.stuck, self.shut, self.refuses, self.interrupt_at = stuck, shut, refuses, interrupt_at
        self.asked, self.interrupted = [], False

    def drain(self, hosts, away):
        self.asked.append(("drain", tuple(hosts)))
        for host in hosts:
            if host not in self.shut:
                away(host, f"drain-of-{host}")
            if host == self.interrupt_at:
                self.interrupted = True
                break
        return {
            host: Trouble("a server has no free card anywhere", "make room") for host in hosts if host in self.stuck
        }

    def enable(self, host, run):
        assert run == f"drain-of-{host}"
        self.asked.append(("enable", host))
        return Trouble("nova-compute is down", "start it") if host in self.refuses else None

"""Simulated hosts, asked and changed through the host half's own entry: as SSH and the Ansible modules would."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuctl.fleet.ansible.playbook import Ended
from gpuctl.up.hosts import HostView
from gpuctl_host.entry import serve
from tests.sim import SimHost, worlds

CARDS = "/etc/gpuctl/cards"


def request(host: SimHost, **asked: Any) -> tuple[dict[str, Any], int]:
    events: list[dict[str, Any]] = []
    code = serve(asked, events.append, host=host)
    assert events[-1]["event"] == "result", events[-1]
    return events[-1]["document"], code


@dataclass
class Rack:
    """An Asker and a Player. ``dead`` hosts do not answer, ``lying`` ones say that they were rebooted; ``kill_after`` ends it (KeyboardInterrupt) after that play."""

    hosts: dict[str, SimHost]
    dead: set[str] = field(default_factory=set)
    lying: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    plays: list[tuple[str, tuple[str, ...], bool]] = field(default_factory=list)
    variables: list[dict[str, Any]] = field(default_factory=list)
    kill_after: str = ""
    broken_nova: str = ""

    def ask(self, hosts):
        self.asked.append(tuple(hosts))
        return [self._view(name) for name in hosts]

    def _view(self, name):
        if name in self.dead:
            error = {"code": "unreachable", "brief": f"{name}: no route", "resolution": "see its power", "exit_code": 6}
            return HostView.of({"host": name, "state": "failed", "error": error})
        check, _ = request(self.hosts[name], command="check", facts=True)
        facts = check.pop("facts")
        state = "ready" if check["ready"] else "not-ready"
        return HostView.of({"host": name, "state": state, "check": check, "facts": facts, "error": None})

    def play(self, name, heard, *, hosts, variables, words=()):
        hosts, check = tuple(hosts), "--check" in words
        self.plays.append((name, hosts, check))
        self.variables.append(dict(variables))
        for host in hosts:
            for event in getattr(self, f"_{name}")(host, check):
                heard(event)
        if name == self.kill_after and not check:
            self.kill_after = ""
            raise KeyboardInterrupt
        failed = name == "nova" and self.broken_nova
        return Ended(2 if failed else 0, stopped=False, said="")

    def _prepare(self, host, check):
        sim = self.hosts[host]
        plan, code = request(sim, command="prepare", phase="plan")
        result = {
            "changes": plan.get("changes", ()),
            "fingerprint": plan.get("fingerprint"),
            "reboot_reasons": plan.get("reboot", ()),
        }
        if code == 3:
            worst = plan["refusals"][0]
            failed = {"msg": f"refused: {worst['id']}", "resolution": worst["fix"], "refused": True, "exit_code": 3}
            yield event("runner_on_failed", host, "gpuctl.host.prepare", failed)
            return
        if not check:
            done, code = request(sim, command="prepare", phase="apply", fingerprint=plan["fingerprint"])
            result = {"changes": done["changes"], "fingerprint": done["fingerprint"], "reboot_reasons": done["reboot"]}
        result["changes"] = [{"state": "planned", **one} for one in result["changes"]]
        result["reboot_required"] = bool(result["reboot_reasons"])
        yield event("runner_on_ok", host, "gpuctl.host.prepare", result)

    def _reboot(self, host, check):
        if host not in self.lying:
            self.hosts[host].reboot()
        yield event("runner_on_ok", host, "ansible.builtin.reboot", {"rebooted": True})
        yield event("runner_on_ok", host, "gpuctl.host.check", {"ready": True, "findings": []})

    def _nova(self, host, check):
        if host == self.broken_nova:
            yield event("runner_on_failed", host, "ansible.builtin.service_facts", {"msg": "nova-api does not run"})
        else:
            yield event("runner_on_ok", host, "ansible.builtin.copy", {"changed": True})


def event(kind, host, action, result):
    return {"event": kind, "event_data": {"host": host, "task_action": action, "res": result}}


def rack(folder, *names, **more):
    return Rack({name: SimHost(worlds.two_gtx1080(), folder / name) for name in names}, **more)


def states(document):
    return {row["phase"]: row["state"] for row in document["phases"]}


def changing(hosts):
    """The plays that were more than a check, with their hosts."""
    return [(name, names) for name, names, check in hosts.plays if not check]


def runs_of(hosts):
    """How often each host was changed, by its own journal."""
    return {name: len(list(Path(sim.tree.at("/var/lib/gpuctl/runs")).glob("*"))) for name, sim in hosts.hosts.items()}

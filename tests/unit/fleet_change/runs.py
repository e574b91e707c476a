"""A changing run on simulated hosts: what is asked for, on which, and what became of each."""

from __future__ import annotations

from gpuctl.fleet.prepare import FleetRun, Told
from gpuctl.fleet.run_state import Wish
from gpuctl.fleet.run_state_journal import Journal
from tests.unit.fleet_change.ansible_sim import SimAnsible, SimHost


def wish(**more):
    given = {
        "verb": "prepare",
        "inventory": ("/inv",),
        "limit": "",
        "canary": 1,
        "serial": (),
        "max_fail": 10.0,
        "variables": {},
    }
    return Wish(**{**given, **more})


def fleet(count=10, **faults):
    hosts = {f"h{number}": SimHost() for number in range(1, count + 1)}
    for host, fault in faults.items():
        hosts[host].fault = fault
    return SimAnsible(hosts)


def run(ansible, wished=None, journal=None, hosts=None, **more):
    journal = journal or Journal.new(wished or wish(), list(ansible.hosts))
    with journal:
        one = FleetRun(ansible, journal, Told(lambda _event: None, len(ansible.hosts)), **more)
        states = one.go(hosts if hosts is not None else list(ansible.hosts))
    return one, {state.host: state for state in states}


def states(found):
    return {host: state.state for host, state in found.items()}

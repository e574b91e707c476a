"""`fleet prepare` beside the bare ansible-playbook: the same hosts, playbook, batches, forks, keys and pipelining.

    python -m tests.bench.fleet_prepare [--hosts N] [--rounds N]

The hosts are those of tests/e2e: network namespaces with a real sshd each. A round is: prepared by the one, restored;
prepared by the other, restored; only the preparing is measured, the order changes from round to round, and after each it
is counted on the hosts' own disks that every one is prepared. Both run [1, all the rest]: the canary of one, the
`serial` of the other. Hosts and operator share the cores here, so wall time holds the hosts' work too, as it does for
real. Target: wall time at most 1.15 times. Needs root. Writes dist/bench-fleet-prepare.json. Exit status: 0 met, 1 missed,
2 not measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gpuctl.fleet.ansible.collection import stage
from tests.bench.measure import BenchError, Command, Cost, median, run
from tests.bench.run import ROOT, machine
from tests.e2e.hosts import GPUCTL, Hosts, why_not
from tests.e2e.with_ansible import ANSIBLE, bootstrap, environment, inventory_of, prepared

TARGET = 1.15
FORKS = "50"


def measured(rig: Hosts, rounds: int) -> dict[str, list[Cost]]:
    """The costs of both, round by round."""
    inventory = inventory_of(rig)
    collections = rig.folder / "collections"
    stage(collections)
    env = tuple(
        {
            **rig.environment,
            **environment(),
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_PIPELINING": "True",
        }.items()
    )
    inside = ("ip", "netns", "exec", rig.operator)
    batches = json.dumps({"gpuctl_serial": [1, "100%"]})
    playbook = (str(ANSIBLE / "ansible-playbook"), "-i", inventory, "-f", FORKS)
    commands = {
        "ansible-playbook": Command((*inside, *playbook, "gpuctl.host.prepare", "-e", batches), env=env),
        "gpuctl fleet prepare": Command(
            (*inside, *GPUCTL, "fleet", "prepare", "-i", inventory, "--forks", FORKS, "--yes"), (4,), env
        ),
    }
    restore = Command((*inside, *playbook, "gpuctl.host.restore"), env=env)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(rounds + 1):  # the first is for caches
        for name in list(commands)[:: -1 if number % 2 else 1]:
            cost = run(commands[name])
            done = sum(prepared(host) for host in rig)
            if done != len(rig.hosts):
                raise BenchError(f"{name}: {done} of {len(rig.hosts)} hosts are prepared")
            run(restore)
            if number:
                costs[name].append(cost)
                print(f"  round {number} {name}: {cost.wall:.2f} s, {cost.cpu:.2f} s CPU", flush=True)
    return costs


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=4)
    words = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"not measured: {reason}")
        return 2
    bootstrap()
    try:
        with Hosts(words.hosts) as rig:
            costs = measured(rig, words.rounds)
    except BenchError as error:
        print(f"not measured: {error}")
        return 2
    bare, ours = median(costs["ansible-playbook"]), median(costs["gpuctl fleet prepare"])
    ratio = ours.wall / bare.wall
    for name, cost in (("ansible-playbook", bare), ("gpuctl fleet prepare", ours)):
        print(f"{name:22} {cost.wall:7.2f} s wall {cost.cpu:7.2f} s CPU {cost.memory / 2**20:6.0f} MiB")
    print(f"{words.hosts} hosts, {words.rounds} rounds: {ratio:.3f} times the wall time (target {TARGET})")
    document = {
        "hosts": words.hosts, "rounds": words.rounds, "ratio": round(ratio, 3), "target": TARGET, "machine": machine(),
        "wall": {name: [round(cost.wall, 3) for cost in list_of] for name, list_of in costs.items()},
        "cpu": {name: [round(cost.cpu, 3) for cost in list_of] for name, list_of in costs.items()},
    }  # fmt: skip
    out = Path(ROOT, "dist/bench-fleet-prepare.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

"""`fleet check` of 100 hosts beside `ansible -m ping` and a bare paramiko loop; then the memory of 1,000 hosts.

    python -m tests.bench.fleet [--hosts N] [--rounds N] [--forks N] [--many N]

The hosts are those of tests/e2e: network namespaces, a real sshd and the tree of an HGX H100 (8 GPUs) each. All three use the
same 50 forks, the same ed25519 user key, the same known_hosts with plain names, strict checking, one fresh connection a
host (Ansible: pipelining on, ControlMaster off, the interpreter named). Rounds are interleaved and every run's answers
are counted. Measured is the client alone: user and system time of the command and the children it waited for. The
bare loop is threads, SSHClient, keys read once, and `python3 -c` that prints a word. Ansible's ssh children are its own work.

Targets: client CPU at most a fifth of Ansible's and at most 1.5 times the bare loop's; 1,000 hosts in at most 512 MB (each
of the 100 under ten names, answering with the answer recorded from a real check). Needs root. Writes dist/bench-fleet.json. Exit status: 0 all met,
1 one missed, 2 not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import BenchError, Cost, median
from tests.bench.run import PEERS, ROOT, machine
from tests.e2e.dress import SSHD
from tests.e2e.hosts import GPUCTL, Hosts, why_not
from tests.sim import worlds

LOOP = """
import sys, threading, queue
from paramiko import SSHClient, Ed25519Key, HostKeys, RejectPolicy

key, known, hosts, forks = Ed25519Key(filename=sys.argv[1]), HostKeys(sys.argv[2]), sys.argv[4:], int(sys.argv[3])
waiting = queue.SimpleQueue()
for host in hosts:
    waiting.put(host)
good = []

def work():
    while True:
        try:
            host = waiting.get_nowait()
        except queue.Empty:
            return
        client = SSHClient()
        for kind, public in known.lookup(host).items():
            client.get_host_keys().add(host, kind, public)
        client.set_missing_host_key_policy(RejectPolicy())
        client.connect(host, username="root", pkey=key, look_for_keys=False, allow_agent=False, timeout=30)
        _, out, _ = client.exec_command("python3 -c 'print(\\"pong\\")'")
        if out.read().strip() == b"pong":
            good.append(host)
        client.close()

threads = [threading.Thread(target=work) for _ in range(forks)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(good))
"""


class Client:
    """A command at the operator's, with how its output is counted."""

    def __init__(
        self, rig: Hosts, argv: list[str], count: Callable[[str], int], env: dict[str, str] | None = None
    ) -> None:
        self.rig, self.argv, self.count, self.env = rig, argv, count, env or {}

    def run(self, expected: int) -> Cost:
        """Run it once; an answer short is an error, not a figure."""
        output = self.rig.folder / "output"
        with output.open("wb") as out, (self.rig.folder / "errors").open("wb") as err:
            began = time.perf_counter()
            child = subprocess.Popen(
                ["ip", "netns", "exec", self.rig.operator, *self.argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.rig.home, env={**self.rig.environment, **self.env},
            )  # fmt: skip
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - began
            child.returncode = os.waitstatus_to_exitcode(status)
        seen = self.count(output.read_text())
        if seen != expected:
            errors = (self.rig.folder / "errors").read_text()[-600:]
            raise BenchError(f"{self.argv[:4]}: {seen} of {expected} answers, exit status {child.returncode}: {errors}")
        return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def kept(rig: Hosts) -> int:
    """How many hosts of the last run answered with a whole check of eight GPUs; read from the file that it kept."""
    text = rig.gpuctl("fleet", "check", "--last", "-f", "json").stdout
    return sum(len((entry["check"] or {}).get("gpus", ())) == 8 for entry in json.loads(text)["hosts"])


def clients(rig: Hosts, forks: int) -> dict[str, Client]:
    """The three."""
    key, known = str(rig.home / ".ssh/id_ed25519"), str(rig.home / ".ssh/known_hosts")
    inventory = rig.inventory()
    peers = PEERS if (PEERS / "ansible").exists() else ROOT / ".cache/ansible-venv/bin"
    if not (peers / "ansible").exists():
        raise BenchError("no ansible: .ci/bootstrap bench")
    ansible = {
        "ANSIBLE_FORKS": str(forks),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_SSH_ARGS": f"-o ControlMaster=no -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -F none",
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_PRIVATE_KEY_FILE": key,
        "ANSIBLE_HOME": str(rig.folder / "ansible"),
    }
    return {
        "gpuctl fleet check": Client(
            rig, [*GPUCTL, "fleet", "check", "-i", inventory, "--forks", str(forks), "--timeout", "300"], lambda _: kept(rig)
        ),
        "ansible -m ping": Client(
            rig, [str(peers / "ansible"), "all", "-i", inventory, "-m", "ping", "-o"], lambda text: text.count("| SUCCESS"), ansible
        ),
        "bare paramiko loop": Client(
            rig, [sys.executable, "-c", LOOP, key, known, str(forks), *(host.address for host in rig)], int
        ),
    }  # fmt: skip


def memory(rig: Hosts, many: int, forks: int) -> Cost:
    """One check of ``many`` names; each host answers with what it answered before."""
    last = json.loads(rig.gpuctl("fleet", "check", "--last", "-f", "json").stdout)["hosts"][0]["check"]
    facts = json.loads(rig.gpuctl("fleet", "facts", "-i", rig.inventory(), "-l", rig[1].name, "-f", "jsonl").stdout)
    answer = json.dumps({"event": "result", "document": {**last, "facts": facts}, "exit_code": 1})
    for host in rig:
        host.write("/rig/answer", answer + "\n")
        host.write("/etc/ssh/sshd_config", SSHD + "ForceCommand cat >/dev/null; cat /rig/answer\n")
        host.restart()
    lines = [f"gpu{number:04d} ansible_host={rig.hosts[number % len(rig.hosts)].address}" for number in range(many)]
    inventory = rig.folder / "many.ini"
    inventory.write_text("\n".join(lines) + "\n[all:vars]\nansible_user=root\n")
    argv = [*GPUCTL, "fleet", "check", "-i", str(inventory), "--forks", str(forks), "--timeout", "300"]
    cost = Client(rig, argv, lambda _: kept(rig)).run(many)
    print(f"  one host's answer: {len(answer) // 1024} KiB")
    return cost


def main(words: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--many", type=int, default=1000)
    options = parser.parse_args(words)
    if why_not():
        print(f"not measured: {why_not()}")
        return 2
    try:
        with Hosts(options.hosts, worlds.hgx_h100()) as rig:
            three = clients(rig, options.forks)
            costs: dict[str, list[Cost]] = {name: [] for name in three}
            for number in range(options.rounds + 1):  # the first is for caches and .pyc
                for name, client in three.items():
                    cost = client.run(options.hosts)
                    if number:
                        costs[name].append(cost)
            large = memory(rig, options.many, options.forks)
    except (BenchError, RuntimeError) as error:
        print(f"not measured: {error}")
        return 2
    middle = {name: median(list_of) for name, list_of in costs.items()}
    ours, ansible, bare = middle.values()
    for name, cost in middle.items():
        print(f"  {name:20} {cost.cpu:7.2f} s CPU  {cost.wall:6.1f} s wall  {cost.memory / 1e6:5.0f} MB")
    print(f"  {options.many} hosts: {large.cpu:.2f} s CPU, {large.wall:.1f} s wall, {large.memory / 1e6:.0f} MB")
    results = {
        "of ansible's CPU": (ours.cpu / ansible.cpu, 0.2),
        "of the bare loop's CPU": (ours.cpu / bare.cpu, 1.5),
        "MB for all": (large.memory / 1e6, 512.0),
    }
    good = all(value <= limit for value, limit in results.values())
    for name, (value, limit) in results.items():
        print(f"  {'ok    ' if value <= limit else 'MISSED'} {value:.2f} {name} (at most {limit:g})")
    figures = {name: vars(cost) for name, cost in middle.items()}
    document = {
        "machine": machine(), "hosts": options.hosts, "forks": options.forks, "rounds": options.rounds, "clients": figures,
        "many": {"hosts": options.many, **vars(large)}, "met": {name: value <= limit for name, (value, limit) in results.items()},
    }  # fmt: skip
    target = Path(ROOT, "dist/bench-fleet.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

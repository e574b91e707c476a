"""An audit of 500 GPU servers on 63 hosts, beside `openstack server show` once a server, on the simulated cloud.

    python -m tests.bench.audit [--servers N] [--rounds N] [--sample N]

The loop's cost is that of N servers (10 by default), scaled; it only reads Nova's view, and compares nothing. The cloud
answers at once, so wall time is the clients' own. Targets: at most 10 requests after authentication and one a compute,
100 times less CPU, 200 MiB. Prints a table, writes dist/bench-audit.json. Exit status: 0 all met, 1 one missed, 2 not
measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.bench.measure import BenchError, Command, Cost, interleaved, median, run
from tests.bench.run import GPUCTL, PEERS, ROOT, machine
from tests.sim.cloud import RemoteSim

PER_HOST = 8
SHOW = ("--os-compute-api-version", "2.96", "server", "show")
FIXED = 10  # requests of an audit, however many servers and computes there are
LESS_CPU = 100
MEMORY = 200 * 2**20


@contextmanager
def cloud(servers: int):
    """A simulated cloud in a process of its own: (its handle, environment of its clients, hosts)."""
    hosts = -(-servers // PER_HOST)
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as folder:
        words = [
            sys.executable,
            "-m",
            "tests.sim.cloud",
            "--tracking",
            "--hosts",
            "0",
            "--servers",
            "0",
            "--folder",
            folder,
        ]
        with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                said = json.loads(process.stdout.readline())
                sim = RemoteSim(said["url"])
                # From volumes: for an image's name the peer would ask an image service that is not simulated.
                sim.populate(hosts, servers, classes=["h100", "l40"], per_host=PER_HOST, volumes=1.0)
                # The simulator's image service cannot be discovered, which the peer would do at every start.
                yaml = Path(said["clouds_yaml"])
                clouds = json.loads(yaml.read_text())
                clouds["clouds"]["sim"] |= {
                    "image_endpoint_override": f"{said['url']}/image/v2",
                    "image_api_version": "2",
                }
                yaml.write_text(json.dumps(clouds))
                yield sim, (("OS_CLIENT_CONFIG_FILE", said["clouds_yaml"]), ("OS_CLOUD", said["cloud"])), hosts
            finally:
                process.stdin.close()
                process.wait(10)


def requests(sim: RemoteSim) -> int:
    """How many the cloud has answered since it last forgot them, but for logins and its own side door."""
    return sum(count for path, count in sim.counts().items() if "/identity/" not in path and "/sim/" not in path)


def loop(names: list[str], env: tuple[tuple[str, str], ...], servers: int) -> Cost:
    """`openstack server show` once a name; the sum, scaled to all servers."""
    costs = [run(Command((str(PEERS / "openstack"), *SHOW, name, "-f", "json"), env=env)) for name in names]
    scale = servers / len(costs)
    return Cost(
        sum(one.cpu for one in costs) * scale, sum(one.wall for one in costs) * scale, max(one.memory for one in costs)
    )


def measured(servers: int, rounds: int, sample: int) -> dict:
    """The row, as JSON."""
    with cloud(servers) as (sim, env, hosts):
        audit = Command((GPUCTL, "instance", "audit", "-f", "json"), env=env)
        run(audit)
        sim.clear_counts()
        run(audit)
        sent = requests(sim)
        ours = median(interleaved([audit], rounds)[0])
        names = [f"vm-{number:04d}" for number in range(1, sample + 1)]
        run(Command((str(PEERS / "openstack"), *SHOW, names[0]), env=env))  # caches and .pyc
        peer = loop(names, env, servers)
    targets = [
        (f"<= {FIXED} requests + one a compute", sent <= FIXED + hosts),
        (f">= {LESS_CPU}x less CPU", peer.cpu >= LESS_CPU * ours.cpu),
        (f"<= {MEMORY // 2**20} MiB", ours.memory <= MEMORY),
    ]
    return {
        "name": f"audit, {servers} servers", "hosts": hosts, "requests": sent, "ours": asdict(ours), "peer": asdict(peer),
        "peer_name": f"openstack server show, {sample} measured, scaled", "cpu_ratio": peer.cpu / ours.cpu, "wall_ratio": peer.wall / ours.wall,
        "targets": [{"text": text, "met": bool(met)} for text, met in targets],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=10)
    options = parser.parse_args()
    try:
        row = measured(options.servers, options.rounds, options.sample)
    except (BenchError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"not measured: {error}")
        return 2
    line = "{:20} {:>8} {:>8} {:>8} {:>8}   {:>10} {:>8} {:>7} {:>7}  {}"
    print(
        line.format(
            "gpuctl instance", "requests", "CPU s", "wall s", "MiB", "loop CPU s", "wall s", "CPU x", "wall x", "target"
        )
    )
    ours, peer = row["ours"], row["peer"]
    figures = [
        f"{ours['cpu']:.2f}",
        f"{ours['wall']:.2f}",
        f"{ours['memory'] / 2**20:.0f}",
        f"{peer['cpu']:.0f}",
        f"{peer['wall']:.0f}",
    ]
    met = ", ".join(f"{target['text']} {'met' if target['met'] else 'MISSED'}" for target in row["targets"])
    print(
        line.format(row["name"], row["requests"], *figures, f"{row['cpu_ratio']:.0f}", f"{row['wall_ratio']:.0f}", met)
    )
    out = ROOT / "dist" / "bench-audit.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"schema": "gpuctl.bench/1", "machine": machine(), "rows": [row]}, indent=1) + "\n")
    return int(not all(target["met"] for target in row["targets"]))


if __name__ == "__main__":
    sys.exit(main())

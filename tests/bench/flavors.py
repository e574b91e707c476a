"""A catalogue of 100 flavors on the lab's real Nova, beside a loop over `openstack flavor`.

    python -m tests.bench.flavors [--sample N] [--state FOLDER]

The loop's cost is that of N flavors (20 by default), scaled to 100: it does the same thing for each. Targets: unchanged,
at most 3 requests after authentication and 40 times less CPU; creating, at most 2 requests each (beside the version and
two listings) and 10 times faster. Prints a table, writes dist/bench-flavors.json. Exit status: 0 all met, 1 one missed, 2 not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import BenchError, Command, Cost, run
from tests.bench.run import GPUCTL, PEERS, ROOT, machine
from tests.lab.openstack import Lab, Unavailable

COUNT = 100
SHARED = 3  # the version, the listing before and the listing after


def catalogue(file: Path) -> list[str]:
    """A catalogue of COUNT flavors; their names."""
    names = [f"bench.{number}" for number in range(COUNT)]
    rows = "".join(
        f"  - {{name: {name}, gpus: [{{alias: gtx1080, count: {1 + number % 3}}}]}}\n"
        for number, name in enumerate(names)
    )
    head = "schema: gpuctl.flavor.catalogue/1\ncatalogue: bench\ndefaults: {vcpus: 2, ram: 2 GiB, disk: 10, hide_kvm: true}\nflavors:\n"
    file.write_text(head + rows)
    return names


def loop(words: list[list[str]], env: tuple[tuple[str, str], ...]) -> Cost:
    """`openstack` once for each list of words; the sum, scaled to COUNT."""
    costs = [run(Command((str(PEERS / "openstack"), *one), env=env)) for one in words]
    scale = COUNT / len(costs)
    return Cost(
        sum(one.cpu for one in costs) * scale, sum(one.wall for one in costs) * scale, max(one.memory for one in costs)
    )


def requests(argv: list[str], env: tuple[tuple[str, str], ...]) -> int:
    """How many requests to Nova it says it took."""
    done = subprocess.run([*argv, "-v"], env={**os.environ, **dict(env)}, capture_output=True, text=True, check=True)
    return int(re.search(r"(\d+) requests to Nova", done.stderr)[1])


def measured(lab: Lab, folder: Path, sample: int) -> list[dict]:
    """Both rows of the table."""
    env = (("OS_CLIENT_CONFIG_FILE", str(lab.layout.clouds_yaml)), ("OS_CLOUD", "gpuctl-lab"))
    names = catalogue(folder / "bench.yaml")
    argv = [GPUCTL, "flavor", "apply", str(folder / "bench.yaml"), "--yes"]
    specs = ["--property", "pci_passthrough:alias=gtx1080:1", "--property", "hw:hide_hypervisor_id=true"]
    make = [
        ["flavor", "create", f"loop.{n}", "--private", "--vcpus", "2", "--ram", "2048", "--disk", "10", *specs]
        for n in range(sample)
    ]
    run(Command((GPUCTL, "flavor", "list"), env=env))  # caches and .pyc of both
    run(Command((str(PEERS / "openstack"), "flavor", "list"), env=env))
    lab.reset()
    sent = requests(argv, env)
    lab.reset()
    ours = run(Command(tuple(argv), env=env))
    again_sent = requests(argv, env)
    again = run(Command(tuple(argv), env=env))
    shown = loop([["flavor", "show", name] for name in names[:sample]], env)
    made = loop(make, env)
    return [
        row("unchanged, 100 flavors", again, again_sent, shown, [
            ("<= 3 requests", again_sent <= 3), (">= 40x less CPU", shown.cpu >= 40 * again.cpu)]),
        row("created, 100 flavors", ours, sent, made, [
            (f"<= 2 requests each + {SHARED}", sent <= 2 * COUNT + SHARED), (">= 10x faster", made.wall >= 10 * ours.wall)]),
    ]  # fmt: skip


def row(name: str, ours: Cost, sent: int, peer: Cost, targets: list[tuple[str, bool]]) -> dict:
    """One row, as JSON."""
    return {
        "name": name, "requests": sent, "ours": {"cpu": ours.cpu, "wall": ours.wall}, "peer": {"cpu": peer.cpu, "wall": peer.wall},
        "cpu_ratio": peer.cpu / ours.cpu, "wall_ratio": peer.wall / ours.wall,
        "targets": [{"text": text, "met": bool(met)} for text, met in targets],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--state", type=Path, help="a lab that is up, or may be brought up and stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as scratch:
        lab = Lab(options.state or Path(scratch) / "lab")
        try:
            lab.up()
            rows = measured(lab, Path(scratch), options.sample)
        except (Unavailable, BenchError, OSError, subprocess.CalledProcessError) as error:
            print(f"not measured: {error}")
            return 2
        finally:
            if options.state is None:
                lab.down(purge=True)
    line = "{:24} {:>8} {:>8} {:>8}   {:>10} {:>10} {:>8} {:>8}  {}"
    print(
        line.format(
            "gpuctl flavor apply", "requests", "CPU s", "wall s", "loop CPU s", "wall s", "CPU x", "wall x", "target"
        )
    )
    for one in rows:
        met = ", ".join(f"{target['text']} {'met' if target['met'] else 'MISSED'}" for target in one["targets"])
        figures = [f"{one[who][what]:.2f}" for who in ("ours", "peer") for what in ("cpu", "wall")]
        print(
            line.format(
                one["name"], one["requests"], *figures, f"{one['cpu_ratio']:.0f}", f"{one['wall_ratio']:.0f}", met
            )
        )
    out = ROOT / "dist" / "bench-flavors.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps({"schema": "gpuctl.bench/1", "machine": machine(), "sample": options.sample, "rows": rows}, indent=1)
        + "\n"
    )
    return int(not all(target["met"] for one in rows for target in one["targets"]))


if __name__ == "__main__":
    sys.exit(main())

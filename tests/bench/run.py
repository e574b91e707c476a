"""`make bench`: gpuctl beside a named peer, in one run, rounds interleaved, medians; CPU time, because wall time is luck.

    python -m tests.bench.run [--rounds N] [NAME...]

Prints a table with each target and whether it was met, and writes dist/bench.json. Exit status: 0 every target was met,
1 one was missed, 2 something could not be measured. Run it on a quiet machine; nothing in `make test` depends on it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.measure import BenchError, Command, Cost, interleaved, median

ROOT = Path(__file__).resolve().parents[2]
GPUCTL = str(Path(sys.executable).parent / "gpuctl")
PEERS = ROOT / ".cache" / "bench-venv" / "bin"


@dataclass(frozen=True)
class Bench:
    """One comparison and its targets."""

    name: str
    ours: Command
    peer: Command
    peer_name: str
    rounds: int
    cpu_at_most: float | None = None  # seconds
    less_by: float | None = None  # the peer's CPU is at least so many times ours
    at_most: float | None = None  # ours is at most so many times the peer's


def version(_: Path) -> Bench:
    """The start alone."""
    peer = Command((str(PEERS / "openstack"), "--version"))
    return Bench(
        "version", Command((GPUCTL, "--version")), peer, "openstack --version", 11, cpu_at_most=0.060, less_by=8
    )


def check(scratch: Path) -> Bench:
    """Eight GPUs among 400 PCI functions, judged."""
    tree = scratch / "tree400"
    importlib.import_module("tests.bench.tree400").build(tree)
    ours = Command((GPUCTL, "host", "check", "--root", str(tree), "-f", "json"), statuses=(0, 1))
    # What a playbook would have to gather first; with its own Python, so that it need not look for one.
    peer = Command(
        (str(PEERS / "ansible"), "localhost", "-m", "setup"),
        env=(("ANSIBLE_PYTHON_INTERPRETER", str(PEERS / "python")), ("ANSIBLE_HOME", str(scratch / "ansible"))),
    )
    return Bench(
        "host check, 400 functions", ours, peer, "ansible localhost -m setup", 7, cpu_at_most=0.150, less_by=10
    )


def facts(_: Path) -> Bench:
    """This machine, read live."""
    if shutil.which("lshw") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "-qq", "-y", "install", "--no-install-recommends", "lshw"], check=False, capture_output=True
        )
    lshw = shutil.which("lshw")
    if lshw is None:
        raise BenchError("no lshw here: apt-get install lshw")
    ours = Command((GPUCTL, "host", "facts", "-f", "json"))
    return Bench(
        "host facts, live", ours, Command((lshw, "-c", "display", "-json")), "lshw -c display -json", 11, at_most=1.5
    )


BENCHES = {"version": version, "check": check, "facts": facts}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHES)}; all by default")
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as scratch:
        for name in options.names or BENCHES:
            rows.append(measured(name, Path(scratch), options.rounds))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    show(rows)
    out = ROOT / "dist" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"schema": "gpuctl.bench/1", "machine": machine(), "rows": rows}, indent=1) + "\n")
    print(f"\n{out.relative_to(ROOT)} has every round")
    return 2 if any("error" in row for row in rows) else int(not all(row["met"] for row in rows))


def measured(name: str, scratch: Path, rounds: int | None) -> dict:
    """One row of the table, as JSON."""
    try:
        bench = BENCHES[name](scratch)
        costs = interleaved([bench.ours, bench.peer], rounds or bench.rounds)
    except (BenchError, ImportError, OSError) as error:
        return {"name": name, "error": str(error)}
    ours, peer = map(median, costs)
    return {
        "name": bench.name,
        "peer_name": bench.peer_name,
        "rounds": len(costs[0]),
        "ours": asdict(ours),
        "peer": asdict(peer),
        "ratio": peer.cpu / ours.cpu,
        "targets": targets(bench, ours, peer),
        "met": all(target["met"] for target in targets(bench, ours, peer)),
        "all": {"ours": [asdict(cost) for cost in costs[0]], "peer": [asdict(cost) for cost in costs[1]]},
    }


def targets(bench: Bench, ours: Cost, peer: Cost) -> list[dict]:
    """Each target of a bench, and whether it was met."""
    found = []
    if bench.cpu_at_most is not None:
        found.append({"text": f"<= {bench.cpu_at_most * 1000:.0f} ms", "met": ours.cpu <= bench.cpu_at_most})
    if bench.less_by is not None:
        found.append({"text": f">= {bench.less_by:g}x less", "met": peer.cpu >= bench.less_by * ours.cpu})
    if bench.at_most is not None:
        found.append({"text": f"<= {bench.at_most:g}x", "met": ours.cpu <= bench.at_most * peer.cpu})
    return found


def show(rows: list[dict]) -> None:
    """The table for people."""
    line = "{:26} {:>9} {:>9}   {:28} {:>9} {:>9} {:>7}  {}"
    print(line.format("gpuctl", "CPU ms", "wall ms", "peer", "CPU ms", "wall ms", "ratio", "target"))
    for row in rows:
        if "error" in row:
            print(f"{row['name']:26} not measured: {row['error']}")
            continue
        figures = [f"{row[who][what] * 1000:.0f}" for who in ("ours", "peer") for what in ("cpu", "wall")]
        met = ", ".join(f"{target['text']} {'met' if target['met'] else 'MISSED'}" for target in row["targets"])
        print(line.format(row["name"], *figures[:2], row["peer_name"], *figures[2:], f"{row['ratio']:.1f}", met))


def machine() -> dict:
    """What it was measured on; no name, no serial."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else None,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


if __name__ == "__main__":
    sys.exit(main())

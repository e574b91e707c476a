"""A drain of 32 servers with caps of 4 on the simulated cloud, beside the ideal schedule of the same moves.

    python -m tests.bench.drain [--servers N] [--parallel N] [--seconds MEAN] [--seed N]

How long Nova takes for each server is drawn at random (a start, and the copying of a disk whose size gpuctl can see, times
noise that it cannot); the clock and gpuctl's polls are scaled alike (a move of five minutes is one of MEAN seconds). The
ideal schedule is that of somebody who knew every duration: longest first on as many machines, and never below
max(sum / caps, longest). Targets: at most 1.15 of it; a poll is two requests, however many moves are under way.
Prints a table, writes dist/bench-drain.json. Exit status: 0 all met, 1 one missed, 2 not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.bench.run import ROOT, machine
from tests.sim.cloud import MovesSim

LIMIT = 1.15
REAL = 300.0  # seconds: what a move of middle size takes on hardware, roughly; only the scale depends on it
COPIES = {"copy_disks", "snapshot", "spawn"}  # the steps that take longer for a larger disk


class Uneven(MovesSim):
    """Steps take as long as the server's disk is large, times noise; what each server's moves took is kept."""

    def __init__(self, *, mean: float, noise: random.Random, **settings: Any) -> None:
        super().__init__(pace=1.0, **settings)
        self.mean, self.noise = mean, noise
        self.took: dict[str, float] = defaultdict(float)
        self._who: Any = None

    def spawn(self, flow: Any) -> None:
        # Which server a flow is about stands in its own frame: the simulator's steps have the same length for all.
        self._who = flow.gi_frame.f_locals.get("server") if flow.gi_frame is not None else None
        super().spawn(flow)

    def takes(self, step: str) -> float:
        seconds = 0.02 * self.mean
        if step in COPIES:
            size = self._who.flavor["disk"] if self._who is not None else 100
            seconds = self.mean * (0.15 + 0.7 * size / 200) * self.noise.lognormvariate(0, 0.25) * _share(step)
        if self._who is not None:
            self.took[self._who.id] += seconds
        return seconds


def _share(step: str) -> float:
    """A cold move copies once; a shelve uploads and downloads."""
    return 1.0 if step == "copy_disks" else 0.5


def ideal(seconds: list[float], machines: int) -> tuple[float, float]:
    """(the schedule longest first, the bound below which no schedule is)."""
    loads = [0.0] * machines
    for one in sorted(seconds, reverse=True):
        loads[loads.index(min(loads))] += one
    return max(loads), max(sum(seconds) / machines, *seconds)


def measured(options: argparse.Namespace, *, tracking: bool, scratch: Path) -> dict[str, Any]:
    """One row: a drain by cold migration (cards not tracked) or by shelving (tracked)."""
    from gpuctl.cloud import connect
    from gpuctl.moves.drain.caps import Caps
    from gpuctl.moves.drain.run import drain_host
    from gpuctl.moves.drain.settings import Settings
    from gpuctl.moves.engine import Pace

    rng = random.Random(options.seed)
    scale = options.seconds / REAL
    pace = Pace(shortest=max(0.2 * scale, 0.02), longest=5.0 * scale, look=max(1.0 * scale, 0.02))
    with Uneven(mean=options.seconds, noise=random.Random(options.seed), tracking=tracking) as cloud:
        for number in range(5):
            cloud.add_host(f"gpu-{number}", ["h100"] * options.servers, disk=1_000_000, ram=1 << 24, vcpus=4096)
        for number in range(options.servers):
            disk = round(min(max(rng.lognormvariate(5, 0.7), 20), 800))
            cloud.boot(f"vm-{number:02}", "gpu-0", "h100:1", disk=disk)
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(cloud.clouds_yaml(scratch))
        os.environ["XDG_STATE_HOME"] = str(scratch / "state")
        polls = polled(connect("sim"), cloud)
        cloud.clear_counts()
        settings = Settings(caps=Caps(options.parallel, None, options.parallel))
        began = time.process_time()
        result = drain_host(connect("sim"), "gpu-0", settings, pace=pace)
        cpu = time.process_time() - began
        took = [cloud.took[one.server] for one in result.results]
        best, bound = ideal(took, options.parallel)
        good = result.exit_code == 0 and not cloud.broken()
        sent = sum(count for path, count in cloud.counts().items() if "/identity" not in path)
    ratio = result.seconds / best
    return {
        "name": f"{len(took)} servers by {result.results[0].strategy if result.results else 'nothing'}, {options.parallel} at a time",
        "seconds": result.seconds, "ideal": best, "bound": bound, "ratio": ratio, "ratio_to_bound": result.seconds / bound,
        "requests": sent, "requests_a_move": sent / max(len(took), 1), "requests_a_poll": polls, "cpu_of_both": cpu,
        "targets": [
            {"text": "all moved, all books right", "met": good},
            {"text": f"<= {LIMIT} x ideal", "met": ratio <= LIMIT},
            {"text": "2 requests a poll, for 1 and for all", "met": polls == [2, 2]},
        ],
    }  # fmt: skip


def polled(found: Any, cloud: MovesSim) -> list[int]:
    """How many requests a poll is, with one server watched and with all of them."""
    from gpuctl.moves.nova_api import NovaApi
    from gpuctl.moves.watch import Watch

    api = NovaApi.of(found.service("compute"))
    every = api.servers()
    counts = []
    for watched in (every[:1], every):
        watch = Watch(api)
        for one in watched:
            watch.add(one, ())
        before = api.service.asked
        watch.poll()
        counts.append(api.service.asked - before)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=32)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0, help="that a move of middle size takes here")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as scratch:
        for tracking in (False, True):
            folder = Path(scratch) / str(tracking)
            folder.mkdir()
            rows.append(measured(options, tracking=tracking, scratch=folder))
    line = "{:40} {:>9} {:>9} {:>9} {:>7} {:>10} {:>7}  {}"
    print(line.format("gpuctl instance drain", "wall s", "ideal s", "bound s", "x", "requests", "/ poll", "target"))
    for one in rows:
        met = ", ".join(f"{target['text']} {'met' if target['met'] else 'MISSED'}" for target in one["targets"])
        figures = [f"{one[what]:.2f}" for what in ("seconds", "ideal", "bound", "ratio")]
        print(
            line.format(
                one["name"], *figures, f"{one['requests_a_move']:.0f}/move", str(one["requests_a_poll"][-1]), met
            )
        )
    out = ROOT / "dist" / "bench-drain.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"schema": "gpuctl.bench/1", "machine": machine(), "options": vars(options), "rows": rows}, indent=1) + "\n")  # fmt: skip
    return int(not all(target["met"] for one in rows for target in one["targets"]))


if __name__ == "__main__":
    sys.exit(main())

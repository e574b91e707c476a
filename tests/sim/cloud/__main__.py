"""The cloud as a process: `python -m tests.sim.cloud --hosts 8 --servers 32` prints one line of JSON, and serves until stdin ends or it is killed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.sim.cloud.server import MovesSim


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.cloud", description=__doc__)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--servers", type=int, default=8)
    parser.add_argument("--per-host", type=int, default=8)
    parser.add_argument("--classes", default="h100", help="aliases, with commas between")
    parser.add_argument("--release", type=int, default=34)
    parser.add_argument("--tracking", action="store_true")
    parser.add_argument("--pace", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where clouds.yaml goes (none may be there); a new one unless told")
    said = parser.parse_args()
    folder = said.folder or Path(tempfile.mkdtemp(prefix="gpuctl-sim-"))
    if (folder / "clouds.yaml").exists():
        parser.error(f"{folder} has a clouds.yaml already, perhaps of a real cloud: name another folder")
    with MovesSim(
        port=said.port, release=said.release, tracking=said.tracking, pace=said.pace, seed=said.seed
    ) as cloud:
        cloud.populate(said.hosts, said.servers, per_host=said.per_host, classes=said.classes.split(","))
        print(json.dumps({"url": cloud.url, "clouds_yaml": str(cloud.clouds_yaml(folder)), "cloud": "sim"}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

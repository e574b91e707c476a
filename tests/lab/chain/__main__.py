"""`python3 -m tests.lab.chain [run|up|step NAME...|page|down]`: the whole chain once, for real. `run` is all of it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.lab.host.build import build
from tests.lab.host.packages import LabUnavailable, say
from tests.lab.openstack import Unavailable

from . import record
from .chain import Chain
from .steps import STEPS

FOLDER = Path("/tmp/chain-lab")


def main() -> int:
    """The exit code: 0 all steps proven, 1 one was not, 77 it cannot run here."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.chain", description=__doc__)
    parser.add_argument("verb", nargs="?", default="run", choices=("run", "up", "step", "page", "down"))
    parser.add_argument("names", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--state", type=Path, default=FOLDER, help="the chain's folder (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="run: leave everything running at the end")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        chain = Chain(asked.state)
        if asked.verb == "down":
            chain.down()
            return 0
        if asked.verb == "page":
            record.write_page(chain.folder, STEPS)
            return 0
        if asked.verb == "step":
            return _steps(chain.attach(), asked.names or list(STEPS))
        if asked.verb == "up":
            chain.up()
            return 0
        return _run(chain, keep=asked.keep)
    except (LabUnavailable, Unavailable) as error:
        say(str(error))
        return 77


def _run(chain: Chain, *, keep: bool) -> int:
    began = time.monotonic()
    build()
    record.clear(chain.folder)
    try:
        chain.up()
        record.add(chain.folder, "up", "done", time.monotonic() - began, ["control plane and both machines answer"])
        return _steps(chain, list(STEPS))
    finally:
        record.write_page(chain.folder, STEPS)
        if not keep:
            chain.down()


def _steps(chain: Chain, names: list[str]) -> int:
    """Each step is done and kept, until one fails."""
    path = chain.folder / "kept.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        say(f"{name}: {(STEPS[name].__doc__ or '').strip()}")
        began = time.monotonic()
        try:
            lines = STEPS[name](chain, kept)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the step's outcome
            told = "".join(traceback.format_exception_only(error)).strip()
            record.add(chain.folder, name, "FAILED", time.monotonic() - began, told.splitlines()[:40])
            traceback.print_exc()
            return 1
        finally:
            path.write_text(json.dumps(kept))
        record.add(chain.folder, name, "done", time.monotonic() - began, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())

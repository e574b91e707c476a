"""`python3 -m tests.lab.openstack up|down|status|reset|install [--state FOLDER]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from . import Lab, Unavailable, topology
from .template import ensure as ensure_template


def default_state() -> Path:
    """The folder of the lab that a person means who names none."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "gpuctl" / "lab-openstack"


def main() -> int:
    """The exit code: 0 done, 1 failed, 3 not running (status), 77 cannot run on this machine."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.openstack", description="A real Nova on loopback.")
    parser.add_argument("verb", choices=("install", "up", "down", "status", "reset"))
    parser.add_argument("--state", type=Path, default=default_state(), help="the lab's folder (%(default)s)")
    parser.add_argument("--hosts", type=Path, default=topology.DEFAULT, help="hosts and devices, a JSON file")
    parser.add_argument("--purge", action="store_true", help="down: remove the state folder too")
    parser.add_argument("--json", action="store_true", help="status: as JSON")
    options = parser.parse_args()
    lab = Lab(options.state, options.hosts)
    began = time.monotonic()
    try:
        code = _do(lab, options)
    except Unavailable as error:
        _say(str(error))
        return 77
    except (TimeoutError, RuntimeError) as error:
        _say(f"failed: {error}")
        return 1
    if options.verb != "status":
        _say(f"{options.verb}: done in {time.monotonic() - began:.1f} s")
    return code


def _do(lab: Lab, options: argparse.Namespace) -> int:
    if options.verb == "install":
        ensure_template(lab.installed)
    elif options.verb == "up":
        lab.up()
        _say(f"export OS_CLIENT_CONFIG_FILE={lab.layout.clouds_yaml} OS_CLOUD=gpuctl-lab")
        _say(f"client: {lab.installed.venv / 'bin' / 'openstack'}")
    elif options.verb == "down":
        lab.down(purge=options.purge)
    elif options.verb == "reset":
        lab.reset()
    else:
        return _status(lab, as_json=options.json)
    return 0


def _status(lab: Lab, *, as_json: bool) -> int:
    there = lab.layout.state.is_dir()
    used, status = (lab.cpu_seconds(), lab.status()) if there else ({}, {})
    whole = there and all(status.values())
    if as_json:
        services = [
            {"service": name, "up": bool(pids), "cpu_seconds": round(used.get(name, 0.0), 1), "pids": pids}
            for name, pids in status.items()
        ]
        _say(json.dumps({"state": str(lab.layout.state), "up": whole, "services": services}))
        return 0 if whole else 3
    if not there:
        _say("down: this lab was never started")
    for name, pids in status.items():
        _say(f"{name:16} {'up' if pids else 'down':5} {used.get(name, 0):6.1f} s CPU  {' '.join(map(str, pids))}")
    return 0 if whole else 3


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


sys.exit(main())

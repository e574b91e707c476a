#!/usr/bin/env python3
"""Prepare this host at its first boot, with nothing but Python 3.9 and gpuctl-host.pyz.

usage: gpuctl-first-boot.py ARCHIVE [--vendor ID]... [--watch] [--reboot] [--root DIR]

Plans, applies that very plan, and checks. Where a reboot is needed it makes /run/gpuctl-first-boot.reboot, for whoever
reboots (cloud-init's power_state), or reboots itself with --reboot; once, never again. Run at the next boot it goes on
from there; when the host has been prepared and checked, /var/lib/gpuctl-first-boot/done says so.

Exit status 0: ready, or waiting for that reboot; 3: refused, nothing touched; else what gpuctl says of a failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REFUSED, REBOOT = 3, 4


def main() -> int:
    """Take the host one step nearer to ready."""
    options = _options()
    state, flag = options.root / "var/lib/gpuctl-first-boot", options.root / "run/gpuctl-first-boot.reboot"
    base = {"root": str(options.root), **({"vendors": options.vendor} if options.vendor else {})}
    plan, code = ask(options.archive, {"command": "prepare", **base})
    if code == 0 and plan.get("unfinished"):
        ask(options.archive, {"command": "prepare", "phase": "recover", **base})
        plan, code = ask(options.archive, {"command": "prepare", **base})
    if code == REFUSED:
        for item in plan["refusals"]:
            say(f"refused: {item['subject']} {item['id']}: {item['evidence']}; do: {item['fix']}")
        return REFUSED
    if code == 0:
        wish = {"command": "prepare", "phase": "apply", "fingerprint": plan["fingerprint"], **base}
        plan, code = ask(options.archive, wish)
    say(plan.get("verdict") or plan.get("brief") or "no verdict")
    if code == REBOOT:
        return reboot(state, flag, now=options.reboot)
    if code:
        for line in (plan.get("error"), plan.get("resolution"), *plan.get("problems", ()), *plan.get("manual", ())):
            say(line or "")
        return code
    if options.watch:
        watch(options.archive, base)
    checked, code = ask(options.archive, {"command": "check", **base})
    for item in checked.get("findings", ()):
        if item["status"] in ("fail", "warn"):
            say(f"{item['status']} {item['id']} {item['subject']}: {item['title']}; do: {item['fix']}")
    state.mkdir(parents=True, exist_ok=True)
    (state / "done").touch()
    return code


def reboot(state: Path, flag: Path, *, now: bool) -> int:
    """A reboot is asked for, if there was none yet: a host that is not ready after one is looked at by a person."""
    mark = state / "rebooted"
    if mark.exists():
        say("it was rebooted once already and needs it still: see `gpuctl host check`")
        return 1
    state.mkdir(parents=True, exist_ok=True)
    flag.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    flag.touch()
    if now:
        subprocess.run(["systemctl", "--no-block", "reboot"], check=True)
    return 0


def watch(archive: Path, base: dict[str, Any]) -> None:
    """The hourly check is installed; that it could not be is no reason to hold the host back."""
    request = {"command": "watch", "action": "install", "archive": str(archive), **base}
    plan, code = ask(archive, request)
    if code == 0:
        plan, code = ask(archive, {**request, "phase": "apply", "fingerprint": plan["fingerprint"]})
    if code:
        say(f"the watch is not installed: {json.dumps(plan.get('refusals') or plan.get('problems') or plan)}")


def ask(archive: Path, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the document (or the error) and the exit status of one request to the host's half."""
    words = [sys.executable, "-I", str(archive)]
    ran = subprocess.run(words, input=json.dumps(request), check=False, stdout=subprocess.PIPE, text=True)
    try:
        event = json.loads(ran.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"brief": f"{archive} gave no answer"}, ran.returncode or 1
    return event.get("document", event), event["exit_code"]


def say(text: str) -> None:
    """One line for the log of the first boot."""
    if text:
        sys.stdout.write(f"gpuctl-first-boot: {text}\n")
        sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("archive", type=Path, help="gpuctl-host.pyz")
    parser.add_argument("--vendor", action="append", help="whose GPUs: 10de (default), 1002, 8086, any; repeatable")
    parser.add_argument("--watch", action="store_true", help="install the hourly check too")
    parser.add_argument("--reboot", action="store_true", help="reboot at once where it is needed")
    parser.add_argument("--root", type=Path, default=Path("/"), help="a tree instead of this machine")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Runs the parts of `make check` and `make test` in two lanes, and closes with one line that counts all their tests.

    .venv/bin/python .ci/suite.py check | test | PART...

A lane runs its parts one after the other. The rigs (a virtual machine, later a cloud) share one lane, so that there are
never two of them at once. Each part writes .cache/reports/PART.log and, where it is pytest, PART.xml; what failed is
shown here as well. The last line is "N passed, N failed, N skipped" over every test of every part; the exit status is 1
if anything failed, a part that could not be started or ran out of time among them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / ".cache" / "reports"
PYTHON = str(ROOT / ".venv" / "bin" / "python")
PYTHON39 = str(ROOT / ".cache" / "py39-venv" / "bin" / "python")
NO_PYTHON = 69  # .ci/bootstrap: no such Python on this machine
NO_TESTS = 5  # pytest: nothing was selected
TAIL = 150  # lines of a failed part's log that are shown
APART = ("slow", "property", "crash", "packaging", "lab_host", "lab_openstack", "e2e")
FAST = " and ".join(f"not {marker}" for marker in APART)
SLOW = " and ".join(("slow", *(f"not {marker}" for marker in APART[1:])))


@dataclass(frozen=True)
class Part:
    """One command of a lane."""

    name: str
    argv: tuple[str, ...]
    limit: int  # seconds
    pytest: bool = False
    may_be_empty: bool = False  # no test selected is no failure
    before: tuple[str, ...] = ()  # a command that has to do its work first; NO_PYTHON from it skips the part
    env: tuple[tuple[str, str], ...] = ()


@dataclass
class Outcome:
    """What became of a part."""

    part: Part
    seconds: float
    failed: bool
    said: str
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # why tests were skipped


def pytest_part(name: str, *arguments: str, limit: int, python: str = PYTHON, **rest: object) -> Part:
    """A part that is one run of pytest."""
    report = f"--junit-xml={REPORTS / name}.xml"
    argv = (python, "-m", "pytest", "-q", report, "-o", "junit_family=xunit2", *arguments)
    return Part(name, argv, limit, pytest=True, **rest)  # type: ignore[arg-type]


TWO = ("-n", "2", "--dist", "worksteal")
WHOLE = ("-n", "2", "--dist", "loadfile")  # the kill tests count their kills over a whole file
BOOTSTRAP39 = (sys.executable, str(ROOT / ".ci/bootstrap"), "py39")
PARTS = {
    part.name: part
    for part in (
        Part("format", (PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."), 120),
        Part("lint", (PYTHON, "-m", "ruff", "check", "--quiet", "--output-format=concise", "."), 120),
        Part("types", (PYTHON, "-m", "mypy"), 600),
        Part("demo", (PYTHON, "-m", "tests.demo.demo"), 300),
        pytest_part("unit", "-m", FAST, *TWO, limit=1500),
        pytest_part("property", "-m", "property and not crash", *TWO, "--timeout=600", limit=1500, may_be_empty=True),
        pytest_part("crash", "-m", "crash", *WHOLE, "--timeout=900", limit=1800, may_be_empty=True),
        pytest_part("slow", "-m", SLOW, *TWO, "--timeout=600", limit=2700, may_be_empty=True),
        pytest_part("packaging", "-m", "packaging", "--timeout=600", limit=1500, before=BOOTSTRAP39),
        pytest_part("python39", "-m", FAST, *TWO, limit=1500, python=PYTHON39, before=BOOTSTRAP39,
                    env=(("PYTHONPATH", str(ROOT / "host_prep")),)),
        pytest_part("lab_host", "-m", "lab_host", "tests/lab/host", "--timeout=1800", limit=3600, may_be_empty=True),
        pytest_part("lab_openstack", "-m", "lab_openstack", "--timeout=1800", limit=3600, may_be_empty=True),
        pytest_part("e2e", "-m", "e2e", "--timeout=1800", limit=2400, may_be_empty=True),
    )
}  # fmt: skip
SUITES = {
    "check": (("format", "lint", "types"), ("unit",)),
    "test": (
        ("format", "lint", "types", "unit", "demo", "packaging", "python39", "slow", "property", "crash"),
        ("lab_host", "lab_openstack", "e2e"),
    ),
}

_children: set[subprocess.Popen[bytes]] = set()
_saying = threading.Lock()


def main(argv: list[str]) -> int:
    """Run a suite, or the parts that are named one after the other."""
    wanted = argv or ["check"]
    if not all(name in PARTS or name in SUITES for name in wanted):
        print(__doc__, file=sys.stderr)
        print("parts:", *PARTS, file=sys.stderr)
        return 2
    lanes = SUITES[wanted[0]] if wanted[0] in SUITES else (tuple(wanted),)
    REPORTS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    # Begun in the background of a shell it would ignore SIGINT, and so would every command that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=run_lane, args=(lane, outcomes), daemon=True) for lane in lanes]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        end_children()
        say("interrupted")
        return 130
    return summary(outcomes, time.monotonic() - began, expected=sum(map(len, lanes)))


def run_lane(lane: tuple[str, ...], outcomes: list[Outcome]) -> None:
    """Run the parts of one lane, and tell of each when it ends."""
    for name in lane:
        try:
            outcome = run_part(PARTS[name])
        except Exception as error:  # noqa: BLE001 - a part that cannot be run is a failed part, and the others go on
            outcome = Outcome(PARTS[name], 0, failed=True, said=f"could not be run: {error}")
        outcomes.append(outcome)
        text = f"{name:13} {'FAILED' if outcome.failed else 'ok':6} {outcome.seconds:6.1f} s  {outcome.said}"
        for reason, count in outcome.reasons.most_common(8):
            text += f"\n{'':13} skipped {count}: {reason}"
        if outcome.failed:
            log = REPORTS / f"{name}.log"
            lines = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
            text = "\n".join([f"---------------- {name}", *lines, f"---------------- end of {name}", text])
        say(text)


def run_part(part: Part) -> Outcome:
    """Run one part to its end or its limit."""
    began = time.monotonic()
    log = REPORTS / f"{part.name}.log"
    xml = REPORTS / f"{part.name}.xml"
    log.unlink(missing_ok=True)
    xml.unlink(missing_ok=True)
    if part.before:
        prepared = subprocess.run(
            part.before, cwd=ROOT, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if prepared.returncode and (prepared.returncode != NO_PYTHON or part.argv[0] == PYTHON39):
            if prepared.returncode == NO_PYTHON:
                return Outcome(part, 0, failed=False, said="skipped: no Python 3.9 on this machine")
            log.write_text(prepared.stdout + prepared.stderr)
            return Outcome(part, time.monotonic() - began, failed=True, said=" ".join(part.before))
    code = run_command(part, log)
    seconds = time.monotonic() - began
    if code is None:
        return Outcome(part, seconds, failed=True, said=f"not done after {part.limit} s", counts=Counter(failed=1))
    if not part.pytest:
        return Outcome(part, seconds, failed=code != 0, said=f"exit status {code}" if code else "")
    if code == NO_TESTS and part.may_be_empty:
        return Outcome(part, seconds, failed=False, said="no tests here yet")
    counts, reasons = read_report(xml)
    said = ", ".join(
        f"{counts[what]} {what}" for what in ("passed", "failed", "skipped") if counts[what] or what == "passed"
    )
    if code and not counts["failed"]:
        counts["failed"] += 1
        said += f" (pytest's exit status {code})"
    return Outcome(part, seconds, code != 0, said, counts, reasons)


def run_command(part: Part, log: Path) -> int | None:
    """Run a part's command in a process group of its own; return its status, or None if it ran out of time."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "NO_COLOR": "1", **dict(part.env)}
    environment.pop("PYTHONHOME", None)
    with log.open("wb") as out:
        child = subprocess.Popen(
            part.argv,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        _children.add(child)
        try:
            return child.wait(part.limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            end(child)
            _children.discard(child)


def read_report(xml: Path) -> tuple[Counter[str], Counter[str]]:
    """Count a junit file: passed, failed (errors too), skipped, and why they were skipped."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    if not xml.exists():
        return counts, reasons
    for case in ET.parse(xml).iter("testcase"):  # noqa: S314 - pytest of our own wrote it
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        elif skipped is None:
            counts["passed"] += 1
        elif skipped.get("type") == "pytest.xfail":
            counts["passed"] += 1
        else:
            counts["skipped"] += 1
            reasons[
                skipped.get("message", "").splitlines()[0][:160] if skipped.get("message") else "no reason given"
            ] += 1
    return counts, reasons


def summary(outcomes: list[Outcome], seconds: float, expected: int) -> int:
    """Say what failed, then the one line that counts; return the exit status."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
        if outcome.failed and not outcome.counts["failed"]:
            total["failed"] += 1  # a part that is no pytest, or could not be run
    failed = [outcome.part.name for outcome in outcomes if outcome.failed]
    total["failed"] += expected - len(outcomes)
    say(
        f"\n{len(outcomes)} parts in {seconds:.0f} s"
        + (f"; failed: {', '.join(failed)} (.cache/reports)" if failed else "")
    )
    if not failed and not total["passed"] and any(outcome.part.pytest for outcome in outcomes):
        say("no test ran")
        failed = ["all"]
    if any(outcome.part.pytest for outcome in outcomes) or failed:
        say(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if failed or total["failed"] else 0


def say(text: str) -> None:
    """Print whole lines, one lane at a time."""
    with _saying:
        print(text, flush=True)


def end(child: subprocess.Popen[bytes]) -> None:
    """End a part's whole process group, a virtual machine that it left behind too.

    One that still runs is interrupted first: pytest then ends what its tests started, and a cloud is no child of it.
    """
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(60)
        os.killpg(child.pid, signal.SIGTERM)
        for _ in range(50):
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        return  # no member of the group is left


def end_children() -> None:
    """End every part that still runs."""
    for child in list(_children):
        end(child)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""docs/reference/instance.md names every state, key, step kind and finding id that the code has, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from gpuctl.errors import OperatorError
from gpuctl.moves import result
from gpuctl.moves.model import Finding, Statement
from gpuctl.moves.move import STRATEGIES
from gpuctl.moves.result import Result, Step

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs/reference/instance.md").read_text("utf-8")
MOVES = ROOT / "src/gpuctl/moves"
EMPTY = Result("s", "n", None, None, "", "done")


def section(title):
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_column(text):
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def test_states():
    states = {one for name, one in vars(result).items() if name.isupper() and isinstance(one, str)}
    assert first_column(section("States")) == states


def test_what_goes_on_says_so():
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", section("States"), re.MULTILINE))
    assert {state for state, again in rows.items() if again == "goes on with it"} == result.OPEN_ENDED


def test_keys_of_a_result():
    assert first_column(section("The documents")) == EMPTY.document().keys()
    for kind in (Step, Finding, Statement):
        assert "{" + ", ".join(f'"{one.name}"' for one in fields(kind)) + "}" in PAGE, kind


def test_what_recover_and_drain_add():
    from gpuctl.moves.drain.result import DrainResult
    from gpuctl.moves.recover.case import Case
    from gpuctl.moves.recover.run import not_read
    from gpuctl.moves.recover.step import Await, Plan
    from gpuctl.moves.recover.step import Step as RepairStep
    from gpuctl.output.recover_tables import _case, _result, _step

    text = section("The documents")
    found = not_read("s", OperatorError("b"))
    assert isinstance(found.plan, Plan)
    more = _result(found).keys() - EMPTY.document().keys()
    drained = DrainResult("c", "h", "r", (EMPTY,)).document()
    more |= drained.keys() - {"schema", "cloud", "results"}
    more |= drained["results"][0].keys() - EMPTY.document().keys()
    assert not [one for one in more if f"`{one}`" not in text]
    for said in (_case(Case("healthy", "t", ())), _step(RepairStep("s", "c", "t", "s", Await()))):
        assert "{" + ", ".join(f'"{one}"' for one in said) + "}" in text.replace("\n", " ")


def test_ways():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `strategy`"))
    assert not [one for one in (*STRATEGIES, "evacuate", "recover") if f"`{one}`" not in row]


def test_finding_ids():
    folders = ("guards", "proof", "drain")
    files = [MOVES / "planning.py", *(file for folder in folders for file in sorted((MOVES / folder).glob("*.py")))]
    known = set()
    for file in files:
        known |= set(re.findall(r'"((?:moved?|evacuated?)-[a-z-]+)"', file.read_text("utf-8")))
    documented = first_column(section("Before a move: guards")) | first_column(section("After a move: checks"))
    assert documented == known
    assert len(known) > 25

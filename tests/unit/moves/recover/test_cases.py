"""Every file of tests/cases/moves: what is seen of a server, and what recover makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpuctl.moves.recover.case import IDS
from gpuctl.moves.recover.diagnosis import diagnose
from gpuctl.moves.recover.plan import plan
from tests.unit.moves.recover.case_file import load

FILES = sorted((Path(__file__).parents[3] / "cases/moves").glob("*.yaml"))


def test_there_are_cases():
    assert len(FILES) >= 15


@pytest.mark.parametrize("path", FILES, ids=[one.stem for one in FILES])
def test_case(path):
    case, sight = load(path)
    want = case["expect"]
    cases = diagnose(sight)
    made = plan(sight, cases)
    assert [(one.id, one.certainty) for one in cases] == list(want["cases"].items())
    assert [one.id for one in made.steps] == want.get("steps", [])
    said = {
        "refused": [f"{what}: {why}" for what, why in made.refused],
        "advice": list(made.advice),
        "statements": [one.sql for one in made.statements],
    }
    for name, lines in said.items():
        assert len(lines) == len(want.get(name, [])), lines
        for line, words in zip(lines, want.get(name, []), strict=True):
            assert words in line


def test_every_case_is_documented():
    text = (Path(__file__).parents[4] / "docs/reference/recovery-cases.md").read_text("utf-8")
    assert sorted(re.findall(r"^### ([a-z-]+)$", text, re.MULTILINE)) == sorted(IDS)

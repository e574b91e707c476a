"""Every file below tests/cases/plan: a host's description and a prepare in, a plan or a refusal out."""

from __future__ import annotations

import pytest

yaml = pytest.importorskip("yaml")

from gpuctl_host.errors import UsageError  # noqa: E402 - only where YAML can be read
from tests.cases import loader, planning  # noqa: E402

FILES = loader.cases("plan")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_plan(path, tmp_path):
    case = planning.load(path)
    if "selector" in case["plan"]:
        with pytest.raises(UsageError) as caught:
            planning.plan(case, tmp_path)
        said = f"{caught.value.brief} {caught.value.details} {caught.value.resolution}"
        assert case["plan"]["selector"] in said
        return
    facts, made = planning.plan(case, tmp_path)
    wrong = list(planning.problems(case, made))
    assert not wrong, "\n".join(wrong)
    _lawful(facts, made)


def _lawful(facts, made):
    """What holds for every plan, whatever the host."""
    needed = {need.address for need in facts.needs or ()}
    for change in made.changes:
        assert change.reason, change
        assert change.target not in needed, f"{change.target} is what the host lives on"
        assert "new_id" not in change.target
    assert not {card.address for card in made.wish.cards} & needed or made.refusals
    for refusal in made.refusals:
        assert refusal.evidence, refusal
        assert refusal.fix, refusal


def test_there_are_plans():
    assert len(FILES) >= 25


@pytest.mark.parametrize(
    "text", ["why: x\nplan: {}\n", "why: x\nplan: {options: {audio: bind}}\n", "why: x\nplan: {refuse: [a]}\n"]
)
def test_a_plan_that_expects_nothing_is_an_error(text, tmp_path):
    path = tmp_path / "case.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"case\.yaml"):
        planning.load(path)

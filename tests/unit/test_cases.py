"""Every file below tests/cases/hosts and tests/cases/traps: a host's description in, findings out."""

from __future__ import annotations

import re

import pytest

yaml = pytest.importorskip("yaml")

from gpuctl_host.facts.render import facts_document  # noqa: E402 - only where YAML can be read
from tests.cases import loader  # noqa: E402

FILES = loader.cases("hosts", "traps")
STATUSES = {"pass", "warn", "fail", "skip"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_case(path, tmp_path):
    case = loader.load(path)
    loader.build(case, tmp_path)
    facts, _, document = loader.judge(case, tmp_path)
    wrong = list(loader.problems(case, document, facts_document(facts)))
    assert not wrong, "\n".join(wrong)
    _lawful(document, facts)


def _lawful(document, facts):
    """What holds for every host: the contract's own rules about findings."""
    addresses = {item.address for item in facts.pci or ()} | {"host"}
    for item in document["findings"]:
        assert item["status"] in STATUSES
        assert item["subject"] in addresses, item
        assert item["title"]
        assert item["evidence"], item
        assert item["fix"] or item["status"] not in ("warn", "fail"), item
        assert not item["fix"] or item["status"] != "pass", item
        assert "check itself failed" not in item["evidence"], item
    fails = {item["id"] for item in document["findings"] if item["status"] == "fail"}
    assert not (fails and document["ready"])
    for gpu in document["gpus"]:
        assert set(gpu["blockers"]) <= fails
        assert gpu["ready"] or not document["ready"]


def test_there_are_cases():
    assert len(FILES) > 100


@pytest.mark.parametrize(
    "text", ["why: nothing is expected", "why: x\nmust: []\n", "why: x\nmust: [a]\nmisspelled: 1\n"]
)
def test_a_case_that_expects_nothing_is_an_error(text, tmp_path):
    path = tmp_path / "case.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"case\.yaml"):
        loader.load(path)


def test_every_trap_is_met_by_something_that_exists():
    root = loader.HERE.parent
    text = (loader.HERE / "TRAPS.md").read_text("utf-8")
    assert "covered by:" not in text
    for name in re.findall(r"`([^`]+)`", text):
        if "*" in name or not (name.endswith(".yaml") or ".py" in name):
            continue
        path, _, test = name.removeprefix("tests/").partition("::")
        assert (root / path).is_file(), name
        assert f"def {test}(" in (root / path).read_text("utf-8") if test else True, name

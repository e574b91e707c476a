"""Every check of `gpuctl nova check`, by the cases in tests/cases/nova/ID.yaml: configurations in, findings out.

A case: why, release (none: not said), files (name -> text, read in this order), facts (host -> lines, see worlds.facts),
must: ["status id subject: words"], all of them in one such finding's title, evidence or fix; must_not: the same, with | and *.
"""

import pathlib
import re

import pytest
import yaml

from gpuctl.nova.hosts import host_of
from gpuctl.nova.lint.registry import CHECKS, check_document
from gpuctl.nova.lint.sources import read_services
from gpuctl.nova.lint.view import View
from gpuctl.nova.releases import parse_release
from tests.unit.nova import worlds

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "cases" / "nova"
KEYS = {"why", "release", "files", "facts", "must", "must_not"}
CASES = [
    (path.stem, number, case)
    for path in sorted(FOLDER.glob("*.yaml"))
    for number, case in enumerate(yaml.safe_load(path.read_text("utf-8")))
]


def findings(case, folder):
    for name, text in case["files"].items():
        (folder / name).write_text(text, "utf-8")
    services, _ = read_services([str(folder / name) for name in case["files"]])
    hosts = (
        tuple(host_of(worlds.facts(host, text), origin=host) for host, text in case["facts"].items())
        if "facts" in case
        else None
    )
    release = parse_release(str(case["release"])) if "release" in case else None
    return check_document(View(services, release, hosts))["findings"]


def fits(wish, finding):
    head, _, words = wish.partition(": ")
    status, name, subject = head.split(" ", 2) if head.count(" ") >= 2 else (*head.split(" "), "*")
    for pattern, value in ((status, finding["status"]), (name, finding["id"]), (subject, finding["subject"])):
        if pattern != "*" and value not in pattern.split("|"):
            return False
    said = " ".join((finding["title"], finding["evidence"], finding["fix"]))
    return all(word in said for word in words.split())


@pytest.mark.parametrize(("name", "number", "case"), CASES, ids=[f"{name}-{number}" for name, number, _ in CASES])
def test_case(name, number, case, tmp_path):
    assert set(case) <= KEYS
    assert case["why"]
    assert case.get("must") or case.get("must_not")
    found = findings(case, tmp_path)
    shown = "\n".join(
        f"{item['status']} {item['id']} {item['subject']}: {item['title']} | {item['evidence']} | {item['fix']}"
        for item in found
        if item["status"] != "pass"
    )
    for wish in case.get("must", ()):
        assert any(fits(wish, item) for item in found), f"{wish}\n--- found:\n{shown}"
    for wish in case.get("must_not", ()):
        assert not any(fits(wish, item) for item in found), f"{wish}\n--- found:\n{shown}"
    assert not [item for item in found if "the check itself failed" in item["evidence"]]


def test_every_check_has_a_case_in_which_it_objects_and_every_file_a_check():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {check.id for check in CHECKS}
    for check in CHECKS:
        wishes = [wish for name, _, case in CASES if name == check.id for wish in case.get("must", ())]
        assert any(re.match(rf"(fail|warn|skip) {check.id} ", wish) for wish in wishes), check.id


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_says_what_it_is_about(check):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", check.id)
    assert check.title.endswith("?")
    for text in (check.answers, check.matters, check.remedy):
        assert text.endswith(".")
    assert check.sources


def test_findings_that_fail_or_warn_all_say_what_was_read_and_what_to_do(tmp_path):
    for _, number, case in CASES:
        folder = tmp_path / f"{number}-{id(case)}"
        folder.mkdir()
        for item in findings(case, folder):
            assert item["doc"] == f"reference/nova-checks/{item['id']}.md"
            if item["status"] in ("fail", "warn"):
                assert item["evidence"]
                assert item["fix"]


@pytest.mark.parametrize("seed", range(20))
def test_lists_and_filter_lines_are_put_together_as_oslo_config_does_it(seed, tmp_path):
    import random

    from oslo_config import cfg

    from gpuctl.nova.lint.view import FILTER_LINES, WHITELISTS

    dice = random.Random(seed)
    files = []
    for number in range(3):
        rows = []
        for option in (*WHITELISTS, *FILTER_LINES):
            for _ in range(dice.choice([0, 0, 1, 2])):
                rows.append(f"[{option.section}]\n{option.name} = F{number}{len(rows)}\n")
        dice.shuffle(rows)
        files.append(tmp_path / f"{number}.conf")
        files[-1].write_text("".join(rows))
    conf = cfg.ConfigOpts()
    old = [
        cfg.DeprecatedOpt("passthrough_whitelist", group="pci"),
        cfg.DeprecatedOpt("pci_passthrough_whitelist", group="DEFAULT"),
    ]
    conf.register_opt(cfg.MultiStrOpt("device_spec", default=[], deprecated_opts=old), group="pci")
    line = cfg.ListOpt(
        "enabled_filters", default=[], deprecated_name="scheduler_default_filters", deprecated_group="DEFAULT"
    )
    conf.register_opt(line, group="filter_scheduler")
    conf([], default_config_files=[str(file) for file in files], default_config_dirs=[], project="none")
    services, _ = read_services([str(file) for file in files])
    view = View(services, None, None)
    assert [value.text for value in view.values(services[0], WHITELISTS)] == conf.pci.device_spec
    assert view.filters(services[0])[0] == conf.filter_scheduler.enabled_filters

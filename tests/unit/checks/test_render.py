"""The verdict: what blocks whom, what --strict changes, and Nagios' line."""

from __future__ import annotations

import json

from gpuctl_host.checks.nagios import nagios
from gpuctl_host.checks.registry import run_checks
from gpuctl_host.checks.render import check_document
from gpuctl_host.finding import Finding
from tests.unit.checks.factory import facts, function, gpu

ONE, TWO = "0000:01:00.0", "0000:02:00.0"


def found(name, status, subject="host"):
    return Finding(name, status, subject, f"{name} is {status}", "read | here", "do this" if status != "pass" else "")


def test_a_failure_of_the_host_blocks_every_gpu():
    document = check_document(facts(gpu(ONE), gpu(TWO)), [found("iommu-enabled", "fail")])
    assert document["ready"] is False
    assert [item["blockers"] for item in document["gpus"]] == [["iommu-enabled"], ["iommu-enabled"]]


def test_a_failure_of_one_gpu_blocks_that_one():
    document = check_document(
        facts(gpu(ONE), gpu(TWO)), [found("gpu-driver", "fail", ONE), found("gpu-driver", "pass", TWO)]
    )
    assert [(item["ready"], item["blockers"]) for item in document["gpus"]] == [(False, ["gpu-driver"]), (True, [])]
    assert document["ready"] is False


def test_a_failure_of_a_function_blocks_its_gpu():
    card = gpu(ONE, functions=[("audio", function("0000:01:00.1", "10de:10f0", "040300"))])
    document = check_document(facts(card), [found("audio-function", "fail", "0000:01:00.1")])
    assert document["gpus"][0]["blockers"] == ["audio-function"]


def test_a_warning_fails_only_when_strict():
    findings = [found("boot-vga", "warn", ONE)]
    host = facts(gpu(ONE))
    assert check_document(host, findings)["ready"] is True
    strict = check_document(host, findings, strict=True)
    assert strict["ready"] is False
    assert strict["gpus"][0]["blockers"] == ["boot-vga"]
    assert strict["findings"][0]["status"] == "warn"


def test_what_is_essential_must_be_known():
    assert check_document(facts(gpu(ONE)), [found("gpu-driver", "skip", ONE)])["ready"] is False
    assert check_document(facts(gpu(ONE)), [found("gpu-reset", "skip", ONE)])["ready"] is True


def test_the_document_is_json_with_the_contracts_keys():
    host = facts(gpu(ONE, driver="nouveau"))
    document = json.loads(json.dumps(check_document(host, run_checks(host))))
    assert set(document) == {"schema", "host", "ready", "gpus", "findings"}
    assert document["schema"] == "gpuctl.host.check/1"
    assert all(
        set(item) == {"id", "status", "subject", "title", "evidence", "fix", "doc"} for item in document["findings"]
    )


def test_nagios_says_the_worst_first():
    line, code = nagios([found("boot-vga", "warn", ONE), found("gpu-driver", "fail", ONE), found("a", "pass")])
    assert code == 2
    assert line.startswith(f"GPUCTL CRITICAL - {ONE} gpu-driver: ")
    assert line.endswith("| pass=1 warn=1 fail=1 skip=0")
    assert line.count("\n") == 0


def test_nagios_codes():
    assert nagios([found("a", "pass")])[1] == 0
    assert nagios([found("a", "warn")])[1] == 1
    assert nagios([found("a", "warn")], strict=True)[1] == 2
    assert nagios([found("iommu-enabled", "skip")])[1] == 3
    assert nagios([found("gpu-reset", "skip")])[1] == 0


def test_nagios_has_one_bar_and_one_line():
    odd = Finding("a", "fail", "host", "one | two\nthree", "", "x")
    line, _ = nagios([odd] * 5)
    assert line.count("|") == 1
    assert "\n" not in line
    assert "and 2 more" in line

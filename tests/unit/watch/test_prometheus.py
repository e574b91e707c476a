"""The metrics, read by a parser of the text format's own grammar."""

from __future__ import annotations

import json
import re

from gpuctl_host import entry
from gpuctl_host.checks.prometheus import prometheus
from gpuctl_host.finding import Finding
from tests.unit.checks.factory import facts, gpu

ONE = "0000:01:00.0"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (-?[0-9]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\n"])*)"')
BACK = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def parse(text: str) -> dict[tuple, int]:
    found, typed = {}, set()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP|TYPE) gpuctl_[a-z_]+ .+", line)
            typed.add(line.split()[2])
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        labels = tuple(
            (name, re.sub(r'\\[\\n"]', lambda one: BACK[one[0]], value))
            for name, value in LABEL.findall(match[2] or "")
        )
        assert match[1] in typed
        assert (match[1], labels) not in found, f"twice: {line}"
        found[match[1], labels] = int(match[3])
    return found


def test_what_stands_is_a_metric_with_one_thing_to_do():
    findings = [
        Finding("gpu-driver", "fail", ONE, "on nouveau", "read", "run `gpuctl host prepare`"),
        Finding("gpu-driver", "fail", ONE, "on nouveau", "read again", "run `gpuctl host prepare`"),
        Finding("drift", "warn", "host", 'a "quoted"\nback\\slash', "", "do\r\nthis"),
        Finding("gpu-present", "pass", "host", "there"),
    ]
    text = prometheus(facts(gpu(ONE)), findings, at=1_700_000_000.9)
    found = parse(text)
    assert found["gpuctl_host_ready", ()] == 0
    assert found["gpuctl_host_findings", (("status", "fail"),)] == 2
    assert found["gpuctl_host_check_timestamp_seconds", ()] == 1_700_000_001
    problems = [dict(labels) for name, labels in found if name == "gpuctl_host_problem"]
    assert [(item["id"], item["title"]) for item in problems] == [
        ("gpu-driver", "on nouveau"),
        ("drift", 'a "quoted"\nback\\slash'),
    ]
    assert all(item["fix"] for item in problems)
    assert [
        value
        for (name, labels), value in found.items()
        if name == "gpuctl_gpu_ready" and dict(labels)["address"] == ONE
    ] == [0]


def test_a_ready_host_has_no_problem():
    found = parse(prometheus(facts(gpu(ONE)), [Finding("gpu-present", "pass", "host", "there")], at=1))
    assert found["gpuctl_host_ready", ()] == 1
    assert not [name for name, _ in found if name == "gpuctl_host_problem"]


def test_undecodable_names_stay_utf8():
    text = prometheus(facts(gpu(ONE)), [Finding("x", "warn", "\udcff", "t", "", "f")], at=1)
    assert parse(text.encode().decode())


def test_the_entry_answers_with_the_text_and_checks_code(tmp_path):
    (tmp_path / "sys").mkdir()
    events = []
    code = entry.serve({"command": "check", "prometheus": True, "root": str(tmp_path)}, events.append)
    assert code == 1
    assert parse(events[-1]["document"]["text"])["gpuctl_host_ready", ()] == 0
    assert json.dumps(events)

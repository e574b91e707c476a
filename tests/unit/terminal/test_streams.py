"""Streams that are closed, full, gone or poor in letters: one clear error or none, the true exit code, nothing half done unsaid."""

from __future__ import annotations

import json

import pytest

from tests.sim import SimHost, worlds

MIGRATE = ("instance", "migrate", "train-0")


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_no_reason_to_fail(closed, sit, cloud):
    at = sit(cloud, *MIGRATE, "--dry-run", **{closed: "closed"})
    assert at.end() == 0
    assert ("gpu17 -> gpu18" in at.text) == (closed != "stdout")
    at.tidy()


@pytest.mark.slow
def test_no_file_of_ours_gets_the_number_of_a_closed_stream(sit, cloud, tmp_path):
    """Where stdout is closed, the next file that is opened would be number 1: the result would be in the journal."""
    at = sit(cloud, *MIGRATE, "--yes", "-f", "json", stdin="closed", stdout="closed", stderr="closed")
    assert at.end() == 0
    assert cloud.server("train-0").host == "gpu18"
    for file in (tmp_path / "state").rglob("*.jsonl"):
        assert all(json.loads(line) for line in file.read_text().splitlines()), file


@pytest.mark.slow
@pytest.mark.parametrize("how", [("--dry-run",), ("--yes",), ("--yes", "-f", "json")], ids=" ".join)
def test_a_full_disk_below_stdout_is_said_and_the_trail_is_kept(how, sit, cloud, tmp_path):
    at = sit(cloud, *MIGRATE, *how, stdout="/dev/full")
    assert at.end() == 1
    assert "gpuctl: stdout cannot be written: No space left on device\n  what was done is done" in at.text
    if "--yes" in how:
        assert cloud.server("train-0").host == "gpu18"
        assert '"result":"done"' in (tmp_path / "state/gpuctl/audit.jsonl").read_text()
    at.tidy()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "json", "csv", "nagios"])
def test_a_fleet_s_answers_that_are_printed_in_pieces(form, sit):
    """The host refuses the connection: exit code 6, whoever reads it or not; with nagios, UNKNOWN."""
    asked = ("fleet", "check", "-i", "127.0.0.1:1,", "--ssh-config", "none", "-f", form)
    at = sit(None, *asked, stdout="head")
    assert at.end() == (3 if form == "nagios" else 6)
    at.tidy()
    at = sit(None, *asked, stdout="/dev/full")
    assert at.end() == 1
    assert "gpuctl: stdout cannot be written: No space left on device\n" in at.text
    at.tidy()


def test_a_full_disk_below_stderr_does_not_change_the_exit_code(sit, cloud):
    assert sit(cloud, "instance", "migrate", "nobody", stderr="/dev/full").end() == 2


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_has_gone_does_not_change_the_exit_code(form, sit, cloud, scene):
    """`gpuctl host check | true` with pipefail: a host that is not ready does not become ready by that."""
    at = sit(cloud, *MIGRATE, "--yes", "-f", form, stdout="head")
    assert at.end() == 0
    assert cloud.server("train-0").host == "gpu18"
    at.tidy()
    SimHost(worlds.two_gtx1080(), scene / "host")
    at = sit(None, "host", "check", "--root", scene / "host", "-f", form, stdout="head")
    assert at.end() == 1
    at.tidy()


@pytest.mark.slow
@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=str)
def test_a_terminal_that_is_not_to_be_painted_gets_no_colours(env, sit, cloud):
    at = sit(cloud, *MIGRATE, "--yes", env=env)
    assert at.end() == 0
    assert "\x1b" not in at.raw
    at.tidy()


@pytest.mark.slow
@pytest.mark.parametrize("words", [("instance", "drain", "gpu17", "--yes"), ("flavor", "list")], ids=" ".join)
def test_a_dumb_terminal_is_not_drawn_on(words, sit, cloud):
    at = sit(cloud, *words, env={"TERM": "dumb"})
    at.end()
    assert "\x1b" not in at.raw
    at.tidy()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_pipes_get_no_escape_codes(form, sit, cloud):
    at = sit(cloud, *MIGRATE, "--yes", "-f", form, stdout="pipe", stderr="pipe")
    assert at.end() == 0
    assert at.err == ""
    assert "train-0" in at.out
    at.tidy()


POOR = (
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
)


@pytest.mark.slow
@pytest.mark.parametrize("env", POOR, ids=str)
def test_a_locale_without_the_signs_is_no_reason_to_fail(env, sit, cloud):
    at = sit(cloud, *MIGRATE, "--yes", env=env, stdout="pipe")
    assert at.end() == 0
    assert at.text.count("unforeseen") == 0
    at.tidy()


def test_pass_and_fail_differ_without_the_signs(sit, scene):
    SimHost(worlds.two_gtx1080(), scene / "host")
    at = sit(None, "host", "check", "-v", "--root", scene / "host", env={"PYTHONIOENCODING": "latin-1"}, stdout="pipe")
    assert at.end() == 1
    assert {line[0] for line in at.out.splitlines() if line[1:2] == " " and line[0] != " "} >= {"+", "x", "!"}, at.out


@pytest.mark.slow
def test_a_bar_has_plain_letters_where_there_are_no_others(sit, cloud):
    at = sit(cloud, "instance", "drain", "gpu17", "--yes", env={"PYTHONIOENCODING": "latin-1"})
    assert at.end() == 0
    assert "#" in at.raw or "-" * 20 in at.raw
    assert "\\u25" not in at.raw
    at.tidy()

"""`gpuctl host ...` as a user meets it: exit codes, streams, formats, consent. On a simulated host, in process."""

from __future__ import annotations

import json
import tarfile

import pytest

click = pytest.importorskip("click")

from gpuctl.cli.main import main  # noqa: E402 - only where the operator's half is installed
from tests.sim import worlds  # noqa: E402
from tests.sim.host import Fault, SimHost  # noqa: E402


@pytest.fixture
def host(tmp_path):
    return SimHost(worlds.two_gtx1080(), tmp_path / "root")


@pytest.fixture
def gpuctl(host, capsys):
    """Run a command line; return (exit code, stdout, stderr)."""

    def run(*words):
        code = main(list(words), obj={"host_factory": lambda _root: host})
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_check_says_not_ready_and_json_is_alone_on_stdout(gpuctl):
    code, out, err = gpuctl("host", "check", "-f", "json")
    document = json.loads(out)
    assert (code, document["ready"], document["schema"]) == (1, False, "gpuctl.host.check/1")
    assert err == ""


def test_facts_in_every_format_say_the_same(gpuctl):
    _, text, _ = gpuctl("host", "facts", "-f", "json")
    facts = json.loads(text)
    _, text, _ = gpuctl("host", "facts", "-f", "yaml")
    same = pytest.importorskip("yaml").safe_load(text)
    assert (
        [gpu["address"] for gpu in facts["gpus"]]
        == [gpu["address"] for gpu in same["gpus"]]
        == ["0000:42:00.0", "0000:84:00.0"]
    )
    code, table, _ = gpuctl("host", "facts")
    assert code == 0
    assert "0000:42:00.1" in table


def test_nagios_has_its_own_codes_and_one_line(gpuctl):
    code, out, _ = gpuctl("host", "check", "-f", "nagios")
    assert code == 2
    assert out.startswith("GPUCTL CRITICAL - ")
    assert out.count("\n") == 1


def test_prepare_without_a_terminal_and_without_yes_changes_nothing(gpuctl, host):
    before = host.snapshot("/etc", "/boot", "/usr", "/var")
    code, _, err = gpuctl("host", "prepare")
    assert code == 2
    assert "--yes" in err
    assert host.snapshot("/etc", "/boot", "/usr", "/var") == before


def test_dry_run_is_the_plan_and_changes_nothing(gpuctl, host):
    before = host.snapshot("/etc", "/boot", "/usr", "/var")
    code, out, _ = gpuctl("host", "prepare", "--dry-run", "-f", "json")
    plan = json.loads(out)
    assert code == 0
    assert plan["schema"] == "gpuctl.host.plan/1"
    assert {change["kind"] for change in plan["changes"]} >= {"file", "generated"}
    assert all(change["reason"] for change in plan["changes"])
    assert host.snapshot("/etc", "/boot", "/usr", "/var") == before


def test_from_stock_to_ready_and_back(gpuctl, host):
    drivers = host.drivers()
    files = host.snapshot("/etc", "/boot", "/usr")
    code, _, err = gpuctl("host", "prepare", "--yes")
    assert (code, err) == (4, "")
    host.reboot()
    code, out, _ = gpuctl("host", "check", "-f", "json")
    assert code == 0, [item for item in json.loads(out)["findings"] if item["status"] == "fail"]
    code, out, _ = gpuctl("host", "prepare", "--yes", "-f", "json")
    assert (code, json.loads(out)["run"]) == (0, None)
    code, _, _ = gpuctl("host", "restore", "--yes")
    assert code in (0, 4)
    host.reboot()
    assert host.snapshot("/etc", "/boot", "/usr") == files
    assert host.drivers() == drivers
    code, out, _ = gpuctl("host", "history", "-f", "json")
    assert [(run["verb"], run["state"]) for run in json.loads(out)["runs"]] == [
        ("prepare", "undone"),
        ("restore", "done"),
    ]


def test_refusal_is_exit_3_with_a_reason(gpuctl, host):
    host.hold("0000:42:00.0")
    code, out, _ = gpuctl("host", "prepare", "--yes", "-f", "json")
    assert code == 3
    assert "gpu-in-use" in {item["id"] for item in json.loads(out)["refusals"]}


def test_a_capture_reads_back_to_the_same_cards(gpuctl, tmp_path):
    file = tmp_path / "c.tar.gz"
    code, out, _ = gpuctl("host", "capture", str(file))
    assert code == 0
    assert "without serials" in out
    assert file.stat().st_mode & 0o777 == 0o600
    tree = tmp_path / "tree"
    with tarfile.open(file) as archive:
        archive.extractall(tree, filter="data")
    _, out, _ = gpuctl("host", "facts", "-f", "json")
    assert main(["host", "facts", "--root", str(tree), "-f", "json"]) == 0
    assert [gpu["address"] for gpu in json.loads(out)["gpus"]] == ["0000:42:00.0", "0000:84:00.0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("host", "prepare", "--gpu", "99:00.0"), "99:00.0"),
        (("host", "prepare", "--audio", "drop"), "drop"),
        (("host", "facts", "--vendor", "0x10de"), "10de"),
        (("host", "chekc"), "chekc"),
        (("host", "history", "--run", "../../etc"), "no run"),
        (("host", "restore", "--run", "20200101T000000Z-0000", "--yes"), "no run"),
    ],
)
def test_wrong_words_are_exit_2_and_one_message(gpuctl, words, said):
    code, out, err = gpuctl(*words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_no_color_and_no_terminal_have_no_escapes(gpuctl):
    _, out, err = gpuctl("host", "check", "--no-color")
    assert "\x1b" not in out + err
    _, out, err = gpuctl("host", "check")
    assert "\x1b" not in out + err


def test_an_unforeseen_error_is_a_message_and_debug_shows_the_traceback(capsys):
    def broken(_root):
        raise RuntimeError("boom")

    assert main(["host", "facts"], obj={"host_factory": broken}) == 1
    assert "boom" in (err := capsys.readouterr().err)
    assert "Traceback" not in err
    assert main(["host", "facts", "--debug"], obj={"host_factory": broken}) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_failed_prepare_says_of_each_step_what_became_of_it(gpuctl, host):
    host.faults["update-initramfs"] = Fault("fail")
    code, out, _ = gpuctl("host", "prepare", "--yes", "-f", "json")
    states = [step["state"] for step in json.loads(out)["changes"]]
    failed = states.index("failed")
    assert code == 1
    assert set(states[:failed]) == {"undone"}
    assert set(states[failed + 1 :]) <= {"not begun"}

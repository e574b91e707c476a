"""The entry: whatever the request is, one result or one error comes out, and never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl_host.entry import serve

HERE = Path(__file__).resolve().parents[2] / "host_prep"


def ask(request):
    events = []
    code = serve(request, events.append)
    return code, events


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"command": None},
        {"command": "format-disk"},
        {"command": ["facts"]},
        {"command": "facts", "root": 7},
        {"command": "facts", "root": "/no/such/folder"},
        {"command": "facts", "surprise": 1},
        {"command": "facts", "vendors": ["0x10de"]},
        {"command": "facts", "vendors": "10de"},
        {"command": "facts", "vendors": [["10de"]]},
        {"command": "facts", "vendors": ["10DE"]},
        {"command": "prepare", "phase": "destroy"},
        {"command": "prepare", "audio": "louder"},
        {"command": "prepare", "gpus": [1]},
        {"command": "capture"},
        {"command": "history", "run": "../.."},
        {"command": "check", "strict": "yes"},
    ],
)
def test_a_wrong_request_is_one_error_with_what_to_do(request_, tmp_path):
    request_ = {"root": str(tmp_path), **request_} if request_.get("command") else request_
    code, events = ask(request_)
    assert code == 2
    assert [event["event"] for event in events] == ["error"]
    assert events[0]["brief"]
    assert events[0]["resolution"]
    assert events[0]["exit_code"] == 2


@pytest.mark.parametrize("command", ["facts", "check", "prepare", "restore", "history"])
def test_an_empty_tree_is_unknown_not_a_traceback(command, tmp_path):
    code, events = ask({"command": command, "root": str(tmp_path)})
    assert events[-1]["event"] == "result", events
    assert code in (0, 1, 3)


def test_the_module_speaks_json_lines(tmp_path):
    request = json.dumps({"command": "facts", "root": str(tmp_path)})
    done = subprocess.run(
        [sys.executable, "-m", "gpuctl_host"],
        input=request,
        capture_output=True,
        text=True,
        cwd=HERE,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (event,) = (json.loads(line) for line in done.stdout.splitlines())
    assert event["document"]["schema"] == "gpuctl.host.facts/1"


def test_the_module_answers_junk_with_an_error_event():
    done = subprocess.run(
        [sys.executable, "-m", "gpuctl_host", "{junk"],
        capture_output=True,
        text=True,
        cwd=HERE,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["event"] == "error"
    assert "Traceback" not in done.stderr

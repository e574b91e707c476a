"""The modules and odd answers of the host's half: a real ansible-playbook, and a half that says what it is told to say."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import pytest

pytest.importorskip("ansible_runner")

from gpuctl.fleet.ansible.collection import ARCHIVE, WHERE, sources
from gpuctl_host.checks.render import ESSENTIAL

pytestmark = [pytest.mark.e2e, pytest.mark.machine, pytest.mark.timeout(120)]
CHECK, PREPARE = "gpuctl.host.check", "gpuctl.host.prepare"
CHECK_SOURCE = sources() / "plugins/modules/check.py"
UNKNOWN = {
    "id": "gpu-driver", "status": "skip", "subject": "0000:42:00.0", "title": "Which driver has the card?",
    "evidence": "driver cannot be read: Input/output error", "fix": "see the kernel log", "doc": "",
}  # fmt: skip
NOT_KNOWN = {"host": "h1", "ready": False, "gpus": [], "findings": [{**UNKNOWN, "id": "gpu-reset"}, UNKNOWN]}
BY_HAND = "build the unified kernel image anew"
PLAN = {
    "host": "h1", "verb": "prepare", "fingerprint": "f", "changes": [], "reboot": [], "manual": [BY_HAND],
    "notes": [], "refusals": [], "unfinished": [],
}  # fmt: skip


@pytest.fixture(params=["see the kernel log", ""])
def fix(request):
    """What the half says to do, or nothing."""
    return request.param


@pytest.fixture
def said(fix):
    """What the half answers: (document, exit code)."""
    not_known = {**NOT_KNOWN, "findings": [{**one, "fix": fix} for one in NOT_KNOWN["findings"]]}
    return {"check": (not_known, 1), "prepare": (PLAN, 0)}


@pytest.fixture
def installed(installed, said, tmp_path):
    """The collection with that half in it."""
    place = shutil.copytree(installed, tmp_path / "with-half")
    events = {
        name: {"event": "result", "document": document, "exit_code": code} for name, (document, code) in said.items()
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as half:
        half.writestr(
            "__main__.py", f"import json, sys\nprint(json.loads({json.dumps(events)!r})[json.load(sys.stdin)['command']])"
            .replace("print(", "print(json.dumps(").replace("['command']])", "['command']]))"),
        )  # fmt: skip
    (place / WHERE / ARCHIVE).write_text(f"def archive():\n    return {data.getvalue()!r}\n")
    return place


def test_a_host_of_which_too_little_is_known_fails_and_says_what(play, fix):
    done = play("check", {"h1": {}})
    result = done.one(CHECK)
    assert done.code == 2
    assert result["msg"] == "not ready: gpu-driver (0000:42:00.0): driver cannot be read: Input/output error"
    assert result["resolution"] == (fix or "let it be read: `gpuctl host check` on that host says what was looked at")
    assert result["ready"] is False
    assert [one["id"] for one in result["findings"]] == ["gpu-driver"]
    assert "Traceback" not in done.said
    assert f"ESSENTIAL = {json.dumps(ESSENTIAL)}".replace("[", "(").replace("]", ")") in CHECK_SOURCE.read_text()


def test_what_is_left_to_a_person_is_a_warning_and_nothing_deprecated(play):
    done = play("prepare", {"h1": {}}, "--check")
    assert done.code == 0, done.said
    assert f"by hand: {BY_HAND}" in done.said
    assert "DEPRECAT" not in done.said

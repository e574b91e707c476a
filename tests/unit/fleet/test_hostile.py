"""Hosts that were taken over: one says what it likes, and the others' answers, the operator's terminal and the exit code are safe."""

from __future__ import annotations

import copy
import json

import click
import pytest

from gpuctl.fleet import ask as asking
from gpuctl.fleet.ansible.answers import answer
from gpuctl.fleet.runner import Outcome, Target
from gpuctl.output import fleet_forms, fleet_tables
from gpuctl.remote.answer import Words
from gpuctl.remote.endpoint import Endpoint
from gpuctl.remote.errors import BadAnswer, HostSaid
from gpuctl.remote.host import RemoteHost, _Said
from gpuctl.remote.untrusted import parse, plain
from tests.unit.fleet.test_runs import document, finding
from tests.unit.fleet_change.ansible_sim import event

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj\ud800"
GOOD = document("good", finding("iommu-enabled"))


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def harmless(text: str) -> bool:
    return all(char in "\n\t" or char.isprintable() for char in click.unstyle(text))


def changed(path: str, value: object) -> dict:
    """A good answer with one thing in it replaced; "-" takes it away."""
    found = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    at = found
    for key in way:
        at = at[int(key) if key.isdigit() else key]
    if value == "-":
        del at[last]
    else:
        at[int(last) if last.isdigit() else last] = value
    return found


@pytest.mark.parametrize("bad", [
    {}, changed("findings", "-"), changed("findings", "x"), changed("findings", {"a": 1}), changed("findings.0", 7),
    changed("findings.0.status", "excellent"), changed("findings.0.status", ["fail"]), changed("findings.0.id", "\x1b[2J"),
    changed("findings.0.id", 'x"} 1\nevil 1'), changed("findings.0.title", 5), changed("findings.0.title", "x" * 501),
    changed("findings.0.fix", None), changed("findings.0.evidence", "-"), changed("findings.0.subject", []),
    changed("findings", [GOOD["findings"][0]] * 20_001), changed("ready", "yes"), changed("gpus", None), changed("gpus", [1]),
    changed("host", "../../etc/nova/nova"), changed("host", 5), changed("host", "a\nb"), changed("host", "x" * 300),
    changed("facts", []), changed("facts.gpus", "x"), changed("facts.iommu", None), changed("facts.iommu.enabled", "no"),
    changed("facts.kernel.release", 6), changed("facts.kernel", "-"), changed("facts.gpus", [{"address": "x", "name": 3}]),
], ids=lambda bad: json.dumps(bad)[:0])  # fmt: skip
def test_an_answer_of_another_form_is_that_hosts_error_alone(monkeypatch, bad):
    def both(targets, request, **_):
        yield Outcome(targets[0], 0.1, copy.deepcopy(bad))
        yield Outcome(targets[1], 0.1, copy.deepcopy(GOOD))

    monkeypatch.setattr(asking, "ask_all", both)
    targets = [Target(host, ("gpu",), lambda: None) for host in ("taken", "good")]
    run, summary = asking.ask(asking.Question(check=True), targets, lambda *_: None)
    assert summary.states == {"taken": "failed", "good": "not-ready"}
    assert summary.exit_code() == 5
    assert next(run.hosts())["error"]["code"] == "bad-answer"
    for form in ("json", "yaml", "jsonl", "csv", "prom", "junit"):
        assert harmless("".join(fleet_forms.pieces(run, form))), form
    assert harmless(fleet_tables.check_summary(run, verbose=True))


def test_what_a_good_answer_may_hold_is_taken():
    for good in (GOOD, changed("host", None), changed("facts", None), changed("facts.kernel.release", None)):
        asking.sound("h", good, check=True)
    with pytest.raises(BadAnswer):
        asking.sound("h", GOOD, check=False)


@pytest.mark.parametrize(
    "data", [b'{"event": NaN}', b'{"a": ' + b"[" * 100_000, b"[" * 200_000 + b"]" * 200_000, b'{"a": -Infinity}']
)
def test_no_json_of_a_program(data):
    with pytest.raises(ValueError, match=r".") as error:
        parse(data)
    assert not isinstance(error.value, RecursionError)


@pytest.mark.parametrize("escaped", ["{}", "\\u{:04x}"])
def test_no_character_of_a_terminals_comes_through_json(escaped):
    for code in (*range(9), *range(11, 32), 0x7F, 0x9B, 0x202E, 0xFEFF):
        line = ('{"title": "a' + escaped.format(code if "x" in escaped else chr(code)) + 'b"}').encode()
        try:
            title = parse(line)["title"]
        except ValueError:
            assert escaped == "{}"
            assert code < 32  # no JSON
        else:
            assert harmless(title), hex(code)
            assert title != "ab"


def test_nothing_acts_on_the_terminal():
    words = Words()
    words.feed(json.dumps({"event": "result", "document": {"findings": [{"title": ESCAPE}], ESCAPE: 1}}).encode())
    words.feed(b"\n" + ESCAPE.encode("utf-8", "surrogatepass") + b"\n")
    raw = '{"event": "result", "document": {"raw": "\x1b[2J \x9b1m \u202e \x7f"}}'
    words.end()
    assert harmless(json.dumps(words.last, ensure_ascii=False))
    assert harmless(words.noise)
    assert words.last["document"]["findings"][0]["title"].startswith("\\x1b]0;owned\\x07")
    words.feed(raw.replace("\x1b", "\\u001b").encode() + b"\n")
    assert harmless(words.last["document"]["raw"])
    assert plain("a\tb\r\nc\n✔ ü 漢") == "a\tb\nc\n✔ ü 漢"


def said(**last):
    words = Words()
    words.feed(json.dumps(last).encode() + b"\n")
    return RemoteHost(Endpoint("h", "h"))._judge(words, _Said())


@pytest.mark.parametrize("code", [256, 0, 0.5, -1, True, "0", "x", None, [], 10**30])
def test_a_host_does_not_choose_our_exit_code(code):
    with pytest.raises(HostSaid) as error:
        said(event="error", code="x\x1b[y", brief=ESCAPE * 500, details="d", resolution=None, exit_code=code)
    assert error.value.exit_code == 1
    assert error.value.code == "x-x1b-y"
    assert len(error.value.brief) <= 600
    assert harmless(error.value.brief)
    assert said(event="result", document={}, exit_code=code)[1] == 0


@pytest.mark.parametrize("result", [
    "text", [], 7, {"changes": "x", "findings": 3, "reboot_reasons": {"a": 1}, "diff": "x", "fingerprint": [1]},
    {"changes": [1, None, {"kind": 5}], "findings": [[]], "refusals": 1, "refused": "yes", "exit_code": "0", "ready": "yes", "gpus": 3},
    {"msg": ["a"], "ready": True, "gpus": [{"address": 1}, 5], "findings": [{"id": ESCAPE}], "resolution": {"a": ESCAPE}, "run": ESCAPE * 90},
    {"changes": [{"kind": ESCAPE, "target": ESCAPE, "state": "done", "reason": None}], "diff": [{"prepared": ESCAPE}, 3],
     "reboot_required": True, "reboot_reasons": [ESCAPE, 4], "msg": ESCAPE, "warnings": ESCAPE},
])  # fmt: skip
@pytest.mark.parametrize("action", ["gpuctl.host.prepare", "gpuctl.host.check", "ansible.builtin.reboot"])
@pytest.mark.parametrize("kind", ["ok", "failed", "unreachable"])
def test_whatever_a_module_answers_is_a_state_that_can_be_shown(result, action, kind):
    from gpuctl.fleet.run_state import HostState, Wish, plan_document, run_document
    from gpuctl.output.fleet_run_tables import plan_table, run_table

    wish = Wish("prepare", ("/i",), "", 1, (), 10.0, {})
    for check_mode in (True, False):
        state = answer(event(f"runner_on_{kind}", "h", action, result), check_mode=check_mode)
        if state is None:
            continue
        HostState.of(json.loads(json.dumps(state.document())))
        ran = run_document("r", wish, [state], stopped="", interrupted=False, before=frozenset())
        assert harmless(run_table(ran) + json.dumps(ran, ensure_ascii=False))
        assert harmless(plan_table(plan_document(wish, [state]), verbose=True))

"""The journal of a changing run: cut off anywhere, held by another, damaged, of another version."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("click")

from gpuctl import own_state
from gpuctl.fleet.run_state_journal import Journal, JournalFailed, JournalHeld, JournalMissing, folder, last_document
from tests.unit.fleet_change.runs import fleet, run, wish


class TestJournal:
    def test_killed_after_any_byte_it_knows_no_less_than_was_settled_and_no_more(self):
        ansible = fleet(3)
        run(ansible, wish(variables={"prepare_gpus": ["all"]}))
        (path,) = folder().glob("*.jsonl")
        whole = path.read_bytes()
        head = whole.index(b"\n") + 1
        for cut in range(head, len(whole), 7):
            path.write_bytes(whole[:cut])
            settled = {json.loads(line)["host"] for line in whole[:cut].split(b"\n")[1:-1] if b'"host":' in line}
            with Journal.load(path.stem) as journal:
                known = {host for host, state in journal.states.items() if state.state == "reboot-needed"}
                assert known == settled or known - settled <= {"h3"}, (
                    cut
                )  # a whole last line without its line end counts
                assert journal.wish == wish(variables={"prepare_gpus": ["all"]})
                journal.write({"note": 1})
            assert path.read_bytes().endswith(b"}\n")
            with Journal.load(path.stem) as journal:
                assert {host for host, state in journal.states.items() if state.state == "reboot-needed"} == known

    def test_two_at_one_run_are_one_too_many(self):
        with Journal.new(wish(), ["h1"]) as journal, pytest.raises(JournalHeld) as error:
            Journal.load(journal.run)
        assert error.value.exit_code == 75
        assert f"pid {os.getpid()}" in str(error.value)

    def test_it_is_locked_before_it_is_read(self, monkeypatch):
        with Journal.new(wish(), ["h1"]) as journal:
            pass
        read = Path.read_bytes

        def watched(path: Path) -> bytes:
            with pytest.raises(own_state.Held):
                own_state.refuse_held(path.with_suffix(".lock"))
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", watched)
        Journal.load(journal.run).__exit__(None, None, None)

    def test_what_could_not_be_read_is_nobodys(self):
        folder().mkdir(parents=True)
        (folder() / "x.jsonl").write_text("{}\n")
        for _ in range(2):
            with pytest.raises(JournalFailed):
                Journal.load("x")

    def test_it_is_the_users_alone(self):
        with Journal.new(wish(), ["h1"]) as journal:
            path = folder() / f"{journal.run}.jsonl"
            assert path.stat().st_mode & 0o077 == 0
            assert folder().stat().st_mode & 0o077 == 0

    def test_no_such_run(self):
        with pytest.raises(JournalMissing):
            Journal.load("last")
        folder().mkdir(parents=True)
        (folder() / "x.jsonl").write_text("{}\n")
        with pytest.raises(JournalFailed):
            Journal.load("x")


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head["wish"].update(newer=1),
        lambda head: head["wish"].pop("canary"),
        lambda head: head.pop("hosts"),
        lambda head: head.update(wish=[]),
    ],
)
def test_a_journal_of_another_version_is_told_as_one(change):
    with Journal.new(wish(), ["gpu01"]):
        pass
    (path,) = folder().glob("*.jsonl")
    head = json.loads(path.read_text())
    change(head)
    path.write_text(json.dumps(head) + "\n")
    for read in (lambda: Journal.load("last"), lambda: last_document("prepare")):
        with pytest.raises(JournalFailed, match="of another version"):
            read()

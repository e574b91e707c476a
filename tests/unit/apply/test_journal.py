"""The journal: a torn end is no harm, a broken middle is said, and no bytes make a traceback."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuctl_host.apply.files import Files
from gpuctl_host.apply.history import read_history, run_diff
from gpuctl_host.apply.journal import Journal, new_run_id, read_run, read_runs
from gpuctl_host.apply.recover import recover
from gpuctl_host.apply.retell import retell
from gpuctl_host.errors import JournalBroken, UsageError

from .plans import file_changes, generated_changes, live_changes, plan_of, prepare, restore
from .toy import ToyHost, make_root
from .trees import read, tree

RUN = "20261120T185155Z-3f2a"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A real journal: its run and its bytes."""
    where = str(tmp_path_factory.mktemp("journal") / "root")
    make_root(where)
    host = ToyHost(where)
    outcome = prepare(host, plan_of(*file_changes(where), *generated_changes(), *live_changes()))
    return outcome.run, read(where, f"/var/lib/gpuctl/runs/{outcome.run}/journal.jsonl")


def journal_path(root, run):
    return f"{root}/var/lib/gpuctl/runs/{run}/journal.jsonl"


def test_every_prefix_is_understood(sample):
    run, data = sample
    for size in range(0, len(data), 13):
        whole = data[: data.rfind(b"\n", 0, size) + 1]
        told = retell("journal", run, whole)
        assert (told is None) == (b"\n" not in data[:size])


def test_a_torn_end_is_cut_off_before_the_next_line(root):
    host = ToyHost(root, live=False)
    outcome = prepare(host, plan_of(*file_changes(root)))
    path = journal_path(root, outcome.run)
    size = os.path.getsize(path)
    with open(path, "ab") as file:
        file.write(b'{"entry":"rest')
    assert read_run(host, outcome.run) is not None
    Journal(Files(host), outcome.run).close()
    assert os.path.getsize(path) == size
    with open(path, "ab") as file:
        file.write(b"\0" * 4096)  # what some file systems leave after a power cut
    assert restore(host).error is None and read_run(host, outcome.run).restored_by is not None


@pytest.mark.parametrize(
    "bad",
    [b"\n", b"{}\n", b"garbage\n", b'{"entry":"done","n":99,"at":"2026-11-20T00:00:00Z"}\n', b"[1]\n", b"\xff\xfe\n"],
)
def test_a_broken_middle_is_said_with_its_place(root, bad):
    host = ToyHost(root, live=False)
    outcome = prepare(host, plan_of(*file_changes(root)))
    before = tree(root)
    path = journal_path(root, outcome.run)
    with open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    with open(path, "wb") as file:
        file.write(b"".join([*lines[:3], bad, *lines[3:]]))
    with pytest.raises(JournalBroken, match="line 4"):
        restore(host)
    with pytest.raises(JournalBroken):
        read_history(host)
    assert tree(root) == before


def test_a_newer_journal_is_not_guessed_at(sample):
    run, data = sample
    newer = data.replace(b"gpuctl.host.journal/1", b"gpuctl.host.journal/2")
    with pytest.raises(JournalBroken, match="line 1"):
        retell("journal", run, newer)


def test_what_a_later_version_adds_is_no_harm(sample):
    run, data = sample
    told = retell("journal", run, data + b'{"entry":"measured","at":"2026-11-20T00:00:00Z","x":[1]}\n')
    assert told is not None and told.end == "done"


def test_a_lost_or_damaged_before_image_changes_nothing(root):
    host = ToyHost(root, live=False)
    outcome = prepare(host, plan_of(*file_changes(root)))
    before = tree(root)
    change = next(item for item in read_run(host, outcome.run).changes if item.target == "/etc/default/grub")
    blob = f"{root}/var/lib/gpuctl/blobs/{change.before.sha256}"
    with open(blob, "wb") as file:
        file.write(b"other")
    with pytest.raises(JournalBroken, match="is damaged"):
        restore(host)
    assert "is damaged" in run_diff(host, outcome.run)
    os.unlink(blob)
    with pytest.raises(JournalBroken, match="is gone"):
        restore(host)
    assert tree(root) == before


def test_run_ids_sort_by_time_even_when_the_clock_goes_back(root):
    host = ToyHost(root)
    host.now = lambda: datetime(2026, 11, 20, 18, 51, 55, tzinfo=timezone.utc)
    seen = []
    for year in (2026, 2026, 2025, 2026):
        host.now = lambda year=year: datetime(year, 11, 20, 18, 51, 55, tzinfo=timezone.utc)
        seen.append(new_run_id(host))
        os.makedirs(f"{root}/var/lib/gpuctl/runs/{seen[-1]}")
    assert seen == sorted(seen) and seen[0].startswith("20261120T185155Z-")


def test_no_such_run(root):
    for run in ("x", "../../etc", "", "a\0b", RUN):
        with pytest.raises(UsageError):
            run_diff(ToyHost(root), run)
        with pytest.raises(UsageError):
            restore(ToyHost(root), run=run)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["/etc/x", "file", "done"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def understood(run, data):
    try:
        retell("journal", run, data)
    except JournalBroken as error:
        assert error.brief and error.resolution


@given(data=st.binary(max_size=300), place=st.floats(0, 1), cut=st.integers(0, 40))
def test_any_bytes_in_a_journal(sample, data, place, cut):
    run, whole = sample
    at = int(place * len(whole))
    understood(run, whole[:at] + data + whole[at + cut :])
    understood(run, data + b"\n")


def paths_in(value, here=()):
    """Every place in a JSON value."""
    yield here
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(item, (*here, key))


@given(data=st.data(), value=values)
def test_any_value_anywhere_in_a_journal(sample, data, value):
    run, whole = sample
    lines = [json.loads(line) for line in whole.splitlines()]
    n = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.sampled_from([item for item in paths_in(lines[n]) if item]))
    holder = lines[n]
    for key in place[:-1]:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[place[-1]] = value
    else:
        del holder[place[-1]]
    understood(run, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.binary(max_size=400))
def test_any_bytes_in_a_file_of_the_state(root, data):
    os.makedirs(os.path.dirname(journal_path(root, RUN)), exist_ok=True)
    with open(journal_path(root, RUN), "wb") as file:
        file.write(data)
    host = ToyHost(root)
    before = tree(root)
    for work in (read_runs, read_history, recover, restore):
        try:
            work(host)
        except JournalBroken:
            assert b"\n" in data
    assert tree(root) == before

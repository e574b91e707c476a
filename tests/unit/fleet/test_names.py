"""Ranges, patterns and folding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.fleet.errors import BadInventory
from gpuctl.fleet.names import expand, fold, select

HOSTS = ("web1", "web2", "db1", "db2", "gpu01", "gpu02", "gpu03")
GROUPS = {"web": ("web1", "web2"), "db": ("db1", "db2"), "gpu": ("gpu01", "gpu02", "gpu03"), "rack1": ("web1", "gpu01")}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web", ["web"]),
        ("web[1:3]", ["web1", "web2", "web3"]),
        ("web[08:10].x", ["web08.x", "web09.x", "web10.x"]),
        ("web[1:6:2]", ["web1", "web3", "web5"]),
        ("r[a:c]", ["ra", "rb", "rc"]),
        ("r[1:2]n[1:2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("fe80::1", ["fe80::1"]),
    ],
)
def test_a_range_is_taken_apart(text, names):
    assert list(expand(text)) == names


@pytest.mark.parametrize(
    "text", ["web[3:1]", "web[1:]", "web[a:3]", "web[1-3]", "web[1:9999999]", "web[1:3:0]", "r[z:a]"]
)
def test_a_range_that_means_nothing_is_an_error(text):
    with pytest.raises(BadInventory):
        list(expand(text))


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [
        ("all", HOSTS),
        ("web", ("web1", "web2")),
        ("web:db", ("web1", "web2", "db1", "db2")),
        ("web,db1", ("web1", "web2", "db1")),
        ("gpu*", ("gpu01", "gpu02", "gpu03")),
        ("gpu:&rack1", ("gpu01",)),
        ("gpu:!gpu02", ("gpu01", "gpu03")),
        ("!gpu", ("web1", "web2", "db1", "db2")),
        ("!gpu02:gpu", ("gpu01", "gpu03")),
        ("&rack1", ("web1", "gpu01")),
        ("gpu[0]", ("gpu01",)),
        ("gpu[-1]", ("gpu03",)),
        ("gpu[0:1]", ("gpu01", "gpu02")),
        ("gpu[1:]", ("gpu02", "gpu03")),
        ("gpu*[0:1]", ("gpu01", "gpu02")),
        ("g?u[-1]:!gpu03:web[0-0]", ("web1",)),
        ("rack1[0]", ("web1",)),
        ("~(web|db)1", ("web1", "db1")),
        ("?b1", ("db1",)),
    ],
)
def test_a_pattern_means_what_ansible_means(limit, hosts):
    assert select(limit, HOSTS, GROUPS) == hosts


def test_a_file_holds_patterns(tmp_path):
    file = tmp_path / "failed"
    file.write_text("# of yesterday\ngpu01\n\ndb*\n")
    assert select(f"@{file}", HOSTS, GROUPS) == ("db1", "db2", "gpu01")
    assert select(f"!@{file}", HOSTS, GROUPS) == ("web1", "web2", "gpu02", "gpu03")


@pytest.mark.parametrize(
    "limit",
    ["nosuch", "gpu:!nosuch", "gpu:!gpu", "~(", "gpu[9]", "@/nosuch", "gpu[:1]", "gpu[-2:]", "all[0]", "*[0:1]"],
)
def test_what_means_nothing_is_taken_for_a_mistake(limit):
    with pytest.raises(BadInventory):
        select(limit, HOSTS, GROUPS)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["node1"], "node1"),
        (["node1", "node2", "node3", "node7"], "node[1-3,7]"),
        ([f"node{n:02}" for n in range(1, 18)], "node[01-17]"),
        (["node9", "node10", "node11"], "node[9-11]"),
        (["gpu1.rack2.x", "gpu2.rack2.x"], "gpu[1-2].rack2.x"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.1, 10.0.0.2"),
        (["b", "a"], "a, b"),
        ([], ""),
    ],
)
def test_lists_are_folded(names, text):
    assert fold(names) == text


@given(st.sets(st.integers(0, 300), min_size=1), st.integers(1, 3))
def test_no_host_is_lost_or_gained_by_folding(numbers, width):
    names = {f"n{number:0{width}d}" for number in numbers}
    found = set()
    for word in fold(names).split(", "):
        if "[" not in word:
            found.add(word)
            continue
        for span in word[word.index("[") + 1 : -1].split(","):
            first, _, last = span.partition("-")
            found |= {f"n{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)}
    assert found == names

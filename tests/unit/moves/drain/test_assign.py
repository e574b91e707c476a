"""The assignment beside every possible one."""

from __future__ import annotations

import itertools
import random

import pytest

from gpuctl.moves.drain.assign import Item, assign

CARDS, MEMORY = ("Placement", "h100"), ("room", "MEMORY_MB")


def best(items, free):
    """How many can be placed at most: every assignment is tried."""
    found = 0
    for hosts in itertools.product(*([*one.takes, None] for one in items)):
        placed = sum(host is not None for host in hosts)
        if placed > found and holds(items, free, {one.id: host for one, host in zip(items, hosts) if host}):
            found = placed
    return found


def holds(items, free, hosts):
    for host, have in free.items():
        used = {}
        for one in items:
            if hosts.get(one.id) == host:
                for key, count in one.takes[host].items():
                    used[key] = used.get(key, 0) + count
        if any(count > have.get(key, 0) for key, count in used.items()):
            return False
    return all(host in one.takes for one in items for host in [hosts.get(one.id)] if host)


def case(seed):
    """Servers of one or more cards, some memory, groups of which a host takes one, hosts that some may not go to."""
    rng = random.Random(seed)
    hosts = [f"h{n}" for n in range(rng.randint(1, 4))]
    kinds = [("Placement", "a"), ("Placement", "b")]
    free = {
        host: {kinds[0]: rng.randint(0, 3), kinds[1]: rng.randint(0, 2), MEMORY: rng.randint(0, 40), ("group", "g"): 1}
        for host in hosts
    }
    items = []
    for number in range(rng.randint(1, 6)):
        takes = {rng.choice(kinds): rng.choice([1, 1, 1, 2]), MEMORY: rng.choice([1, 8, 16])}
        if rng.random() < 0.3:
            takes["group", "g"] = 1
        allowed = [host for host in hosts if rng.random() < 0.8]
        items.append(Item(f"s{number}", dict.fromkeys(allowed, takes), rng.random() * 100))
    return items, free


@pytest.mark.parametrize("start", range(0, 200, 25))
def test_places_as_many_as_can_be(start):
    for seed in range(start, start + 25):
        items, free = case(seed)
        found = assign(items, free)
        assert holds(items, free, found.hosts), seed
        assert len(found.hosts) == best(items, free), seed
        assert found.most, seed


def test_the_first_answer_alone_is_not_always_the_best():
    # Else the search would be of no use, and the test above would not see it missing.
    worse = [seed for seed in range(200) if len(assign(*case(seed), budget=0).hosts) < len(assign(*case(seed)).hosts)]
    assert worse


def test_says_that_it_was_cut_off():
    cut = [seed for seed in range(200) if not assign(*case(seed), budget=0).most]
    assert cut
    for seed in cut:
        assert holds(*case(seed), assign(*case(seed), budget=0).hosts)


def test_one_kind_of_card_is_a_matching():
    # Each may go to two hosts, each host has one card: only by moving the first aside has the last a place.
    free = {f"h{n}": {CARDS: 1} for n in range(5)}
    items = [Item(f"s{n}", {f"h{n}": {CARDS: 1}, f"h{(n + 1) % 5}": {CARDS: 1}}) for n in range(5)]
    assert len(assign(items, free, budget=0).hosts) == 5


def test_is_the_same_every_time_whatever_the_order():
    items, free = case(7)
    shuffled = list(items)
    random.Random(1).shuffle(shuffled)
    assert dict(assign(items, free).hosts) == dict(assign(shuffled, free).hosts)


def test_spreads_by_how_long_they_take():
    free = {host: {CARDS: 8} for host in ("h0", "h1")}
    items = [Item(f"s{n}", {host: {CARDS: 1} for host in free}, 100.0 if n == 0 else 10.0) for n in range(6)]
    hosts = assign(items, free).hosts
    assert len({one for one, host in hosts.items() if host == hosts["s0"]}) == 1


def test_what_is_disliked_is_the_last_choice():
    free = {host: {CARDS: 1} for host in ("h0", "h1")}
    one = Item("s0", {host: {CARDS: 1} for host in free}, 1.0, frozenset({"h0"}))
    assert assign([one], free).hosts == {"s0": "h1"}
    assert assign([one], {"h0": {CARDS: 1}}).hosts == {"s0": "h0"}


def test_many_servers_and_no_room_end_soon():
    free = {f"h{n}": {CARDS: 1, MEMORY: 100} for n in range(40)}
    items = [Item(f"s{n}", {host: {CARDS: 1, MEMORY: 10} for host in free}) for n in range(64)]
    found = assign(items, free)
    assert (len(found.hosts), found.most) == (40, True)


def test_no_host_at_all():
    assert assign([Item("s0", {})], {}) == assign([], {})

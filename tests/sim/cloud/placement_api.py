"""Placement's API, as far as moves need it."""

from __future__ import annotations

import itertools
import re
from typing import Any

from tests.sim.cloud.placement import Consumer, Placement, Provider
from tests.sim.front import ADMIN_PROJECT, Answer

Query = dict[str, list[str]]
Version = tuple[int, int]
NEWEST = "1.39"
_TYPE = re.compile(r"[A-Z0-9_]+")
_CONFLICT = "placement.concurrent_update"


class Conflict(Answer):
    """409, with the code that says that somebody else was quicker."""

    def __init__(self, text: str) -> None:
        super().__init__(409, text)
        self.code = _CONFLICT


def answer(books: Placement, method: str, path: str, query: Query, body: Any, version: Version) -> tuple[int, Any]:
    """Answer a request to Placement."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return 200, {
            "versions": [
                {
                    "id": "v1.0",
                    "max_version": NEWEST,
                    "min_version": "1.0",
                    "status": "CURRENT",
                    "links": [{"rel": "self", "href": ""}],
                }
            ]
        }
    if parts == ["resource_providers"]:
        return 200, {"resource_providers": [_show(books, one, version) for one in _search(books, query)]}
    if parts[0] == "resource_providers":
        return _provider(books, method, parts[1:], body, version)
    if parts[0] == "allocations" and len(parts) == 2:
        return _allocations(books, method, parts[1], body, version)
    if parts == ["allocations"] and method == "POST":
        for consumer, wish in body.items():
            _check(books, consumer, wish, version, tuple(body))
        for consumer, wish in body.items():
            _write(books, consumer, wish)
        return 204, None
    if parts == ["allocation_candidates"]:
        return 200, _candidates(books, query, version)
    if parts == ["usages"]:
        return 200, {"usages": _usages(books, query.get("project_id", [""])[0])}
    if parts == ["traits"]:
        return 200, {"traits": sorted({name for one in books.providers.values() for name in one.traits})}
    if parts == ["resource_classes"]:
        return 200, {
            "resource_classes": [
                {"name": name, "links": []}
                for name in sorted({kind for one in books.providers.values() for kind in one.inventories})
            ]
        }
    raise Answer(404, "The resource could not be found.")


def _show(books: Placement, one: Provider, version: Version) -> dict[str, Any]:
    shown: dict[str, Any] = {"uuid": one.uuid, "name": one.name, "generation": one.generation, "links": []}
    if version >= (1, 14):
        shown.update(root_provider_uuid=books.root(one.uuid), parent_provider_uuid=one.parent)
    return shown


def _usages(books: Placement, project: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in books.consumers.values():
        for amounts in one.held.values() if one.project == project else ():
            for kind, amount in amounts.items():
                sums[kind] = sums.get(kind, 0) + amount
    return sums


def _search(books: Placement, query: Query) -> list[Provider]:
    found = list(books.providers.values())
    want = {key: values[0] for key, values in query.items()}
    if "name" in want:
        found = [one for one in found if one.name == want["name"]]
    if "uuid" in want:
        found = [one for one in found if one.uuid == want["uuid"]]
    if "in_tree" in want:
        root = books.root(want["in_tree"]) if want["in_tree"] in books.providers else None
        found = [one for one in found if books.root(one.uuid) == root]
    for wish in query.get("required", []):
        for trait in wish.split(","):
            if trait.startswith("in:"):
                found = [one for one in found if one.traits & set(trait[3:].split(","))]
            else:
                found = [one for one in found if (trait.lstrip("!") in one.traits) != trait.startswith("!")]
    if "resources" in want:
        wishes = [part.split(":") for part in want["resources"].split(",")]
        found = [one for one in found if all(books.room(one.uuid, kind) >= int(amount) for kind, amount in wishes)]
    return found


def _provider(books: Placement, method: str, rest: list[str], body: Any, version: Version) -> tuple[int, Any]:
    one = books.providers.get(rest[0])
    if one is None:
        raise Answer(404, f"No resource provider with uuid {rest[0]} found")
    generation = {"resource_provider_generation": one.generation}
    if len(rest) == 1:
        return 200, _show(books, one, version)
    if rest[1] == "inventories" and method == "PUT":
        if body["resource_provider_generation"] != one.generation:
            raise Conflict("resource provider generation conflict")
        if len(rest) == 3:
            one.inventories[rest[2]] = {
                **one.inventories[rest[2]],
                **{k: v for k, v in body.items() if k != "resource_provider_generation"},
            }
        else:
            one.inventories = body["inventories"]
        one.generation += 1
        generation = {"resource_provider_generation": one.generation}
        return 200, {**generation, **one.inventories[rest[2]]} if len(rest) == 3 else {
            **generation,
            "inventories": one.inventories,
        }
    if rest[1] == "inventories":
        return 200, {**generation, "inventories": one.inventories}
    if rest[1] == "usages":
        return 200, {**generation, "usages": {kind: books.used(one.uuid, kind) for kind in one.inventories}}
    if rest[1] == "traits":
        return 200, {**generation, "traits": sorted(one.traits)}
    if rest[1] == "aggregates":
        return 200, {**generation, "aggregates": []}
    if rest[1] == "allocations":
        held: dict[str, Any] = {}
        for consumer in books.consumers.values():
            if one.uuid in consumer.held:
                held[consumer.uuid] = {"resources": consumer.held[one.uuid]}
                if version >= (1, 28):
                    held[consumer.uuid]["consumer_generation"] = consumer.generation
        return 200, {**generation, "allocations": held}
    raise Answer(404, "The resource could not be found.")


def _allocations(books: Placement, method: str, consumer: str, body: Any, version: Version) -> tuple[int, Any]:
    one = books.consumers.get(consumer)
    if method == "PUT":
        _check(books, consumer, body, version)
        _write(books, consumer, body)
        return 204, None
    if method == "DELETE":
        if one is None:
            raise Answer(404, f"No allocations for consumer '{consumer}'")
        books.drop(consumer)
        return 204, None
    if one is None:
        return 200, {"allocations": {}}
    shown: dict[str, Any] = {
        "allocations": {
            name: {"generation": books.providers[name].generation, "resources": amounts}
            for name, amounts in one.held.items()
        }
    }
    if version >= (1, 12):
        shown.update(project_id=one.project, user_id=one.user)
    if version >= (1, 28):
        shown["consumer_generation"] = one.generation
    if version >= (1, 38):
        shown["consumer_type"] = one.type or "unknown"
    return 200, shown


def _check(books: Placement, consumer: str, wish: Any, version: Version, given_back: tuple[str, ...] = ()) -> None:
    """The PUT of an allocation is one that Placement takes; what these consumers hold is given back in the same request."""
    if version < (1, 12):
        raise Answer(400, "allocations are a dict since 1.12")
    needed = (
        {"allocations", "project_id", "user_id"}
        | ({"consumer_generation"} if version >= (1, 28) else set())
        | ({"consumer_type"} if version >= (1, 38) else set())
    )
    if set(wish) != needed:
        raise Answer(
            400, f"JSON does not validate: {sorted(set(wish) ^ needed)} is a required property, or is not allowed"
        )
    if version >= (1, 38) and not _TYPE.fullmatch(wish["consumer_type"]):
        raise Answer(400, f"JSON does not validate: '{wish['consumer_type']}' does not match '^[A-Z0-9_]+$'")
    one = books.consumers.get(consumer)
    if version >= (1, 28) and wish["consumer_generation"] != (one.generation if one else None):
        raise Conflict(
            f"consumer generation conflict - expected {one.generation if one else 'null'} but got {wish['consumer_generation']}"
        )
    for name, part in wish["allocations"].items():
        if name not in books.providers:
            raise Answer(400, f"Allocation for resource provider '{name}' that does not exist.")
        for kind, amount in part["resources"].items():
            back = sum(
                books.consumers[each].held.get(name, {}).get(kind, 0)
                for each in {consumer, *given_back}
                if each in books.consumers
            )
            if books.room(name, kind) + back < amount:
                raise Answer(409, f"Unable to allocate inventory: Unable to create allocation for '{kind}' on resource provider '{name}'. The requested amount would exceed the capacity.")  # fmt: skip


def _write(books: Placement, consumer: str, wish: Any) -> None:
    before = books.consumers.get(consumer)
    if not wish["allocations"]:
        books.drop(consumer)
        return
    held = {name: dict(part["resources"]) for name, part in wish["allocations"].items()}
    books.touch({**(before.held if before else {}), **held})
    books.consumers[consumer] = Consumer(
        consumer,
        wish.get("project_id", ADMIN_PROJECT),
        wish.get("user_id", "1"),
        (before.generation if before else 0) + 1,
        wish.get("consumer_type"),
        held,
    )


def _candidates(books: Placement, query: Query, version: Version) -> dict[str, Any]:
    """Every compute's first fit (and, for one group of one card, each card): enough for a look before a move."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for key, values in query.items():
        if key.startswith("resources"):
            groups[key.removeprefix("resources")] = [
                (kind, int(amount)) for kind, amount in (part.split(":") for part in values[0].split(","))
            ]
    limit = int(query.get("limit", ["1000"])[0])
    roots = [one for one in books.providers.values() if one.parent is None]
    requests: list[dict[str, Any]] = []
    seen: set[str] = set()
    for root in roots:
        tree = [one.uuid for one in books.providers.values() if books.root(one.uuid) == root.uuid]
        options: list[list[tuple[str, str, int]]] = []
        for name, wishes in groups.items():
            if query.get(f"in_tree{name}", [root.uuid])[0] not in tree:
                options = [[]]
                break
            for kind, amount in wishes:
                options.append([(one, kind, amount) for one in tree if books.room(one, kind) >= amount])
        for choice in itertools.product(*options):
            if len(requests) >= limit:
                break
            held: dict[str, dict[str, int]] = {}
            for one, kind, amount in choice:
                held.setdefault(one, {})[kind] = held.get(one, {}).get(kind, 0) + amount
            if held and all(
                books.room(one, kind) >= amount for one, amounts in held.items() for kind, amount in amounts.items()
            ):
                requests.append({"allocations": {one: {"resources": amounts} for one, amounts in held.items()}})
                seen.update(tree)
    summaries = {
        one: {
            "resources": {kind: {"capacity": int((stock["total"] - stock["reserved"]) * stock["allocation_ratio"]), "used": books.used(one, kind)}
                          for kind, stock in books.providers[one].inventories.items()},
            "traits": sorted(books.providers[one].traits), "parent_provider_uuid": books.providers[one].parent, "root_provider_uuid": books.root(one),
        }
        for one in seen
    }  # fmt: skip
    return {"allocation_requests": requests, "provider_summaries": summaries}

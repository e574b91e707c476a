"""From documents of `host facts` and `host check` to a snapshot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.fleet.report.model import FAILED, NOT_READY, READY, UNKNOWN, WARNED, Card, HostState, Problem, Snapshot
from gpuctl.fleet.standing import standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Document = dict[str, Any]
FACTS, CHECK, FLEET = "gpuctl.host.facts/1", "gpuctl.host.check/1", "gpuctl.fleet.check/1"


class NotADocument(OperatorError):
    """A file that was named is no document that a page can be made of."""

    exit_code = 2


def read_files(files: Iterable[str]) -> Snapshot:
    """Return the hosts that the files speak of: JSON documents, lists of them, or one a line.

    Args:
        files: paths. A document without a host's name takes its file's.

    Raises:
        NotADocument: one cannot be read, or is something else.
    """
    found: dict[str, list[Document]] = {}
    asked: dict[str, HostState] = {}
    for name in files:
        for document in _documents(Path(name)):
            if document["schema"] == FLEET:
                asked |= read_entries(document.get("hosts") or ())
            else:
                found.setdefault(str(document.get("host") or Path(name).stem), []).append(document)
    at = max((str(item.get("collected_at") or "") for many in found.values() for item in many), default="")
    hosts = asked | {name: host_state(name, documents) for name, documents in found.items()}
    return Snapshot(dict(sorted(hosts.items())), at=at)


def read_entries(entries: Iterable[Document]) -> dict[str, HostState]:
    """Return the hosts of a `fleet check`'s document (docs/reference/fleet.md), by name.

    Args:
        entries: its hosts, with or without facts.
    """
    hosts = {}
    for entry in entries:
        name = str(entry.get("host"))
        documents = [item for item in (entry.get("facts"), entry.get("check")) if isinstance(item, dict)]
        groups = [str(group) for group in entry.get("groups") or ()]
        hosts[name] = host_state(name, documents, groups=groups, error=entry.get("error"))
    return dict(sorted(hosts.items()))


def _documents(path: Path) -> Iterator[Document]:
    again = "give what `gpuctl host check -f json` and `gpuctl host facts -f json` print"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise NotADocument(f"{path} cannot be read: {why}", resolution=again) from error
    for item in _parsed(path, text, again):
        if not isinstance(item, dict) or item.get("schema") not in (FACTS, CHECK, FLEET):
            raise NotADocument(f"{path} holds something that is none of {FACTS}, {CHECK}, {FLEET}", resolution=again)
        yield item


def _parsed(path: Path, text: str, again: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise NotADocument(f"{path} is no JSON: {error}", resolution=again) from error
    return whole if isinstance(whole, list) else [whole]


def host_state(
    name: str, documents: Iterable[Document], *, groups: Sequence[str] = (), error: Mapping[str, Any] | None = None
) -> HostState:
    """Return one host from what is known of it.

    Args:
        name: as the inventory has it.
        documents: facts, check, or both.
        groups: its inventory groups.
        error: why it could not be asked: brief, details, resolution.
    """
    by_schema = {item.get("schema"): item for item in documents}
    facts, check = by_schema.get(FACTS), by_schema.get(CHECK)
    try:
        return _host_state(name, facts, check, tuple(groups), error)
    except (KeyError, TypeError, AttributeError, ValueError) as wrong:
        text = f"its answer is not of this form: {type(wrong).__name__}: {wrong}"
        fix = "see that the host runs the same gpuctl, then run it again"
        problem = Problem("answer-unreadable", "error", "host", "the host's answer cannot be understood", text, fix)
        return HostState(name, FAILED, groups=tuple(groups), problems=(problem,))


def _host_state(
    name: str,
    facts: Document | None,
    check: Document | None,
    groups: tuple[str, ...],
    error: Mapping[str, Any] | None,
) -> HostState:
    problems = tuple(_problems(check)) if check else ()
    if error is not None:
        brief = str(error.get("brief") or "the host could not be asked")
        fix = str(error.get("resolution") or "see that it runs and lets this account in, then run it again")
        code = str(error.get("code") or "unreachable")
        problems = (Problem(code, "error", "host", brief, str(error.get("details") or ""), fix), *problems)
    return HostState(
        name,
        _state(check, problems, failed=error is not None),
        groups=groups,
        kernel=_text((facts or {}).get("kernel", {}).get("release")),
        cards=_cards(facts, check),
        problems=problems,
    )


def _state(check: Document | None, problems: tuple[Problem, ...], *, failed: bool) -> str:
    if failed:
        return FAILED
    if check is None:
        return UNKNOWN
    if not check["ready"]:
        return NOT_READY
    return WARNED if problems else READY


def _problems(check: Document) -> Iterator[Problem]:
    for item in standing(check):
        texts = (str(item.get(key) or "") for key in ("id", "status", "subject", "title", "evidence", "fix"))
        yield Problem(*texts)


def _cards(facts: Document | None, check: Document | None) -> tuple[Card, ...]:
    judged = {gpu["address"]: gpu for gpu in (check or {}).get("gpus", ())}
    cards = {at: Card(str(at), str(gpu["name"]), ready=gpu["ready"] is True) for at, gpu in judged.items()}
    for gpu in (facts or {}).get("gpus", ()):
        address = gpu["address"]
        own = {function["address"] for function in gpu["functions"]}
        others = [peer for peer in gpu["group_peers"] if not peer["bridge"] and peer["address"] not in own]
        known = cards.get(address, Card(str(address), str(gpu["name"])))
        cards[address] = replace(
            known,
            numa=_number(gpu["numa_node"]),
            group=_number(gpu["iommu_group"]),
            driver=_text(gpu["driver"]),
            alone=None if gpu["iommu_group"] is None else not others,
        )
    return tuple(cards[address] for address in sorted(cards))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None

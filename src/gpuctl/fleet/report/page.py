"""The page itself: one file, no network.

Every word that came from a host is escaped, and the content security policy lets no script but ours run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gpuctl.fleet.report.changes import WORDS, news
from gpuctl.fleet.report.digest import Finding, Model, by_group, findings, models, natural, places
from gpuctl.fleet.report.model import FAILED, NOT_READY, READY, STATES, UNKNOWN, WARNED, HostState, Snapshot
from gpuctl.fleet.standing import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SIGNS = {READY: "✔", WARNED: "!", NOT_READY: "✘", FAILED: "⚠", UNKNOWN: "?"}
MARKS = {"fail": "✘", "skip": "?", "warn": "!", "error": "⚠"}
_DIALOG = (
    '<dialog id="host" aria-labelledby="host-name"><form method="dialog"><button>Close</button></form>'
    '<h2 id="host-name"></h2><div id="host-body"></div></dialog>'
)
_SHOWN = 400  # host names below one finding; the hosts themselves are all there


def render(now: Snapshot, before: Snapshot | None = None, *, title: str = "GPU hosts", made: str = "") -> str:
    """Return the page as HTML.

    Args:
        now: what is shown.
        before: the run to compare with; None: nothing is said of changes.
        title: the page's heading.
        made: when and by what the page was made, for its foot.
    """
    told = findings(now)
    order = {name: number for number, name in enumerate(now.hosts)}
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    allowed = f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    body = "\n".join(
        (
            _head(now, title),
            _news(before, now),
            _filter(now),
            _findings(told),
            _hosts(now, order),
            _models(models(now)),
            "</main>",
            _DIALOG,
        )
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#hosts">Skip to the hosts</a>
{body}
<footer class="soft"><p>{escape(made)}</p></footer>
<script type="application/json" id="data">{_data(now, told)}</script>
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _head(now: Snapshot, title: str) -> str:
    counts = _counts(now.hosts.values())
    cards = [card for host in now.hosts.values() for card in host.cards]
    said = ", ".join(f"{count} {WORDS[state]}" for state, count in counts.items()) or "no host"
    about = " · ".join(filter(None, (f"run {now.run}" if now.run else "", now.at)))
    total, place, bars = max(len(now.hosts), 1), 0.0, ""
    for state, count in counts.items():
        wide = 100 * count / total
        bars += f'<rect class="{state}" x="{place:.3f}%" width="{wide:.3f}%" height="100%"/>'
        place += wide
    ready = sum(card.ready is True for card in cards)
    return (
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="soft">{escape(about)}</p>'
        f"<p>{len(now.hosts)} hosts: {escape(said)}. {len(cards)} cards, {ready} of them ready.</p>"
        f'<svg class="bar" role="img" aria-label="{escape(said)}">{bars}</svg></header>\n<main>'
    )


def _counts(hosts: Iterable[HostState]) -> dict[str, int]:
    told = [host.state for host in hosts]
    return {state: told.count(state) for state in STATES if state in told}


def _news(before: Snapshot | None, now: Snapshot) -> str:
    if before is None:
        said = '<p class="soft">There is no earlier run to compare with.</p>'
    else:
        lines = "".join(f"<li>{escape(text)}: {_names(hosts)}</li>" for text, hosts in news(before, now))
        since = escape(" · ".join(filter(None, (before.run, before.at))) or "the earlier documents")
        said = f'<p class="soft">Compared with {since}.</p>'
        said += f'<ul class="news">{lines}</ul>' if lines else "<p>Nothing changed.</p>"
    return f'<section aria-labelledby="news-title"><h2 id="news-title">Since the last run</h2>{said}</section>'


def _names(hosts: list[str]) -> str:
    more = f" and {len(hosts) - 20} more" if len(hosts) > 20 else ""
    return f'<span class="mono">{escape(", ".join(hosts[:20]))}</span>{more}'


def _filter(now: Snapshot) -> str:
    buttons = "".join(
        f'<button type="button" class="{state}" data-state="{state}" aria-pressed="false">'
        f"{SIGNS[state]} {WORDS[state]} {count}</button>"
        for state, count in _counts(now.hosts.values()).items()
    )
    return (
        '<div class="find" role="search" hidden><label for="filter">Filter</label>'
        '<input id="filter" type="search" autocomplete="off" placeholder="host, group, model, finding, kernel">'
        f'<div class="states" role="group" aria-label="States">{buttons}</div>'
        '<span id="said" role="status"></span></div>'
    )


def _hosts(now: Snapshot, order: Mapping[str, int]) -> str:
    text = ""
    for group, hosts in by_group(now.hosts.values()).items():
        said = ", ".join(f"{count} {WORDS[state]}" for state, count in _counts(hosts).items())
        tiles = "".join(_tile(host, order[host.name]) for host in sorted(hosts, key=lambda item: natural(item.name)))
        heading = f'<h3>{escape(group)} <span class="soft">{said}</span></h3>'
        text += f'<div class="rack">{heading}<ul class="tiles">{tiles}</ul></div>'
    return f'<section id="hosts" aria-labelledby="hosts-title"><h2 id="hosts-title">Hosts</h2>{text}</section>'


def _tile(host: HostState, number: int) -> str:
    cards = f'<small aria-label="{len(host.cards)} cards">×{len(host.cards)}</small>' if host.cards else ""
    word = WORDS[host.state]
    return (
        f'<li><button type="button" class="{host.state}" data-host="{number}" title="{word}">{cards}'
        f'<span aria-label="{word}" role="img">{SIGNS[host.state]}</span> {escape(host.name)}</button></li>'
    )


def _models(told: list[Model]) -> str:
    titles = ("model", "cards", "hosts", "ready", "NUMA node", "IOMMU group", "driver")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    rows = ""
    for item in told:
        numa = ", ".join(f"{'unknown' if node is None else node}: {count}" for node, count in sorted(
            item.numa.items(), key=lambda pair: (pair[0] is None, pair[0] or 0)))  # fmt: skip
        groups = ", ".join(
            f"{word}: {count}"
            for word, count in (("own", item.alone), ("shared", item.shared), ("none, or not read", item.without_group))
            if count
        )
        drivers = ", ".join(f"{name or 'none seen'}: {count}" for name, count in item.drivers.most_common())
        cells = (str(item.cards), str(item.hosts), str(item.ready), numa, groups, drivers)
        rows += f'<tr><th scope="row">{escape(item.name)}</th>' + "".join(
            f'<td data-of="{title}"{" class=n" if number < 3 else ""}>{escape(cell)}</td>'
            for number, (title, cell) in enumerate(zip(titles[1:], cells, strict=True))
        )
        rows += "</tr>"
    table = f'<table class="wide"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
    none = "" if rows else '<p class="soft">No card was read.</p>'
    return f'<section aria-labelledby="cards-title"><h2 id="cards-title">Cards</h2>{table}{none}</section>'


def _findings(told: list[Finding]) -> str:
    text = "".join(_finding(item) for item in told) or "<p>Nothing is found wrong.</p>"
    heading = '<h2 id="findings-title">Findings</h2>'
    return f'<section id="findings" aria-labelledby="findings-title">{heading}{text}</section>'


def _finding(item: Finding) -> str:
    status = VERBS[item.status] or "could not be asked"
    count = f"{len(item.hosts)} host{'s' if len(item.hosts) > 1 else ''}"
    names = [f"{name} ({times})" if times > 1 else name for name, times in item.hosts.items()]
    more = f" and {len(names) - _SHOWN} more; the filter shows them all" if len(names) > _SHOWN else ""
    subject = "" if item.example.subject == "host" else f", {item.example.subject}"
    fix = f"<dt>do</dt><dd>{escape(item.fix)}</dd>" if item.fix else ""
    where = f'<span class="soft">(on {escape(item.example_host + subject)})</span>'
    read = f"<dt>read</dt><dd>{escape(item.example.evidence)} {where}</dd>" if item.example.evidence else ""
    mark = f'<span class="mark" role="img" aria-label="{status}">{MARKS[item.status]}</span>'
    name = f'<span class="id">{escape(item.id)}</span> <span class="count">{count}</span>'
    on = f'<dt>hosts</dt><dd class="hosts mono">{escape(", ".join(names[:_SHOWN]))}{more}</dd>'
    summary = f"<summary>{mark} {name}: {escape(item.title)}</summary>"
    return f'<details class="{item.status}">{summary}<dl>{fix}{read}{on}</dl></details>'


def _data(now: Snapshot, told: list[Finding]) -> str:
    """The hosts for the script: names that repeat by number, and no `<` that could end the element."""
    where = places(now, told)
    names = sorted({card.model for host in now.hosts.values() for card in host.cards})
    drivers = sorted({card.driver for host in now.hosts.values() for card in host.cards if card.driver is not None})
    number, driver = {name: at for at, name in enumerate(names)}, {name: at for at, name in enumerate(drivers)}
    document: dict[str, Any] = {
        "words": WORDS,
        "marks": MARKS,
        "models": names,
        "drivers": drivers,
        "findings": [{"id": one.id, "status": one.status, "title": one.title, "fix": one.fix} for one in told],
        "hosts": [
            {
                "name": host.name,
                "state": host.state,
                "groups": host.groups,
                "kernel": host.kernel,
                "cards": [
                    (card.address, number[card.model], card.numa, card.group,
                     None if card.driver is None else driver[card.driver], card.ready)
                    for card in host.cards
                ],
                "said": where[host.name],
            }
            for host in now.hosts.values()
        ],
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

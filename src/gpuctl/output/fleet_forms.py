"""A fleet run for other programs: JSON as it stands, CSV, Prometheus' textfile, Nagios, JUnit; written host by host."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from gpuctl.fleet.standing import standing, stands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuctl.fleet.runs import Run

CHECK_FORMS = ("jsonl", "csv", "prom", "nagios", "junit")
FACTS_FORMS = ("jsonl", "csv")
_LONG = 300  # characters of names; Nagios cuts a line at four thousand, and what is measured stands at its end
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # Char of XML 1.0
_INNER = ("states", "problems")  # of the kept file: for the next run's comparison


def pieces(run: Run, form: str) -> Iterator[str]:
    """Yield the text of a run in one form, in pieces of no more than a few hosts."""
    check = "check" in str(run.head["schema"])
    if form == "json":
        return _json(run, check=check)
    if form == "yaml":
        return _yaml(run, check=check)
    if form == "jsonl":
        return _lines(run, check=check)
    if form == "csv":
        return _csv(run) if check else _facts_csv(run)
    if form == "prom":
        return _prom(run)
    if form == "junit":
        return _junit(run)
    return iter([nagios(run)[0] + "\n"])


def _entries(run: Run, *, check: bool) -> Iterator[dict[str, Any]]:
    for entry in run.hosts():
        if check:
            entry.pop("facts", None)
        yield entry


def _tail(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.tail.items() if key not in _INNER}


def _json(run: Run, *, check: bool) -> Iterator[str]:
    yield json.dumps(dict(run.head), ensure_ascii=False)[:-1] + ',\n "hosts": ['
    comma = ""
    for entry in _entries(run, check=check):
        yield f"{comma}\n  {json.dumps(entry, ensure_ascii=False)}"
        comma = ","
    yield "\n ],\n " + json.dumps(_tail(run), ensure_ascii=False)[1:] + "\n"


def _yaml(run: Run, *, check: bool) -> Iterator[str]:
    import yaml

    def dump(value: object) -> str:
        text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
        return text

    yield dump(dict(run.head)) + "hosts:\n"
    for entry in _entries(run, check=check):
        yield dump([entry])
    yield dump(_tail(run))


def _lines(run: Run, *, check: bool) -> Iterator[str]:
    """The hosts' own documents, one a line; hosts without an answer are on no line."""
    for entry in run.hosts():
        document = entry["check" if check else "facts"]
        if document is not None:
            yield json.dumps({**document, "host": document.get("host") or entry["host"]}, ensure_ascii=False) + "\n"


def _row(*cells: object) -> str:
    """Return one row; a spreadsheet shall not take a host's words for a formula."""
    out = io.StringIO()
    shown = (f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells)
    csv.writer(out, lineterminator="\n").writerow(shown)
    return out.getvalue()


def _csv(run: Run) -> Iterator[str]:
    """One row a finding that asks for something, one for a host that could not be asked, one for one that is well."""
    yield _row("host", "state", "status", "id", "subject", "title", "evidence", "fix")
    for entry in run.hosts():
        host, state, error = entry["host"], entry["state"], entry["error"]
        if error is not None:
            yield _row(
                host, state, "error", error["code"], "host", error["brief"], error["details"], error["resolution"]
            )
        wrong = _wrong(entry)
        for item in wrong:
            yield _row(host, state, *(item[key] for key in ("status", "id", "subject", "title", "evidence", "fix")))
        if error is None and not wrong:
            yield _row(host, state, "", "", "", "", "", "")


def _facts_csv(run: Run) -> Iterator[str]:
    """One row a GPU."""
    keys = ("address", "vendor_id", "device_id", "name", "driver", "iommu_group", "numa_node", "nova_device_type")
    yield _row("host", "state", "kernel", "iommu", *keys)
    for entry in run.hosts():
        facts = entry["facts"]
        if facts is None:
            yield _row(entry["host"], entry["state"], "", "", *("" for _ in keys))
            continue
        for gpu in facts["gpus"] or [{}]:
            enabled = facts["iommu"]["enabled"]
            yield _row(
                entry["host"], entry["state"], facts["kernel"]["release"], enabled, *(gpu.get(key) for key in keys)
            )


def _wrong(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    return standing(entry.get("check"))


def _prom(run: Run) -> Iterator[str]:
    """Prometheus' text format, for node_exporter's textfile collector on the machine that checks."""
    up, ready, found = io.StringIO(), io.StringIO(), io.StringIO()
    for entry in run.hosts():
        label = f'host="{_label(entry["host"])}"'
        up.write(f"gpuctl_fleet_host_up{{{label}}} {int(entry['error'] is None)}\n")
        if entry["error"] is None:
            ready.write(f"gpuctl_fleet_host_ready{{{label}}} {int(entry['state'] == 'ready')}\n")
        counted = Counter((item["id"], item["status"]) for item in _wrong(entry))
        for (name, status), number in sorted(counted.items()):
            found.write(f'gpuctl_fleet_findings{{{label},id="{_label(name)}",status="{status}"}} {number}\n')
    for name, text, values in (
        ("gpuctl_fleet_host_up", "1 if the host answered the last check.", up),
        ("gpuctl_fleet_host_ready", "1 if the host is ready for passthrough.", ready),
        (
            "gpuctl_fleet_findings",
            "Findings that fail, warn, or must be known and are not (skip); none where all is well.",
            found,
        ),
    ):
        yield f"# HELP {name} {text}\n# TYPE {name} gauge\n{values.getvalue()}"
    from datetime import datetime

    at = datetime.fromisoformat(str(run.tail["finished_at"])).timestamp()
    name = "gpuctl_fleet_check_finished_seconds"
    yield f"# HELP {name} When the last check ended.\n# TYPE {name} gauge\n{name} {at:.0f}\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def nagios(run: Run) -> tuple[str, int]:
    """Return (line, exit code): CRITICAL not ready or not asked, WARNING a warning, UNKNOWN nobody was reached."""
    from gpuctl.fleet.names import fold

    counts, findings = run.tail["counts"], run.tail["findings"]
    warned = sorted({host for item in findings if item["status"] == "warn" for host in item["hosts"]})
    if counts["failed"] == counts["hosts"]:
        word, code = "UNKNOWN", 3
    elif counts["failed"] or counts["not_ready"]:
        word, code = "CRITICAL", 2
    elif warned:
        word, code = "WARNING", 1
    else:
        word, code = "OK", 0
    worst = [item for item in findings if item["status"] != "warn"] or findings
    names = [name if len(name := fold(item["hosts"])) <= _LONG else f"{len(item['hosts'])} hosts" for item in worst[:3]]
    said = (
        "; ".join(f"{who}: {item['id']}" for who, item in zip(names, worst, strict=False))
        or "all ready for passthrough"
    )
    more = f"; and {len(worst) - 3} more" if len(worst) > 3 else ""
    values = (
        f"hosts={counts['hosts']} ready={counts['ready']} not_ready={counts['not_ready']} failed={counts['failed']}"
    )
    text = " ".join(f"{said}{more}".replace("|", "/").split())
    return f"GPUCTL FLEET {word} - {text} | {values} warned={len(warned)}", code


def _junit(run: Run) -> Iterator[str]:
    """JUnit's XML: a suite a host, a case a finding."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="gpuctl fleet check">\n'
    for entry in run.hosts():
        findings = (entry.get("check") or {}).get("findings", ())
        failed = sum(item["status"] != "warn" for item in standing(entry.get("check")))
        skipped = sum(item["status"] == "skip" and not stands(item) for item in findings)
        error = entry["error"]
        name = _attribute(entry["host"])
        yield (
            f"<testsuite name={name} tests={_attribute(len(findings) + (error is not None))} "
            f"failures={_attribute(failed)} errors={_attribute(int(error is not None))} "
            f"skipped={_attribute(skipped)} time={_attribute(entry['seconds'])}>\n"
        )
        if error is not None:
            text = escape(_clean(f"{error['details']}\n{error['resolution']}".strip()))
            yield (
                f'<testcase classname={name} name="answer"><error type={_attribute(error["code"])} '
                f"message={_attribute(error['brief'])}>{text}</error></testcase>\n"
            )
        for item in findings:
            yield f"<testcase classname={name} name={_attribute(item['id'] + ' ' + item['subject'])}>{_case(item)}"
            yield "</testcase>\n"
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _case(item: Mapping[str, Any]) -> str:
    if item["status"] == "skip" and not stands(item):
        return f"<skipped message={_attribute(item['title'])}/>"
    text = escape(_clean(f"{item['evidence']}\n{item['fix']}".strip()))
    if item["status"] in ("fail", "skip"):
        return f"<failure message={_attribute(item['title'])}>{text}</failure>"
    if item["status"] == "warn":
        return f"<system-out>warning: {escape(_clean(item['title']))}\n{text}</system-out>"
    return ""


def _attribute(value: object) -> str:
    return quoteattr(_clean(str(value)))


def _clean(text: str) -> str:
    """Leave out what XML 1.0 cannot say."""
    return _NO_XML.sub("", text)

"""The verdict as Prometheus metrics, for node_exporter's textfile collector (text exposition format 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host import __version__
from gpuctl_host.checks.nagios import LOOK
from gpuctl_host.checks.render import ESSENTIAL, check_document
from gpuctl_host.finding import FAIL, SKIP, STATUSES, WARN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuctl_host.facts.model import Facts
    from gpuctl_host.finding import Finding


def prometheus(facts: Facts, findings: Sequence[Finding], *, at: float, strict: bool = False) -> str:
    """Return the metrics: whether the host and each GPU is ready, and each problem with the one thing to do about it.

    Args:
        facts: what was judged.
        findings: what run_checks said of them.
        at: when, in seconds since the epoch: an alert on an old one finds a check that no longer runs.
        strict: whether a warning counts as a failure.
    """
    document = check_document(facts, findings, strict=strict)
    problems = dict.fromkeys(
        (
            ("id", item.id),
            ("subject", item.subject),
            ("status", item.status),
            ("title", item.title),
            ("fix", item.fix or LOOK),
        )
        for item in findings
        if item.status in (FAIL, WARN) or (item.status == SKIP and item.id in ESSENTIAL)
    )
    gpus = (({"address": gpu["address"], "name": gpu["name"]}, int(gpu["ready"])) for gpu in document["gpus"])
    counts = (({"status": name}, sum(item.status == name for item in findings)) for name in STATUSES)
    return "".join(
        (
            _metric("info", "The gpuctl that checked.", [({"version": __version__}, 1)]),
            _metric("host_ready", "1 if the host is ready for passthrough.", [({}, int(document["ready"]))]),
            _metric("gpu_ready", "1 if the GPU is ready for passthrough.", gpus),
            _metric("host_findings", "How many answers of each status the check gave.", counts),
            _metric(
                "host_problem",
                "1 for each failure, warning and essential unknown; fix is one thing to do.",
                ((dict(p), 1) for p in problems),
            ),
            _metric("host_check_timestamp_seconds", "When the check ran.", [({}, at)]),
        )
    )


def _metric(name: str, says: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    lines = [f"gpuctl_{name}{_labels(labels)} {value:.0f}\n" for labels, value in samples]
    return f"# HELP gpuctl_{name} {says}\n# TYPE gpuctl_{name} gauge\n" + "".join(lines) if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    # A lone surrogate is a host's undecodable byte: the format is UTF-8.
    text = value.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ")

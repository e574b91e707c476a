"""Whatever a file, a value or a facts document holds, there is an answer and no traceback (hypothesis)."""

import json

import pytest

from gpuctl.nova.config.choice import parse_gpus
from gpuctl.nova.config.layouts import LAYOUTS, render
from gpuctl.nova.config.naming import default_alias
from gpuctl.nova.config.plan import configure
from gpuctl.nova.config.wishes import SAFE_NAME, Wishes
from gpuctl.nova.hosts import host_of
from gpuctl.nova.lint.registry import check_document
from gpuctl.nova.lint.sources import read_services
from gpuctl.nova.lint.view import View
from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import RELEASES, parse_release
from tests.unit.nova import worlds

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

pytestmark = pytest.mark.property
KEYS = [
    "vendor_id",
    "product_id",
    "address",
    "devname",
    "managed",
    "one_time_use",
    "traits",
    "resource_class",
    "live_migratable",
    "vendr",
]
KEYS += ["name", "device_type", "numa_policy", "capability_type"]
OPTIONS = [
    "device_spec",
    "passthrough_whitelist",
    "pci_passthrough_whitelist",
    "alias",
    "pci_alias",
    "enabled_filters",
    "report_in_placement",
]
OPTIONS += ["scheduler_default_filters", "pci_in_placement", "available_filters"]
SECTIONS = ["DEFAULT", "pci", "PCI", "filter_scheduler", "other"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(["10de", "1b80", "*", "0000:42:00.0", "type-PF", "a", "4", ".*", "(", "$x", "$$"]),
)
parts = st.dictionaries(st.sampled_from(["domain", "bus", "slot", "function", "x"]), scalars, max_size=4)
objects = st.dictionaries(st.sampled_from(KEYS), st.one_of(scalars, parts, st.lists(scalars, max_size=2)), max_size=5)
values = st.one_of(
    objects.map(json.dumps),
    st.lists(st.one_of(objects, scalars), max_size=3).map(json.dumps),
    st.text(max_size=30),
    scalars.map(str),
)
lines = st.one_of(
    st.tuples(st.sampled_from(OPTIONS), st.sampled_from([" = ", "=", ": "]), values).map("".join),
    st.sampled_from(SECTIONS).map(lambda name: f"[{name}]"),
    st.text(max_size=20),
)
FACTS = worlds.hosts(worlds.MIXED)
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(
    st.lists(lines, max_size=12),
    st.sampled_from([None, *RELEASES]),
    st.booleans(),
    st.sampled_from(["nova.conf", "compute.conf", "api.conf", "compute.gpu1.conf"]),
)
def test_any_file_is_judged_or_told_unreadable(tmp_path_factory, rows, release, facts, name):
    file = tmp_path_factory.mktemp("conf") / name
    file.write_text("[pci]\n" + "\n".join(rows), "utf-8", errors="replace")
    try:
        services, notes = read_services([str(file)])
    except Problem as problem:
        assert problem.exit_code == 2
        return
    document = check_document(View(services, release, FACTS if facts else None), notes)
    json.dumps(document)
    assert not [item for item in document["findings"] if "the check itself failed" in item["evidence"]]
    for item in document["findings"]:
        assert item["status"] == "pass" or item["evidence"]


@quick
@given(st.binary(max_size=60))
def test_any_bytes_are_a_file_or_a_problem(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("conf") / "nova.conf"
    file.write_bytes(data)
    try:
        read_services([str(file)])
    except Problem as problem:
        assert problem.resolution


@quick
@given(
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["schema", "host", "gpus", "nvswitches", "address", "functions"]), inner, max_size=4
            ),
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_host_or_a_problem(value):
    for document in (
        value,
        {"schema": "gpuctl.host.facts/1", "host": "a", "gpus": value},
        {"schema": "gpuctl.host.facts/1", "host": value, "gpus": [worlds.gpu("0000:42:00.0 10de:1b80 vfio-pci")]},
    ):
        try:
            host_of(document, origin="x.json")
        except Problem as problem:
            assert problem.exit_code == 2


@quick
@given(st.text(max_size=40), st.from_regex(r"[0-9a-f]{4}:[0-9a-f]{4}", fullmatch=True))
def test_any_name_makes_an_alias_that_can_be_asked_for(name, ids):
    assert SAFE_NAME.fullmatch(default_alias(name, ids))


@quick
@given(st.text(max_size=12))
def test_any_word_is_a_release_or_a_problem(word):
    try:
        parse_release(word)
    except Problem as problem:
        assert "newton" in problem.details


cards = st.lists(
    st.tuples(
        st.integers(0, 0x1FFFF),
        st.integers(0, 255),
        st.sampled_from(["10de:1b80", "10de:2330", "1002:74a1"]),
        st.sampled_from(["vfio-pci", "nvidia", "-"]),
        st.sampled_from(["", "type-PF"]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda card: card[:2],
)


@quick
@given(
    st.dictionaries(st.sampled_from(["gpu1", "gpu2", "gpu3.example.org"]), cards, min_size=1),
    st.sampled_from(RELEASES),
    st.booleans(),
)
def test_any_farm_is_configured_for_exactly_its_prepared_cards_or_refused(farm, release, unprepared):
    from gpuctl.nova.matching import matcher

    world = {
        host: "\n".join(f"{domain:04x}:{bus:02x}:00.0 {ids} {driver} {kind}" for domain, bus, ids, driver, kind in rows)
        for host, rows in farm.items()
    }
    hosts = worlds.hosts(world)
    try:
        configuration = configure(hosts, release, Wishes(unprepared=unprepared))
    except Problem as problem:
        assert problem.exit_code == 1
        return
    for host in hosts:
        matchers = [matcher(spec) for spec in configuration.host_specs.get(host.name, configuration.specs)]
        offered = {card.address for card in host.cards if any(each.takes(card) for each in matchers)}
        assert offered == {
            card.address for card in host.cards if (card.prepared or unprepared) and not card.domain_too_high
        }
    for layout in LAYOUTS:
        try:
            files = render(layout, configuration).files
        except Problem as problem:
            assert problem.resolution
        else:
            assert all(text.startswith("# Written by gpuctl nova configure") for text in files.values())


@quick
@given(st.lists(st.text(max_size=12), max_size=3))
def test_any_gpu_words_are_read_or_told(words):
    try:
        parse_gpus(words)
    except Problem as problem:
        assert problem.resolution

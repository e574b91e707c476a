"""What is written says the same in every layout, once the tool has made a nova.conf of it and oslo.config has read that."""

import json

import pytest
from oslo_config import cfg

from gpuctl.nova.config.ini import ini
from gpuctl.nova.config.layouts import LAYOUTS, render
from gpuctl.nova.config.plan import configure
from gpuctl.nova.config.wishes import Wishes
from gpuctl.nova.matching import matcher
from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import ALIAS, RELEASES, parse_release
from gpuctl.nova.vocabulary import FILTERS_GONE, PCI_FILTER
from tests.unit.nova import golden, tools, worlds

OPTIONS = {
    "DEFAULT": [
        cfg.MultiStrOpt("pci_passthrough_whitelist", default=[]),
        cfg.MultiStrOpt("pci_alias", default=[]),
        cfg.ListOpt("scheduler_default_filters", default=[]),
    ],
    "pci": [
        cfg.MultiStrOpt("passthrough_whitelist", default=[]),
        cfg.MultiStrOpt("device_spec", default=[]),
        cfg.MultiStrOpt("alias", default=[]),
        cfg.BoolOpt("report_in_placement", default=False),
    ],
    "filter_scheduler": [cfg.ListOpt("enabled_filters", default=[]), cfg.BoolOpt("pci_in_placement", default=False)],
    "excluded": [cfg.MultiStrOpt("address", default=[])],
}


def read(tmp_path, text):
    """Parse a nova.conf by oslo.config; return section.option -> value."""
    file = tmp_path / "nova.conf"
    file.write_text(text, "utf-8")
    conf = cfg.ConfigOpts()
    for section, options in OPTIONS.items():
        conf.register_opts(options, group=None if section == "DEFAULT" else section)
    conf([], default_config_files=[str(file)], default_config_dirs=[], project="none")
    found = {}
    for section, options in OPTIONS.items():
        for option in options:
            found[f"{section}.{option.name}"] = (
                conf[option.name] if section == "DEFAULT" else conf[section][option.name]
            )
    return found


def specs_in(found):
    texts = found["DEFAULT.pci_passthrough_whitelist"] + found["pci.passthrough_whitelist"] + found["pci.device_spec"]
    loaded = [json.loads(text) for text in texts]
    return [spec for item in loaded for spec in (item if isinstance(item, list) else [item])]


def aliases_in(found):
    return [json.loads(text) for text in found["DEFAULT.pci_alias"] + found["pci.alias"]]


def taken(found, host):
    """Return the addresses that a compute with this configuration would offer on a host."""
    matchers = [matcher(spec) for spec in specs_in(found)]
    return {device.address for device in host.devices if any(each.takes(device) for each in matchers)} - set(
        found["excluded.address"]
    )


def renderable():
    for world, layout, number in golden.cases():
        try:
            render(layout, golden.configuration(world, number))
        except Problem:
            continue
        yield world, layout, number


MEANT = {
    "farm": {"gpu1": {"0000:42:00.0", "0000:84:00.0"}, "gpu2": {"0000:42:00.0"}},
    "mixed": {
        "gpu1": {"0000:42:00.0", "0000:84:00.0"},
        "gpu2": {"0000:42:00.0"},
        "hgx.example.org": {f"0000:{bus}:00.0" for bus in ("18", "2a", "3a", "5d", "9a", "ab", "ba", "db")},
    },
}
RENDERABLE = list(renderable())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_host_offers_exactly_its_prepared_cards_whatever_tool_writes_it(layout, tmp_path):
    for world, _, number in (case for case in RENDERABLE if case[1] == layout):
        files = render(layout, golden.configuration(world, number)).files
        for host in worlds.hosts(worlds.FARM if world == "farm" else worlds.MIXED):
            found = read(tmp_path, tools.conf(layout, files, host.name, "compute", number))
            assert taken(found, host) == MEANT[world][host.name], (number, host.name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_api_and_computes_get_the_same_aliases_and_the_scheduler_its_filter(layout, tmp_path):
    for world, _, number in (case for case in RENDERABLE if case[1] == layout):
        configuration = golden.configuration(world, number)
        files = render(layout, configuration).files
        wanted = [dict(alias) for alias in configuration.aliases]
        for role in ("api", "compute"):
            if (layout, role) == ("tripleo", "compute") and number < 17:
                continue  # said in its notes: puppet-nova set them on controllers alone
            assert aliases_in(read(tmp_path, tools.conf(layout, files, "gpu2", role, number))) == wanted, (number, role)
        if layout != "sunbeam":
            found = read(tmp_path, tools.conf(layout, files, "gpu1", "scheduler", number))
            line = found["filter_scheduler.enabled_filters"] + found["DEFAULT.scheduler_default_filters"]
            assert line.count(PCI_FILTER) == 1
            assert not [name for name in line if number >= FILTERS_GONE.get(name, 99)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_old_and_new_option_names_are_never_both_there(layout, tmp_path):
    for world, _, number in (case for case in RENDERABLE if case[1] == layout):
        files = render(layout, golden.configuration(world, number)).files
        found = read(tmp_path, tools.conf(layout, files, "gpu1", "compute", number))
        used = [
            name
            for name in ("DEFAULT.pci_passthrough_whitelist", "pci.passthrough_whitelist", "pci.device_spec")
            if found[name]
        ]
        assert len(used) == 1, (world, number, used)
        if layout in ("plain", "kolla-ansible", "openstack-helm", "openstack-k8s-operators"):
            assert used == [str(parse_release(str(number)).whitelist).replace("[", "").replace("] ", ".")]


@pytest.mark.parametrize(
    "layout", ["plain", "kolla-ansible", "openstack-ansible", "openstack-k8s-operators", "openstack-helm", "tripleo"]
)
def test_placement_reaches_computes_and_those_who_ask(layout, tmp_path):
    number = 26 if layout == "tripleo" else 33
    placement = "report" if layout == "tripleo" else "schedule"
    configuration = configure(worlds.hosts(worlds.FARM), parse_release(str(number)), Wishes(placement=placement))
    files = render(layout, configuration).files
    for host in ("gpu1", "gpu2"):
        assert read(tmp_path, tools.conf(layout, files, host, "compute", number))["pci.report_in_placement"]
    if placement == "schedule":
        for role in ("api", "scheduler", "conductor"):
            assert read(tmp_path, tools.conf(layout, files, "gpu1", role, number))[
                "filter_scheduler.pci_in_placement"
            ], role
    assert any("cannot be switched off again" in note for note in configuration.notes)


@pytest.mark.parametrize("layout", ["juju", "sunbeam"])
def test_a_tool_that_cannot_say_placement_refuses(layout):
    configuration = configure(worlds.hosts(worlds.FARM), parse_release("33"), Wishes(placement="schedule"))
    with pytest.raises(Problem, match="report_in_placement"):
        render(layout, configuration)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: str(release.number))
def test_plain_values_are_one_json_object_a_line_and_hold_no_dollar(release):
    for text in render("plain", golden.configuration("farm", release.number)).files.values():
        for line in (line for line in text.splitlines() if "{" in line and not line.startswith("#")):
            assert json.loads(line.partition("=")[2])
            assert "$" not in line


def test_a_dollar_in_a_value_is_doubled(tmp_path):
    text = ini([(ALIAS, '{"name": "a$b ${host} $$"}')])
    assert aliases_in(read(tmp_path, text)) == [{"name": "a$b ${host} $$"}]


def test_yaml_keeps_ids_that_look_like_numbers():
    text = "0000:01:00.0 10de:0071 vfio-pci\n0000:02:00.0 10de:1e10 vfio-pci"
    configuration = configure(worlds.hosts({"gpu1": text}), parse_release("23"), Wishes())
    rendered = render("tripleo", configuration).files["gpu.yaml"]
    assert '"0071"' in rendered
    assert '"1e10"' in rendered


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("number", [23, 25, 33])
def test_a_host_of_which_no_card_is_meant_offers_none(layout, number, tmp_path):
    world = {"gpu1": worlds.FARM["gpu1"], "gpu3": "0000:42:00.0 10de:1b80 nvidia"}
    configuration = configure(worlds.hosts(world), parse_release(str(number)), Wishes())
    try:
        files = render(layout, configuration).files
    except Problem:
        pytest.skip("the tool does not deploy this release")
    for host in worlds.hosts(world):
        found = read(tmp_path, tools.conf(layout, files, host.name, "compute", number))
        assert taken(found, host) == ({"0000:42:00.0", "0000:84:00.0"} if host.name == "gpu1" else set())

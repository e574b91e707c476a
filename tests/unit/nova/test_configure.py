"""Facts and wishes in, a configuration out: which cards, which names, which lines; and what is refused, and why."""

import pytest

from gpuctl.nova.config.naming import default_alias
from gpuctl.nova.config.plan import configure
from gpuctl.nova.config.wishes import SAFE_NAME, Wishes
from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import parse_release
from tests.unit.nova import worlds


def plan(world, release="33", **wishes):
    return configure(worlds.hosts(world), parse_release(release), Wishes(**wishes))


def refused(world, release="33", **wishes):
    with pytest.raises(Problem) as caught:
        plan(world, release, **wishes)
    return f"{caught.value.brief}\n{caught.value.details}\n{caught.value.resolution}", caught.value.exit_code


ONE = {"gpu1": "0000:42:00.0 10de:1b80 vfio-pci\n0000:84:00.0 10de:1b80 vfio-pci"}


def test_all_cards_of_one_model_are_named_by_vendor_and_product():
    found = plan(ONE)
    assert found.specs == ({"vendor_id": "10de", "product_id": "1b80"},)
    assert found.host_specs == {}
    assert found.aliases == ({"name": "gtx1080", "vendor_id": "10de", "product_id": "1b80", "device_type": "type-PCI"},)


def test_the_old_recipes_name_is_the_users_to_give():
    assert plan(ONE, "newton", alias="nvidia").aliases[0]["name"] == "nvidia"


def test_device_type_is_what_the_host_says_and_not_what_the_model_is_known_for():
    for kind in ("type-PCI", "type-PF"):
        assert plan({"a": f"0000:42:00.0 10de:2330 vfio-pci {kind}"}).aliases[0]["device_type"] == kind


def test_one_model_of_two_types_has_two_aliases_and_a_reason():
    found = plan({"a": "0000:42:00.0 10de:2330 vfio-pci type-PF", "b": "0000:42:00.0 10de:2330 vfio-pci vfs=0"})
    assert [(alias["name"], alias["device_type"]) for alias in found.aliases] == [
        ("h100-sxm", "type-PF"),
        ("h100-sxm-pci", "type-PCI"),
    ]
    assert found.specs == ({"vendor_id": "10de", "product_id": "2330"},)
    assert any("make SR-IOV the same" in note for note in found.notes)


def test_a_twin_with_another_duty_makes_its_host_differ_by_address():
    found = plan(worlds.FARM)
    assert found.specs == ({"vendor_id": "10de", "product_id": "1b80"},)
    assert found.host_specs == {"gpu2": ({"vendor_id": "10de", "product_id": "1b80", "address": "0000:42:00.0"},)}
    assert any("gpu2 0000:84:00.0" in note and "nvidia has it" in note for note in found.notes)


def test_on_one_host_alone_the_addresses_are_in_the_common_list():
    found = plan({"gpu2": worlds.FARM["gpu2"]})
    assert found.specs == ({"vendor_id": "10de", "product_id": "1b80", "address": "0000:42:00.0"},)
    assert found.host_specs == {}


def test_a_host_of_which_no_card_is_meant_gets_an_empty_list_of_its_own():
    found = plan({**ONE, "gpu3": "0000:42:00.0 10de:1b80 nvidia"})
    assert found.host_specs == {"gpu3": ()}


def test_named_cards_are_taken_and_their_twins_are_not():
    found = plan(ONE, gpus={"gpu1": frozenset({"42:00.0"})})
    assert found.specs == ({"vendor_id": "10de", "product_id": "1b80", "address": "0000:42:00.0"},)


def test_a_named_card_that_is_not_prepared_is_in_with_a_warning():
    found = plan({"gpu2": worlds.FARM["gpu2"]}, gpus={"gpu2": frozenset({"0000:84:00.0"})})
    assert found.specs[0]["address"] == "0000:84:00.0"
    assert any("is in although nvidia has it" in note for note in found.notes)


def test_no_prepared_card_at_all_is_said_with_what_to_do():
    text, code = refused({"a": "0000:42:00.0 10de:1b80 nvidia\n0000:43:00.0 10de:1b80 -"})
    assert code == 1
    assert "gpuctl host prepare" in text
    assert "no driver has it" in text
    assert plan({"a": "0000:42:00.0 10de:1b80 nvidia"}, unprepared=True).specs


def test_a_variant_driver_is_prepared_as_well():
    assert plan({"a": "0009:01:00.0 10de:2342 nvgrace_gpu_vfio_pci"}).specs


def test_a_card_with_its_functions_enabled_is_left_out_and_they_are_type_vf():
    world = {"a": "0000:42:00.0 1002:74a1 vfio-pci type-PF numvfs=1\n0000:42:02.0 1002:74b5 vfio-pci pf=0000:42:00.0"}
    found = plan(world)
    assert [alias["device_type"] for alias in found.aliases] == ["type-VF"]
    assert any("virtual functions are enabled" in note for note in found.notes)


def test_functions_with_the_ids_of_their_card_are_named_by_address():
    world = {"a": "0000:42:00.0 10de:20b0 vfio-pci type-PF numvfs=1\n0000:42:02.0 10de:20b0 vfio-pci pf=0000:42:00.0"}
    assert [spec["address"] for spec in plan(world).specs] == ["0000:42:02.0"]


def test_a_domain_that_nova_skips_is_left_out():
    found = plan({"a": "10000:01:00.0 10de:1b80 vfio-pci\n0000:01:00.0 10de:1b80 vfio-pci"})
    assert found.specs[0].get("address") == "0000:01:00.0"


def test_models_whose_names_come_out_the_same_are_told_apart():
    found = plan({"a": "0000:42:00.0 ffff:20b0 vfio-pci\n0000:43:00.0 ffff:20b2 vfio-pci"})
    first, second = (alias["name"] for alias in found.aliases)
    assert first != second


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("GP104 [GeForce GTX 1080]", "gtx1080"),
        ("GP102 [TITAN X]", "titanx"),
        ("GH100 [H100 SXM5 80GB]", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("Aqua Vanjaram [Instinct MI300X]", "mi300x"),
        ("TU104GL [Tesla T4]", "t4"),
        ("GeForce RTX 4090", "rtx4090"),
        ("", "gpu-ffff-1b80"),
        ("GPU", "gpu-ffff-1b80"),
        ("ffff:1b80", "gpu-ffff-1b80"),
        ("[$(reboot)]:,{{x}}", "reboot"),
    ],
)
def test_a_models_name_makes_a_short_safe_alias(name, alias):
    assert default_alias(name, "ffff:1b80") == alias
    assert SAFE_NAME.fullmatch(alias)


@pytest.mark.parametrize(
    ("release", "wishes", "words"),
    [
        ("16", {"numa_policy": "required"}, "17"),
        ("22", {"numa_policy": "socket"}, "23"),
        ("30", {"managed": "no"}, "31"),
        ("30", {"live_migratable": "yes"}, "31"),
        ("31", {"one_time_use": True, "placement": "schedule"}, "32"),
        ("25", {"placement": "report"}, "26"),
        ("26", {"placement": "schedule"}, "--placement=report"),
        ("33", {"one_time_use": True}, "needs Placement"),
        ("33", {"resource_class": "CUSTOM_A"}, "needs Placement"),
        ("33", {"traits": ("CUSTOM_A",)}, "needs Placement"),
        ("33", {"resource_class": "a-b", "placement": "schedule"}, "capitals"),
        ("33", {"alias": "a:b"}, "':'"),
        ("33", {"alias": "a,b"}, "','"),
        ("33", {"alias": "a b"}, "letters"),
        ("33", {"aliases": {"10de": "x"}}, "vendor:device"),
        ("33", {"aliases": {"10de:ffff": "x"}}, "no host has"),
        ("33", {"filters": ("A B",)}, "no filter's name"),
        ("33", {"filters": ("A\n[pci]",)}, "no filter's name"),
        ("33", {"gpus": {"nobody": frozenset({"all"})}}, "nobody"),
        ("33", {"gpus": {"gpu1": frozenset({"0000:99:00.0"})}}, "no GPU, or more"),
    ],
)
def test_what_the_release_or_the_hosts_cannot_do_is_refused_with_the_reason(release, wishes, words):
    text, code = refused(ONE, release, **wishes)
    assert words in text
    assert code == 2


def test_one_name_for_two_models_needs_to_say_which():
    text, _ = refused(worlds.MIXED, alias="nvidia")
    assert "--alias 10de:1b80=NAME" in text


def test_two_models_may_share_a_name_where_nova_can_or_them():
    world = {"a": "0000:42:00.0 10de:20b0 vfio-pci\n0000:43:00.0 10de:20b2 vfio-pci"}
    both = {"10de:20b0": "a100", "10de:20b2": "a100"}
    assert [alias["name"] for alias in plan(world, aliases=both).aliases] == ["a100", "a100"]
    text, _ = refused(world, aliases=both, placement="schedule")
    assert "one line" in text


def test_wishes_reach_specs_and_aliases_in_the_form_that_each_takes():
    found = plan(ONE, live_migratable="yes", managed="no", numa_policy="socket")
    assert found.specs[0] == {"vendor_id": "10de", "product_id": "1b80", "managed": "no", "live_migratable": "yes"}
    assert found.aliases[0]["live_migratable"] == "yes"
    assert found.aliases[0]["numa_policy"] == "socket"
    assert "managed" not in found.aliases[0]


def test_placement_names_classes_and_traits_on_both_sides_only_when_the_scheduler_asks():
    asked = {"resource_class": "CUSTOM_GTX", "traits": ("CUSTOM_A", "CUSTOM_B"), "one_time_use": True}
    found = plan(ONE, placement="schedule", **asked)
    assert found.specs[0]["traits"] == found.aliases[0]["traits"] == "CUSTOM_A,CUSTOM_B"
    assert found.specs[0]["one_time_use"] == "yes"
    assert found.aliases[0]["resource_class"] == "CUSTOM_GTX"
    assert "resource_class" not in plan(ONE, placement="report", **asked).aliases[0]


def test_filters_keep_the_users_and_lose_what_is_gone():
    line = (
        "RetryFilter",
        "AvailabilityZoneFilter",
        "RamFilter",
        "ComputeFilter",
        "AggregateInstanceExtraSpecsFilter",
        "MyFilter",
    )
    assert plan(ONE, "19", filters=line).filters == (*tuple(n for n in line), "PciPassthroughFilter")
    found = plan(ONE, "28", filters=line)
    assert found.filters == ("ComputeFilter", "AggregateInstanceExtraSpecsFilter", "MyFilter", "PciPassthroughFilter")
    assert sum("is left out of the filters" in note for note in found.notes) == 3
    assert any("MyFilter is not a filter of Nova" in note for note in found.notes)
    old = plan(ONE, "20", filters=line)
    assert any("hide_hypervisor_id in a flavor then finds no host" in note for note in old.notes)


def test_eight_cards_in_placement_are_worth_a_word():
    found = plan({"hgx": worlds.HGX}, placement="schedule")
    assert any("limits on candidates" in note for note in found.notes)
    assert any("two allocations" in note for note in found.notes)


def test_services_are_restarted_computes_first_and_the_api_last():
    assert [step.split(":")[0].split(" ")[0] for step in plan(ONE, placement="schedule").restart] == [
        "nova-compute",
        "nova-conductor",
        "nova-scheduler",
        "nova-api",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "../../etc/cron.d/x"),
        ("host", "a b"),
        ("host", "a\n[pci]"),
        ("host", ".hidden"),
        ("address", "0000:42:00.0'; reboot '"),
        ("vendor_id", "10DE"),
        ("vendor_id", "0x10de"),
        ("device_id", "'"),
        ("address", "42:00.0"),
        ("device_id", None),
    ],
)
def test_facts_that_would_leave_their_file_are_not_taken(key, value):
    from gpuctl.nova.hosts import host_of

    document = worlds.facts("gpu1", ONE["gpu1"])
    if key == "host":
        document["host"] = value
    else:
        document["gpus"][0][key] = value
    with pytest.raises(Problem) as caught:
        host_of(document, origin="facts.json")
    assert key in caught.value.details


def test_a_short_address_does_where_only_one_card_has_it():
    world = {"gb": "0008:01:00.0 10de:2941 vfio-pci\n0009:01:00.0 10de:2941 vfio-pci\n0009:06:00.0 10de:2941 vfio-pci"}
    assert plan(world, gpus={"gb": frozenset({"06:00.0"})}).specs[0]["address"] == "0009:06:00.0"
    text, _ = refused(world, gpus={"gb": frozenset({"01:00.0"})})
    assert "0008:01:00.0, 0009:01:00.0" in text


def test_a_named_card_with_functions_enabled_is_still_left_out():
    world = {"a": "0000:42:00.0 1002:74a1 vfio-pci type-PF numvfs=8"}
    text, _ = refused(world, gpus={"a": frozenset({"0000:42:00.0"})})
    assert "8 virtual functions are enabled" in text


def test_without_a_device_type_in_the_facts_sriov_totalvfs_decides():
    from gpuctl.nova.hosts import host_of

    document = worlds.facts("a", "0000:42:00.0 10de:2330 vfio-pci vfs=16\n0000:43:00.0 10de:1b80 vfio-pci")
    for item in document["gpus"]:
        del item["nova_device_type"]
    assert [card.device_type for card in host_of(document, origin="a").cards] == ["type-PF", "type-PCI"]


def test_a_device_that_is_no_gpu_and_has_a_gpus_ids_is_kept_out_by_address():
    found = plan({"a": "0000:42:00.0 10de:1b80 vfio-pci\nnvswitch 0000:05:00.0 10de:1b80 nvidia-nvswitch"})
    assert [spec["address"] for spec in found.specs] == ["0000:42:00.0"]

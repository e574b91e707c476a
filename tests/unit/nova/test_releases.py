"""gpuctl.nova.releases: the facts of each release, and the words it goes by."""

import pytest

from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import RELEASES, by_microversion, parse_release
from gpuctl.nova.vocabulary import FILTERS_GONE, PCI_FILTER


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("33", 33),
        ("2026.1", 33),
        ("gazpacho", 33),
        ("Newton", 14),
        ("NEWTON", 14),
        ("14", 14),
        ("33.0.2", 33),
        (" xena ", 24),
        ("2023.1", 27),
        ("antelope", 27),
        ("2025.2", 32),
        ("hibiscus", 34),
        ("2026.2", 34),
        ("zed", 26),
        ("31.3.1", 31),
    ],
)
def test_a_release_goes_by_number_series_name_and_version(word, number):
    assert parse_release(word).number == number


@pytest.mark.parametrize("word", ["13", "35", "2022.1", "mitaka", "", "2026", "33.", "latest", "1e1", "٣٣"])
def test_what_is_no_release_is_told_with_all_that_are(word):
    with pytest.raises(Problem) as caught:
        parse_release(word)
    assert caught.value.exit_code == 2
    assert "newton" in caught.value.details
    assert "2026.2" in caught.value.details


def test_there_is_every_release_from_newton_to_2026_2():
    assert [release.number for release in RELEASES] == list(range(14, 35))
    assert len({release.name for release in RELEASES}) == 21


@pytest.mark.parametrize(
    ("number", "whitelist", "alias", "filters"),
    [
        (14, "[DEFAULT] pci_passthrough_whitelist", "[DEFAULT] pci_alias", "[DEFAULT] scheduler_default_filters"),
        (15, "[pci] passthrough_whitelist", "[pci] alias", "[filter_scheduler] enabled_filters"),
        (25, "[pci] passthrough_whitelist", "[pci] alias", "[filter_scheduler] enabled_filters"),
        (26, "[pci] device_spec", "[pci] alias", "[filter_scheduler] enabled_filters"),
        (34, "[pci] device_spec", "[pci] alias", "[filter_scheduler] enabled_filters"),
    ],
)
def test_options_have_the_names_of_their_release(number, whitelist, alias, filters):
    release = parse_release(str(number))
    assert (str(release.whitelist), str(release.alias), str(release.filters)) == (whitelist, alias, filters)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: str(release.number))
def test_no_default_names_a_filter_that_is_gone_and_none_has_ours(release):
    assert PCI_FILTER not in release.default_filters
    for name in release.default_filters:
        assert release.number < FILTERS_GONE.get(name, 99)


def test_xena_no_longer_reads_the_old_filter_line():
    assert len(parse_release("23").filters_names) == 2
    assert len(parse_release("24").filters_names) == 1


@pytest.mark.parametrize(
    ("number", "key", "image"),
    [
        (14, None, None),
        (16, None, "img_hide_hypervisor_id"),
        (18, "hide_hypervisor_id", "img_hide_hypervisor_id"),
        (21, "hide_hypervisor_id", "img_hide_hypervisor_id"),
        (22, "hw:hide_hypervisor_id", "img_hide_hypervisor_id"),
    ],
)
def test_kvm_is_hidden_as_the_release_has_it(number, key, image):
    release = parse_release(str(number))
    assert (release.hide_hypervisor, release.hide_hypervisor_image) == (key, image)


@pytest.mark.parametrize(
    ("maximum", "numbers"), [("2.38", [14]), ("2.87", [21, 22]), ("2.100", [31, 32]), ("2.104", [34]), ("2.1", [])]
)
def test_a_microversion_tells_one_release_or_two(maximum, numbers):
    assert [release.number for release in by_microversion(maximum)] == numbers


def test_numa_policies_and_required_ids_come_when_they_came():
    assert parse_release("16").numa_policies == ()
    assert "socket" not in parse_release("22").numa_policies
    assert "socket" in parse_release("23").numa_policies
    assert [parse_release(str(number)).alias_ids_required for number in (30, 31, 32)] == [False, None, True]

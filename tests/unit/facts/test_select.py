"""`--gpu`: twins are told apart by address, a short address is never guessed."""

from __future__ import annotations

import pytest

from gpuctl_host.errors import UsageError
from gpuctl_host.facts.select import select_gpus
from tests.unit.facts.trees import Tree, gtx1080


@pytest.fixture
def twins(tree: Tree) -> Tree:
    gtx1080(tree, "01", group=1)
    gtx1080(tree, "02", group=2)
    tree.function("0001:02:00.0", "8086:10d3", "020000", under="/sys/devices/pci0001:02")
    return tree


@pytest.mark.parametrize(
    ("selectors", "found"),
    [
        ([], ["01", "02"]),
        (["all"], ["01", "02"]),
        (["0000:02:00.0"], ["02"]),
        (["01:00.0"], ["01"]),
        (["10de:1b80"], ["01", "02"]),
        (["10DE:1B80", "0000:01:00.0"], ["01", "02"]),
        (["0000:02:00.0", "0000:01:00.0", "01:00.0"], ["01", "02"]),
    ],
)
def test_what_a_selector_means(twins: Tree, selectors: list[str], found: list[str]) -> None:
    assert [gpu.address for gpu in select_gpus(twins.facts(), selectors)] == [f"0000:{bus}:00.0" for bus in found]


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("02:00.0", "2 devices have this address: 0000:02:00.0, 0001:02:00.0"),
        ("0000:09:00.0", "no PCI device is there"),
        ("09:00.0", "no PCI device is there"),
        ("0000:01:00.1", "is a function of the card 0000:01:00.0"),
        ("0001:02:00.0", "is no GPU of 10de"),
        ("10de:ffff", "no GPU here has these ids"),
        ("0000:82.0.0", "is no selector"),
        ("", "is no selector"),
        ("*", "is no selector"),
        ("0000:01:00.9", "is no selector"),
    ],
)
def test_what_no_selector_means(twins: Tree, selector: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_gpus(twins.facts(), [selector])
    assert said in caught.value.brief
    assert caught.value.resolution

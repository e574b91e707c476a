"""Which devices a spec takes, in few words; test_nova_parsers compares the same with Nova's own code."""

import pytest

from gpuctl.nova.hosts import Card, Device
from gpuctl.nova.matching import SpecError, matcher, prefix_extras, regex_address

CARD = Device("0000:42:00.0", "10de", "1b80", None)
AUDIO = Device("0000:42:00.1", "10de", "10f0", None)
FAR = Device("0001:04:00.0", "10de", "1b80", None)
FUNCTION = Card("0000:43:00.4", "1002", "74b5", None, physfn="0000:42:00.0")


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({}, [CARD, AUDIO, FAR, FUNCTION]),
        ({"vendor_id": "0x10DE", "product_id": "1B80"}, [CARD, FAR]),
        ({"address": "42:00"}, [CARD, AUDIO]),
        ({"address": "0000:42:00.0"}, [CARD, FUNCTION]),
        ({"address": "0000:42:00.0", "vendor_id": "10de"}, [CARD]),
        ({"address": "*:42:00.0"}, [CARD]),
        ({"address": {"bus": "4"}}, [CARD, AUDIO, FUNCTION]),
        ({"address": {"bus": "04"}}, [FAR]),
        ({"address": {"bus": "42", "function": "[1-3]"}}, [AUDIO]),
        ({"address": ""}, [CARD, AUDIO, FAR, FUNCTION]),
        ({"address": "0001:*:*.*", "devname": None}, [FAR]),
    ],
)
def test_a_spec_takes_what_nova_takes(spec, taken):
    found = matcher(spec)
    assert [device for device in (CARD, AUDIO, FAR, FUNCTION) if found.takes(device)] == taken


@pytest.mark.parametrize(
    "spec",
    [
        {"vendor_id": 5},
        {"product_id": "x"},
        {"address": "1:2:3:4"},
        {"address": 5},
        {"address": {"bus": "("}},
        {"address": "0:0:20"},
    ],
)
def test_what_stops_nova_compute_is_an_error(spec):
    with pytest.raises(SpecError):
        matcher(spec)


def test_a_pattern_tells_what_it_takes_by_prefix():
    patterns = regex_address({"bus": "4", "slot": "0[0-3]", "function": "[0-3]$"})
    assert prefix_extras("bus", patterns["bus"]) == [f"4{digit:x}" for digit in range(16)]
    assert (
        prefix_extras("slot", patterns["slot"])
        == prefix_extras("function", patterns["function"])
        == prefix_extras("domain", patterns["domain"])
        == []
    )

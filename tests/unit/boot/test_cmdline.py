"""The kernel's command line by the kernel's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl_host.boot import cmdline


def test_quotes_keep_blanks_together() -> None:
    assert cmdline.split('ro  dyndbg="file a.c +p"\tquiet\n') == ("ro", 'dyndbg="file a.c +p"', "quiet")
    assert cmdline.parse('dyndbg="file a.c +p"') == cmdline.Argument("dyndbg", "file a.c +p")
    assert cmdline.parse('"dyndbg=file a.c +p"') == cmdline.Argument("dyndbg", "file a.c +p")


def test_dash_and_underscore_are_one() -> None:
    assert cmdline.has(("vfio_pci.disable-idle-d3=1",), "vfio-pci.disable_idle_d3=1")


@pytest.mark.parametrize(
    ("line", "wanted", "expected"),
    [
        ("intel_iommu=on,sm_on", "intel_iommu=on", True),  # trap 33: never a substring
        ("intel_iommu=on", "iommu=on", False),
        ("iommu=pt", "intel_iommu=pt", False),
        ("intel_iommu=on intel_iommu=off", "intel_iommu=on", False),  # the last one counts
        ("intel_iommu=off intel_iommu=on", "intel_iommu=on", True),
        ("quiet -- intel_iommu=on", "intel_iommu=on", False),  # behind --: init's
        ("iommu=nopt", "iommu=pt", False),
        ("iommu", "iommu=pt", False),
        ("quiet", "quiet", True),
        ("quiet=1", "quiet", False),
    ],
)
def test_has(line: str, wanted: str, *, expected: bool) -> None:
    assert cmdline.has(cmdline.split(line), wanted) is expected


def test_merge_stays_before_what_is_inits() -> None:
    tokens = cmdline.split("ro quiet -- splash")
    assert cmdline.merge(tokens, ("iommu=pt",)) == ("ro", "quiet", "iommu=pt", "--", "splash")


def test_what_turns_it_off() -> None:
    assert cmdline.turns_off(("iommu=off", "iommu=pt")) == ("iommu=off",)
    assert cmdline.turns_off(("intel_iommu=off", "intel_iommu=on")) == ()
    assert cmdline.turns_off(("intel_iommu=on", "intel_iommu=off")) == ("intel_iommu=off",)
    assert cmdline.turns_off(("noiommu", "amd_iommu=off")) == ("noiommu", "amd_iommu=off")


_token = st.from_regex(r"[a-z_-]{1,6}(=[a-z0-9,_]{0,6})?", fullmatch=True).filter(lambda token: token != "--")


@given(st.lists(_token), st.lists(_token, max_size=4))
def test_merge_makes_it_so_and_twice_is_once(tokens: list[str], wanted: list[str]) -> None:
    wanted = list({cmdline.parse(item).key: item for item in wanted}.values())  # no wish contradicts itself
    merged = cmdline.merge(tokens, wanted)
    assert not cmdline.missing(merged, wanted)
    assert cmdline.merge(merged, wanted) == merged
    assert cmdline.split(cmdline.join(merged)) == merged


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    tokens = cmdline.split(text)
    cmdline.turns_off(tokens)
    cmdline.merge(tokens, ("iommu=pt",))

"""What is written, by release and layout, against tests/unit/nova/golden (written anew by python -m tests.unit.nova.golden)."""

import pytest

from gpuctl.nova.config.layouts import LAYOUTS
from tests.unit.nova import golden

CASES = list(golden.cases())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("world", ["farm", "mixed"])
def test_every_release_writes_what_its_golden_file_has(world, layout):
    for case in CASES:
        if case[:2] == (world, layout):
            assert golden.text(*case) == golden.path(*case).read_text("utf-8"), case


def test_there_is_no_golden_file_of_nobody():
    assert {golden.path(*case) for case in CASES} == set(golden.HERE.rglob("*.txt"))

"""One lab for all tests of the moves: with Placement blind to the cards first, then with tracking on.

GPUCTL_OPENSTACK_LAB=FOLDER takes the lab of that state folder instead, and leaves it up: for working on these tests.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from . import Lab, Unavailable
from .services import overrides

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from .product import Product


@pytest.fixture(scope="session")
def moves_lab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab that is up."""
    kept = os.environ.get("GPUCTL_OPENSTACK_LAB")
    one = Lab(kept or tmp_path_factory.mktemp("lab-moves"))
    try:
        one.up()
    except Unavailable as error:
        pytest.skip(str(error))
    try:
        yield one
    finally:
        if not kept:
            one.down(purge=not request.session.testsfailed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """What nova-compute complained of before a test failed is part of its report: the lab may be gone by then."""
    report: Any = yield
    lab = getattr(item, "funcargs", {}).get("moves_lab")
    if report.failed and lab is not None:
        said = [
            f"{path.stem}: {line}"
            for path in sorted(lab.layout.log.glob("compute-*.log"))
            for line in _complaints(path)
        ]
        report.sections.append(("the newest errors of the lab's nova-computes", "\n".join(said)))
    return report


def _complaints(path: Path, most: int = 12) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 400_000))
        lines = file.read().decode(errors="replace").splitlines()
    return [line[:400] for line in lines if re.search(r" ERROR nova|Error: |lab: fault", line)][-most:]


@pytest.fixture(scope="session", params=[False, True], ids=["untracked", "tracked"])
def tracked(moves_lab: Lab, request: pytest.FixtureRequest) -> bool:
    """Whether Placement tracks the cards; it is so now."""
    on = bool(request.param)
    now = overrides(moves_lab.layout, "nova-scheduler").get("filter_scheduler", {}).get("pci_in_placement") == "true"
    moves_lab.reset()
    if now != on:
        moves_lab.track_in_placement(on=on)
    return on


@pytest.fixture
def cloud(moves_lab: Lab, tracked: bool) -> Iterator[Lab]:
    """An empty cloud, as the test before left it; what this one leaves is taken away."""
    del tracked
    yield moves_lab
    moves_lab.reset()


@pytest.fixture
def gpuctl(cloud: Lab, tmp_path: Path) -> Iterator[Product]:
    """gpuctl, as its users run it, before that cloud."""
    from .product import Product

    one = Product(cloud, tmp_path / "state")
    one.forget()
    yield one
    one.forget()

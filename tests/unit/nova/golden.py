"""Golden files of `gpuctl nova configure`: what every layout says for every release.

To write them anew, after reading the diff: python -m tests.unit.nova.golden
"""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent / "golden"
# Every release and layout has the farm; the other world is there where a release changed what can be said of it.
MIXED = (15, 17, 23, 26, 27, 31, 34)


def cases():
    """Yield (world, layout, release's number)."""
    from gpuctl.nova.config.layouts import LAYOUTS
    from gpuctl.nova.releases import RELEASES

    for layout in LAYOUTS:
        yield from (("farm", layout, release.number) for release in RELEASES)
        yield from (("mixed", layout, number) for number in MIXED)


def configuration(world, number):
    """The configuration of a case: the farm under one name; the mixed hosts with all that the release has."""
    from gpuctl.nova.config.plan import configure
    from gpuctl.nova.config.wishes import Wishes
    from gpuctl.nova.releases import parse_release
    from tests.unit.nova import worlds

    if world == "farm":
        wishes = Wishes(alias="nvidia")
        return configure(worlds.hosts(worlds.FARM), parse_release(str(number)), wishes)
    wishes = Wishes(
        aliases={"10de:1b80": "gtx"},
        filters=("RetryFilter", "AvailabilityZoneFilter", "ComputeFilter", "AggregateInstanceExtraSpecsFilter"),
        numa_policy="socket" if number >= 23 else "required" if number >= 17 else None,
        managed="no" if number >= 31 else None,
        live_migratable="no" if number >= 31 else None,
    )
    return configure(worlds.hosts(worlds.MIXED), parse_release(str(number)), wishes)


def text(world, layout, number):
    """The files of a case as one text, and the notes; or why there are none."""
    from gpuctl.nova.config.layouts import render
    from gpuctl.nova.problem import Problem

    chosen = configuration(world, number)
    try:
        rendered = render(layout, chosen)
    except Problem as problem:
        return f"refused: {problem.brief}\n{problem.details}\n{problem.resolution}\n"
    files = "".join(f"==> {name}\n{content}\n" for name, content in rendered.files.items())
    return files + "==> notes\n" + "".join(f"{note}\n" for note in (*chosen.notes, *rendered.notes))


def path(world, layout, number):
    """Where a case's golden file is."""
    return HERE / world / layout / f"{number}.txt"


def main():
    """Write them all, and take away what is nobody's."""
    wanted = {path(*case): text(*case) for case in cases()}
    for old in HERE.rglob("*.txt"):
        if old not in wanted:
            old.unlink()
    for file, content in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

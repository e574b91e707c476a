"""Walk a file's past backwards: to what it was before the first run, as far as every step on the way is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl_host.changes.past import Image


@frozen
class Point:
    """What one run found and left at a path; None: no file."""

    before: Image | None
    after: Image | None


@frozen
class Way:
    """Where a path goes.

    Attributes:
        goal: what shall be there; None: no file.
        broken: somebody else changed the file on the way.
        saved: where broken: the version that cannot be at the path too, to be kept elsewhere.
    """

    goal: Image | None
    broken: bool = False
    saved: Image | None = None


def walk_back(points: Sequence[Point], present: Image | None) -> Way:
    """Return where a file that the runs of ``points`` (the oldest first) wrote goes, now that it is ``present``.

    A version of somebody else's is never lost: it stays where the file was before gpuctl, and what was there then is
    saved; where there was no file, the version itself is saved, so that nothing of ours stays in force.
    """
    line = [image for point in points for image in (point.before, point.after)]
    first = points[0].before
    state = present
    place = _last(line, present)
    while place is not None:
        run = place // 2
        state = line[2 * run]
        if run == 0:
            return Way(state)
        place = _last(line[: 2 * run], state)
    if first is None:
        return Way(None, broken=True, saved=state)
    return Way(state, broken=True, saved=first)


def _last(line: list[Image | None], image: Image | None) -> int | None:
    """The last place where ``image`` stands in ``line``: the same file, else the same content."""
    if image is None:
        places = [n for n, item in enumerate(line) if item is None]
    else:
        places = [n for n, item in enumerate(line) if image.is_same(item)] or [
            n for n, item in enumerate(line) if image.like(item)
        ]
    return places[-1] if places else None

"""GENERATED: a command of the host rewrites files of its own; their before-images go back byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl_host.apply.codec import image_in, images_out
from gpuctl_host.changes.again import writes_everywhere
from gpuctl_host.changes.past import Image, PastChange
from gpuctl_host.changes.restore import PUT_BACK, parse_put_back
from gpuctl_host.errors import ReadBackFailed, StalePlan, ToolError

if TYPE_CHECKING:
    from gpuctl_host.apply.outcome import Site
    from gpuctl_host.changes.model import Change

_SLACK = 60.0  # seconds that a killed command may have gone on


def paths_of(site: Site, change: Change) -> tuple[str, ...]:
    """Return the files that the command rewrites: those named, and where they lead if they are links."""
    found = dict.fromkeys(change.paths)
    for path in change.paths:
        if site.host.link(path) is not None:
            found[site.host.resolve(path)] = None
    return tuple(found)


def is_put_back(change: Change) -> bool:
    """Say whether it is a restore's: no command, but a before-image."""
    return isinstance(change.after, str) and change.after.startswith(PUT_BACK)


def intend(site: Site, change: Change) -> dict[str, Any]:
    """Every file that will be rewritten is kept; return their images."""
    return {"images": images_out({path: site.blobs.keep_file(path) for path in paths_of(site, change)})}


def act(site: Site, change: Change) -> None:
    """The command has ended well.

    Raises:
        ToolError: it failed or did not end.
        StalePlan: a file that a restore would put back is no longer what the plan saw.
    """
    if is_put_back(change):
        _put_back(site, change)
        return
    result = site.host.run(change.argv, timeout=change.timeout)
    site.host.forget()
    if result.returncode:
        raise ToolError(
            f"{change.argv[0]} failed (exit status {result.returncode})",
            details=(result.stderr.strip() or result.stdout.strip())[-2000:],
            resolution=f"run it by hand and see what it says: {' '.join(change.argv)}",
        )


def _put_back(site: Site, change: Change) -> None:
    (path,) = change.paths
    image = parse_put_back(str(change.after))
    present = site.files.seen(path).image
    if present is None and image is None:
        return
    if present is not None and present.is_same(image):
        return
    if present is not None and isinstance(change.before, str) and present.sha256 not in change.before:
        raise StalePlan(f"{path} has changed since the plan was made", resolution="run the same command again")
    site.blobs.put_back(path, image)


def read_back(site: Site, change: Change, before: dict[str, Image | None]) -> dict[str, Any]:
    """The files were read again and are there; return their images.

    Raises:
        ReadBackFailed: the command says that all is well, but a file is missing or empty.
    """
    results = {path: site.files.seen(path).image for path in paths_of(site, change)}
    if is_put_back(change):
        image, present = parse_put_back(str(change.after)), results[change.paths[0]]
        if (present is None) != (image is None) or (present is not None and not present.like(image)):
            raise ReadBackFailed(
                f"{change.paths[0]} is not what was put back", resolution="see dmesg for the disk's errors"
            )
    else:
        for path in change.paths:
            image, had = results[path], before.get(path)
            # A path may be one that the command writes on some hosts only; one that was there has to be there.
            if (image is None and (had is not None or not any(results.values()))) or (
                image is not None and not image.size
            ):
                raise ReadBackFailed(
                    f"{change.argv[0]} said that all is well, but {path} is {'empty' if image else 'missing'}",
                    resolution=f"run it by hand and see what it says: {' '.join(change.argv)}",
                )
    return {"results": images_out(results)}


def undo(site: Site, past: PastChange) -> tuple[bool, str | None]:
    """Every file is as before the command, or was made anew since.

    Returns:
        Whether the command has to run again once all files are as before, and what is wrong.
    """
    again = writes_everywhere(past.argv)
    for path, before in past.images.items():
        seen = site.files.seen(path)
        if seen.image is None and before is None:
            continue
        if seen.image is not None and seen.image.is_same(before):
            continue
        if made_later(past, path, seen.image, seen.mtime):
            again = True
            continue
        site.blobs.put_back(path, before)
    return again, None


def made_later(past: PastChange, path: str, present: Image | None, mtime: float) -> bool:
    """Say whether somebody else made the file at ``path`` anew after the run's own command."""
    if past.results is not None:
        after = past.results.get(path)
        return present is not None and not present.like(after)
    return mtime > past.intended_at + past.timeout + _SLACK


def images_of(note: dict[str, Any]) -> dict[str, Image | None]:
    """Return the images that an intend noted."""
    return {path: image_in(value) for path, value in note.get("images", {}).items()}

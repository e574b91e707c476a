"""Sizes as a person types them."""

from __future__ import annotations

from gpuctl.cli.failure import Failure


def size(text: str) -> int | str:
    """Return a number, or the text: "240GiB" and "240G" are "240 GiB"."""
    if text.isdigit():
        return int(text)
    number = text.rstrip("iBMGT ")
    unit = text[len(number) :].strip()
    return f"{number} {unit[0]}iB" if unit else text


def mebibytes(text: str | None) -> int | None:
    """Return the MiB of a size.

    Raises:
        Failure: it is none (exit 2).
    """
    from gpuctl.flavors.catalogue import mib

    if text is None:
        return None
    try:
        return mib(size(text))
    except (ValueError, KeyError) as error:
        raise Failure(
            f"{text} is no size", resolution="say MiB, or a number with MiB, GiB or TiB", exit_code=2
        ) from error

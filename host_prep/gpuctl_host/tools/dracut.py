"""dracut: images of the RHEL family, SUSE, and Debian where it was chosen."""

from __future__ import annotations


def argv(image: str, release: str) -> tuple[str, ...]:
    """Return the command that makes one kernel's image anew in place."""
    return ("dracut", "--force", image, release)

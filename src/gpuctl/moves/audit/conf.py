"""The aliases of a nova.conf, read as `gpuctl nova check` reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def alias_names(files: Iterable[str]) -> frozenset[str]:
    """Return the names that `[pci] alias` has in any of these files.

    Raises:
        Problem: one cannot be read.
    """
    from gpuctl.nova.lint.sources import read_services
    from gpuctl.nova.lint.view import View

    services, _ = read_services(files)
    view = View(services, None, None)
    return frozenset(str(item.fields["name"]) for service in services for item in view.good_aliases(service))

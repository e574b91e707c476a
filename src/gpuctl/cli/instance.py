"""`gpuctl instance ...`: GPU servers that move, and what moves leave behind."""

from __future__ import annotations

import click

from gpuctl.cli import instance_books, instance_drain, instance_migrate, instance_recover


@click.group(name="instance", context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """GPU servers: where their cards are, moved, recovered, and nothing leaked.

    Example: gpuctl instance audit
    """


instance_books.add_to(group)
instance_drain.add_to(group)
instance_migrate.add_to(group)
instance_recover.add_to(group)

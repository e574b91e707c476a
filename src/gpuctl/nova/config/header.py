"""The comment on top of every file: whose it is, what it is for, what has to be restarted."""

from __future__ import annotations

from gpuctl.nova.config.plan import Configuration

MARK = "# Written by gpuctl nova configure"


def header(configuration: Configuration, *about: str) -> str:
    """Return the comment lines, the mark first: that is how a later run knows the file as its own.

    Args:
        configuration: of which the file is a part.
        about: what this file is, and the traps of its tool, a line each.
    """
    hosts = ", ".join(configuration.hosts)
    if len(configuration.hosts) > 8:
        hosts = f"{len(configuration.hosts)} hosts, {configuration.hosts[0]} to {configuration.hosts[-1]}"
    lines = [f"{MARK} for Nova {configuration.release}", f"# from the facts of: {hosts}"]
    lines += [f"# {line}" for line in about]
    lines.append("# Restart, in this order, one at a time:")
    lines += [f"#   {number}. {step}" for number, step in enumerate(configuration.restart, 1)]
    return "\n".join(lines) + "\n\n"

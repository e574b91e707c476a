"""Real shell scripts of a simulated host, run by this machine's /bin/sh with every absolute path led below a root.

No namespace and no chroot is needed, so that it works anywhere; the price is that paths are rewritten in the text:
"/etc/x" becomes "ROOT/etc/x" wherever no word, "}" or "." stands before it ("$DESTDIR/etc" is left).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

_PATHS = re.compile(
    r"(?<![\w}./])/(etc|usr/share|usr/lib|lib/modules|lib/udev|var|boot|sys|proc|run|scripts|conf|dev(?!/null))(?=[/\s\"';)*}]|$)"
)


def redirected(script: str, roots: Mapping[str, str], default: str) -> str:
    """Return the script with its absolute paths below a root.

    Args:
        script: POSIX shell.
        roots: first path component -> root; others go below ``default``.
    """
    lines = script.split("\n")
    first = lines[0] if lines[0].startswith("#!") else None
    body = "\n".join(lines[1:] if first else lines)
    return (first + "\n" if first else "") + _PATHS.sub(
        lambda found: roots.get(found.group(1).split("/")[0], default) + found.group(0), body
    )


def run(
    script: str,
    *,
    env: Mapping[str, str],
    folder: str,
    args: tuple[str, ...] = (),
    interpreter: str = "/bin/sh",
    timeout: float = 20,
) -> subprocess.CompletedProcess[str]:
    """Run a script's text; PATH has this machine's own tools after ``folder``, which holds the simulated ones."""
    environment: dict[str, str] = {"PATH": f"{folder}:/usr/bin:/bin", "LC_ALL": "C", **env}
    return subprocess.run(
        [interpreter, "-s", "--", *args] if not args else [interpreter, "-c", script, "script", *args],
        input=script if not args else None,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        cwd=folder or os.sep,
    )

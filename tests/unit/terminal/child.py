"""The process at the terminal: takes the terminal that TERMINAL names as its own, then is gpuctl, in a scene if one is named.

`python -m tests.unit.terminal.child SCENE WORDS...`; the scene "real" is the console script itself.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Be gpuctl."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that a shell began in its background ignore it
    os.close(os.open(os.environ.pop("TERMINAL"), os.O_RDWR))  # a session's first terminal is its own: Ctrl-C reaches it
    scene, *words = sys.argv[1:]
    if scene == "real":
        os.execv(os.path.join(sys.prefix, "bin/gpuctl"), ["gpuctl", *words])  # noqa: S606 - the very script
    from gpuctl.cli.main import main as gpuctl
    from tests.unit.terminal import scenes

    sys.argv = ["gpuctl", *words]
    sys.exit(gpuctl(words, obj=getattr(scenes, scene)()))


if __name__ == "__main__":
    main()

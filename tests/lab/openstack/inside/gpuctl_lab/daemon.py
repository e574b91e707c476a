"""Runs one of Nova's daemons: `python -m gpuctl_lab.daemon KIND READY-FILE NOVA-OPTIONS...`.

Nova's own code; the only addition for all kinds is that the daemon says when it takes requests.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Runs until it is told to end."""
    kind, ready = sys.argv[1], Path(sys.argv[2])
    sys.argv[:] = [f"nova-{kind}", *sys.argv[3:]]
    # First of all: Nova chooses between threads and eventlet here, and wants to be the first to import either.
    command = importlib.import_module(f"nova.cmd.{kind}")
    if kind == "compute":
        _install_once_configured()
    from nova.servicegroup import api as servicegroup

    # Else the first report comes after 5 s, and a host that was away for long counts as down until then.
    servicegroup.INITIAL_REPORTING_DELAY = 0
    _say_when_ready(ready)
    command.main()


def _install_once_configured() -> None:
    """The stand-ins will be put in place as soon as Nova has read its configuration.

    Not earlier: some of the modules that they import read options while they are imported (the audits' spacing is one).
    """
    from nova import config

    original = config.parse_args

    def parse_args(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        from gpuctl_lab import patience, standins

        standins.install()
        patience.wait_for_placement()

    config.parse_args = parse_args


def _say_when_ready(ready: Path) -> None:
    """The file appears once the service's RPC server listens."""
    from nova import service

    original = service.Service.start

    def start(self: Any) -> None:
        original(self)
        ready.write_text(self.host, encoding="utf-8")

    service.Service.start = start


main()

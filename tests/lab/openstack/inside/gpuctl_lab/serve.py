"""Serves one service's WSGI application: `python -m gpuctl_lab.serve MODULE PORT`."""

import importlib
import sys

import waitress


def main() -> None:
    """Serves until it is told to end."""
    module, port = sys.argv[1], int(sys.argv[2])
    # The services parse sys.argv for options of their own.
    del sys.argv[1:]
    application = importlib.import_module(module).application
    waitress.serve(application, host="127.0.0.1", port=port, threads=8, ident=None)


main()

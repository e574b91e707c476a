"""The zipapp's way in: one JSON request on standard input (or as the only argument), JSON lines out."""

from __future__ import annotations

import json
import sys
from typing import Any

from gpuctl_host.entry import serve


def main() -> int:
    """Answer one request; the exit status is the answer's (CONTRACT: Exit codes)."""
    text = sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read()
    try:
        request = json.loads(text)
    except ValueError:
        request = None
    if not isinstance(request, dict):
        request = {"command": None}
        if text.strip() in ("-h", "--help", ""):
            sys.stderr.write(
                'usage: gpuctl-host.pyz \'{"command": "check"}\'   (or the request on standard input);'
                " see docs/reference/zipapp.md\n"
            )
            return 2
    return serve(request, _emit_plain if request.get("plain") is True else _emit)


def _emit_plain(event: dict[str, Any]) -> None:
    """The one line for a person's log, in place of JSON."""
    if event["event"] == "error":
        sys.stderr.write(f"{event['brief']}: {event['resolution']}\n")
    elif "line" in event.get("document", {}):
        sys.stdout.write(event["document"]["line"] + "\n")


def _emit(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

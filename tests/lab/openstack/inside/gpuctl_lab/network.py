"""A stand-in for Neutron: a cloud without networks. Nova asks for the ports of a server even where it has none."""

import json
from collections.abc import Callable, Iterable
from typing import Any

_COLLECTIONS = ("ports", "networks", "subnets", "security-groups", "floatingips", "routers", "agents")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers GET of a collection with an empty one, and everything else with 404."""
    path = environ.get("PATH_INFO", "").strip("/").split("/")
    status, body = "404 Not Found", {"NeutronError": {"type": "NotFound", "message": "no such thing", "detail": ""}}
    if path == [""]:
        status, body = "200 OK", {"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]}
    elif path == ["v2.0", "extensions"]:
        status, body = "200 OK", {"extensions": []}
    elif len(path) == 2 and path[0] == "v2.0" and path[1] in _COLLECTIONS and environ["REQUEST_METHOD"] == "GET":
        status, body = "200 OK", {path[1].replace("-", "_"): []}
    data = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]

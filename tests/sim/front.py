"""HTTP and Keystone in front of a simulated cloud, and the faults of both."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from .nova import NovaSim

ADMIN_PROJECT = "0" * 31 + "1"
PROJECTS = {"admin": ADMIN_PROJECT, "research": "a" * 32, "teaching": "b" * 32}


@dataclass
class Fault:
    """What goes wrong with the next requests that match."""

    method: str
    path: re.Pattern[str]
    kind: int | str
    times: int
    skip: int
    retry_after: int | None
    seconds: float = 0.0


class Answer(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str = "no") -> None:
        super().__init__(text)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """HTTP, and the faults."""

    cloud: NovaSim
    others: tuple[tuple[str, str], ...] = (("image", "glance"), ("placement", "placement"))
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        address = urlsplit(self.path)
        said = self.headers.get("OpenStack-API-Version", "compute 2.1").rpartition(" ")[2]
        self.cloud.asked.append((method, self.path, said))
        self.cloud.enter()
        try:
            if self.cloud.delay:
                time.sleep(self.cloud.delay)
            self._faulty(method, address.path, parse_qs(address.query), body, said)
        finally:
            self.cloud.leave()

    def _faulty(self, method: str, path: str, query: dict[str, list[str]], body: Any, said: str) -> None:
        fault = self.cloud.fault_for(method, path)
        if fault is None:
            return self._answer(*self._done(method, path, query, body, said))
        if fault.kind == "reset-before":
            return self._reset()
        if isinstance(fault.kind, int):
            headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
            return self._answer(
                fault.kind,
                {"computeFault": {"code": fault.kind, "message": f"told to fail with {fault.kind}"}},
                headers,
            )
        self._done(method, path, query, body, said)
        if fault.kind == "reset-after":
            return self._reset()
        return self._answer(504, {"message": "Gateway Timeout"})

    def _done(self, method: str, path: str, query: dict[str, list[str]], body: Any, said: str) -> tuple[Any, ...]:
        try:
            if path.startswith("/identity"):
                return self._keystone(method, path.removeprefix("/identity"), query)
            if path.startswith("/image"):
                return 200, {"images": [{"id": "image-1", "disk_format": "raw"}]}
            if path.startswith("/placement"):
                return 200, {"allocations": self.cloud.allocations}
            if path.rstrip("/") == "/compute/v2.1":
                link = {"rel": "self", "href": f"{self.cloud.url}/compute/v2.1/"}
                return 200, {
                    "version": {
                        "id": "v2.1",
                        "status": "CURRENT",
                        "version": self.cloud.newest,
                        "min_version": "2.1",
                        "links": [link],
                    }
                }
            if not self.headers.get("X-Auth-Token", "").startswith("token-"):
                raise Answer(401, "The request you have made requires authentication.")
            version = tuple(int(part) for part in said.split("."))
            if version > tuple(int(part) for part in self.cloud.newest.split(".")):
                raise Answer(406, f"Version {said} is not supported by the API.")
            return self.cloud.serve(method, path.removeprefix("/compute/v2.1"), query, body, version)  # type: ignore[arg-type]
        except Answer as error:
            return error.status, {"badRequest": {"code": error.status, "message": str(error)}}

    def _keystone(self, method: str, path: str, query: dict[str, list[str]]) -> tuple[Any, ...]:
        base = f"{self.cloud.url}/identity/v3"
        if path.rstrip("/") == "/v3":
            return 200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{base}/"}]}}
        if path == "/v3/projects":
            wanted = query["name"][0]
            return 200, {"projects": [{"id": PROJECTS[wanted], "name": wanted}] if wanted in PROJECTS else []}
        self.cloud.logins += 1
        ends = [("compute", "nova", f"{self.cloud.url}/compute/v2.1"), ("identity", "keystone", base)]
        ends += [(kind, name, f"{self.cloud.url}/{kind}") for kind, name in self.others]
        catalog = [
            {"type": kind, "name": name, "id": name, "endpoints": [
                {"id": f"{name}-{interface}", "interface": interface, "region": "RegionOne", "region_id": "RegionOne", "url": url}
                for interface in ("public", "internal", "admin")]}
            for kind, name, url in ends
        ]  # fmt: skip
        token = {"methods": ["password"], "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z", "catalog": catalog,
                 "user": {"id": "1", "name": "admin", "domain": {"id": "default", "name": "Default"}}, "roles": [{"id": "1", "name": "admin"}],
                 "project": {"id": ADMIN_PROJECT, "name": "admin", "domain": {"id": "default", "name": "Default"}}}  # fmt: skip
        return 201, {"token": token}, {"X-Subject-Token": f"token-{self.cloud.logins}"}

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        """The connection breaks without an answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may have been tired of waiting
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

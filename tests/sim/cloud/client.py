"""Plain requests to the simulated cloud, and its side door from another process."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

VERSIONS = {"compute": "2.96", "placement": "1.36"}


class Refused(Exception):
    """The cloud said no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Client:
    """An admin of the cloud, who asks for a microversion unless a call says another."""

    def __init__(self, url: str, compute: str = VERSIONS["compute"]) -> None:
        self._versions = {**VERSIONS, "compute": compute}
        self._address = urlsplit(url).netloc
        self._token = ""

    def call(
        self, service: str, method: str, path: str, body: Any = None, *, version: str = ""
    ) -> tuple[int, Any, dict[str, str]]:
        """(status, body, headers) of a request, after a login if there was none.

        Raises:
            Refused: 400 and more.
        """
        if not self._token:
            self._token = self._send("POST", "/identity/v3/auth/tokens", {"auth": {}}, {})[2]["X-Subject-Token"]
        prefix = {"compute": "/compute/v2.1", "image": "/image/v2", "network": "/network/v2.0"}.get(
            service, f"/{service}"
        )
        headers = {"X-Auth-Token": self._token}
        if service in self._versions:
            headers["OpenStack-API-Version"] = f"{service} {version or self._versions[service]}"
        return self._send(method, prefix + path, body, headers)

    def get(self, path: str, *, service: str = "compute", version: str = "") -> Any:
        """The body of a GET."""
        return self.call(service, "GET", path, version=version)[1]

    def server(self, server: str) -> dict[str, Any]:
        """A server as the API shows it."""
        shown: dict[str, Any] = self.get(f"/servers/{server}")["server"]
        return shown

    def act(self, server: str, name: str, said: Any = None, *, version: str = "") -> tuple[int, str]:
        """(status, request id) of an action."""
        status, _, headers = self.call("compute", "POST", f"/servers/{server}/action", {name: said}, version=version)
        return status, headers["x-openstack-request-id"]

    def events(self, server: str, request: str = "") -> tuple[str | None, dict[str, str | None]]:
        """The newest action's message (or that of a request), and the details of its failed events."""
        newest = request or self.get(f"/servers/{server}/os-instance-actions")["instanceActions"][0]["request_id"]
        one = self.get(f"/servers/{server}/os-instance-actions/{newest}")["instanceAction"]
        return one["message"], {each["event"]: each["details"] for each in one["events"] if each["result"] == "Error"}

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json", **headers},
            )
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status >= 400:
                raise Refused(answer.status, text)
            return answer.status, json.loads(text) if text else None, dict(answer.getheaders())
        finally:
            connection.close()


class RemoteSim:
    """A MovesSim in another process: `RemoteSim(url).inject("gpu-a", "ssh")`; what comes back is JSON."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = Client(url)

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._client._send("POST", f"/sim/{name}", {"args": args, "kwargs": kwargs}, {})[1]["answer"]

        return call

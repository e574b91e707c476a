"""A few REST calls with a token, so that the lab needs no OpenStack client of its own."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from . import config
from .layout import Ports

NOVA_MICROVERSION = "2.100"
PLACEMENT_MICROVERSION = "1.37"


class Rest:
    """Speaks to a lab's services as its admin."""

    def __init__(self, ports: Ports) -> None:
        self._endpoints = config.endpoints(ports)
        self._token = ""
        self._token_age = 0.0

    def call(self, service: str, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; None where there is none.

        Raises:
            urllib.error.HTTPError: any status from 400 up; its `.read()` says what the service said.
        """
        headers = {
            "X-Auth-Token": self.token(),
            "OpenStack-API-Version": f"{service} {self._microversion(service)}",
            "Accept": "application/json",
        }
        data: bytes | None = None
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/octet-stream"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(  # noqa: S310  # our own loopback addresses
            self._endpoints[service] + path, data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=180) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def delete(self, service: str, path: str) -> None:
        """The thing is gone, or going; one that was gone already is fine."""
        try:
            self.call(service, "DELETE", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            error.close()

    def token(self) -> str:
        """A valid admin token."""
        if not self._token or time.monotonic() - self._token_age > 3600:
            user = {"name": config.USER, "domain": {"id": "default"}, "password": config.PASSWORD}
            scope = {"project": {"name": config.USER, "domain": {"id": "default"}}}
            auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
            request = urllib.request.Request(  # noqa: S310
                self._endpoints["identity"] + "/auth/tokens",
                data=json.dumps({"auth": auth}).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=180) as answer:  # noqa: S310
                self._token = answer.headers["X-Subject-Token"]
            self._token_age = time.monotonic()
        return self._token

    @staticmethod
    def _microversion(service: str) -> str:
        return {"compute": NOVA_MICROVERSION, "placement": PLACEMENT_MICROVERSION}.get(service, "latest")

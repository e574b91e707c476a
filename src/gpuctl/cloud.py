"""A cloud's APIs behind the few calls that we need: explicit microversions, and an honest answer when one is lost.

What may be asked twice is asked again here (a reading, a deletion, a merge). What may not be (making a thing) is told
to the caller as Uncertain, who has to look what became of it.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import warnings
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gpuctl.cloud_errors import (
    LATER,
    NOT_DONE,
    CloudError,
    NoSuchCloud,
    NotAuthorised,
    Rejected,
    Uncertain,
    Unreachable,
    from_client,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keystoneauth1.adapter import Adapter

__all__ = [
    "Cloud",
    "CloudError",
    "NoSuchCloud",
    "NotAuthorised",
    "Rejected",
    "Service",
    "Uncertain",
    "Unreachable",
    "connect",
]

Microversion = tuple[int, int]

TRIES = 5
TIMEOUT = 120.0  # seconds without an answer, where clouds.yaml has no api_timeout
LONGEST_PAUSE = 60.0  # seconds: a Retry-After beyond it is not waited for
_PASSING = (500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer; ``request`` is the id that the API's logs and Nova's instance actions know it by."""

    status: int
    body: dict[str, Any]
    request: str = ""


@dataclass
class Service:
    """One API of a cloud.

    Attributes:
        adapter: keystoneauth's, which knows the endpoint and renews the token once it has run out.
        kind: "compute", "identity", ...: the name that goes with a microversion.
        asked: how many requests were sent (retries too).
        ahead: seconds by which the API's clock was ahead of this machine's at its last answer, by its Date header.
    """

    adapter: Adapter
    kind: str
    pause: Callable[[float], None] = field(default_factory=lambda: pause)
    asked: int = 0
    ahead: float = 0.0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def root(self) -> str:
        """The API's versioned address, from the service catalogue; keystoneauth would ask two or three times for it."""
        from keystoneauth1 import exceptions

        try:
            said = self.adapter.endpoint_override or self.adapter.get_endpoint(skip_discovery=True)
        except (exceptions.ClientException, OSError) as error:
            raise from_client(f"the {self.kind} API", error) from error
        if not said:
            raise Unreachable(
                f"the cloud has no {self.kind} API here",
                resolution="look at region and interface, and at openstack catalog list",
            )
        return versioned(str(said), _ROOTS.get(self.kind, ""))

    def newest(self) -> Microversion:
        """Return the newest microversion that the API says it has: one request, the first time.

        Raises:
            CloudError: it could not be asked, or says nothing of the kind.
        """
        return self._newest

    @cached_property
    def _newest(self) -> Microversion:
        body = self.ask("GET", "/", f"ask the {self.kind} API for its version").body
        said = str((body.get("version") or {}).get("version", ""))
        major, dot, minor = said.partition(".")
        if not dot or not major.isdigit() or not minor.isdigit():
            raise Unreachable(
                f"{self.root} does not say which microversions it has",
                resolution="is that the endpoint of the service? openstack catalog list",
            )
        return int(major), int(minor)

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: Mapping[str, Any] | None = None,
        version: Microversion | None = None,
        once: str = "",
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """Return the answer to a request that succeeded.

        Args:
            method: GET, POST, ...
            path: below the endpoint.
            what: the request in words, for messages: "create flavor gpu.1".
            body: sent as JSON.
            version: the microversion to ask for.
            once: not empty where asking twice could do it twice; then a lost answer raises Uncertain at once.
            accept: statuses of 400..499 that are an answer, not an error.

        Raises:
            Rejected: 400..499, but 401 and 403.
            NotAuthorised: 401 (after the token was renewed), 403.
            Unreachable: no connection could be made.
            Uncertain: the connection broke afterwards, or 500..599; for what may be repeated, after TRIES tries.
        """
        for attempt in range(1, TRIES + 1):
            wait = min(0.25 * 2**attempt, 8.0)
            try:
                response = self._send(method, path, body, version)
            except Uncertain as error:
                if once or attempt == TRIES:
                    raise Uncertain(f"{what}: {error.brief}", details=error.details, resolution=LATER) from error
            else:
                if response.status_code < 400 or response.status_code in accept:
                    return Answer(
                        response.status_code, _json(response), response.headers.get("x-openstack-request-id", "")
                    )
                wait = _retry_after(response, wait)
                final = attempt == TRIES or wait > LONGEST_PAUSE
                if final or not _again(response.status_code, once):
                    raise refusal(what, response.status_code, _said(response))
            self.pause(wait)
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, version: Microversion | None) -> Any:  # noqa: ANN401 - a requests.Response
        """Send it once."""
        from keystoneauth1 import exceptions

        with self._counting:
            self.asked += 1
        root = self.root
        more: dict[str, Any] = {} if body is None else {"json": dict(body)}
        if version is not None:
            more["microversion"] = f"{version[0]}.{version[1]}"
        try:
            response = self.adapter.request(root + path, method, **_ONCE, **more)
        except (exceptions.ClientException, OSError) as error:
            raise from_client(f"{self.kind} API", error) from error
        with contextlib.suppress(KeyError, ValueError):
            self.ahead = parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
        return response


def pause(seconds: float) -> None:
    """Wait; tests put something quicker in its place."""
    time.sleep(seconds)


@dataclass(frozen=True)
class Cloud:
    """One cloud, its APIs made when they are asked for.

    Attributes:
        name: as in clouds.yaml; "envvars" where OS_* alone say it.
        service: an API by its kind.
    """

    name: str
    service: Callable[[str], Service]


def connect(name: str | None = None, region: str | None = None) -> Cloud:
    """Return the cloud that clouds.yaml and OS_* describe, as openstackclient finds it. Nothing is sent yet.

    Raises:
        NoSuchCloud: there is no such cloud, or something that it needs is missing.
    """
    import keystoneauth1.exceptions
    from keystoneauth1.adapter import Adapter
    from openstack import exceptions
    from openstack.config import OpenStackConfig

    wanted = {key: value for key, value in (("cloud", name), ("region_name", region)) if value}
    try:
        with warnings.catch_warnings():
            # openstacksdk 4.22 tells everybody that its InfluxDB support goes, whoever uses it or not.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            found = OpenStackConfig(app_name="gpuctl").get_one(**wanted)  # type: ignore[arg-type]  # its keywords are free
            session = found.get_session()
        session.timeout = session.timeout or TIMEOUT
    except (exceptions.SDKException, keystoneauth1.exceptions.ClientException) as error:
        raise NoSuchCloud(
            "no cloud to talk to",
            details=str(error),
            resolution="name one of clouds.yaml by --os-cloud or OS_CLOUD, or set OS_AUTH_URL and its company",
        ) from error
    made: dict[str, Service] = {}

    def service(kind: str) -> Service:
        if kind not in made:
            adapter = Adapter(
                session,
                service_type=found.get_service_type(kind),
                service_name=found.get_service_name(kind),
                interface=found.get_interface(kind),
                region_name=found.get_region_name(kind),
                endpoint_override=found.get_endpoint(kind),
            )
            made[kind] = Service(adapter, kind)
        return made[kind]

    return Cloud(found.name or "envvars", service)


_ROOTS = {"compute": "v2.1", "identity": "v3", "image": "v2"}


def versioned(said: str, version: str) -> str:
    """Return an endpoint with its version at the end; catalogues have it with, without, and with a project behind."""
    base = re.sub(r"/v[0-9][0-9.]*(/[^/]*)?$", "", said.rstrip("/")) if version else said.rstrip("/")
    return f"{base}/{version}" if version else base


# Ours is the only retrying: a POST that keystoneauth repeats by itself could make a thing twice.
_ONCE: dict[str, Any] = {
    "raise_exc": False,
    "connect_retries": 0,
    "status_code_retries": 0,
    "headers": {"Accept": "application/json"},
}


def _again(status: int, once: str) -> bool:
    """Say whether a refused request may be sent again."""
    return status in NOT_DONE or (not once and status in _PASSING)


def _retry_after(response: Any, otherwise: float) -> float:  # noqa: ANN401 - a requests.Response
    """Return the seconds that Retry-After asks for (RFC 9110 10.2.3; a date is not heeded)."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdigit() else otherwise


def _json(response: Any) -> dict[str, Any]:  # noqa: ANN401 - a requests.Response
    """Return the body; empty where there is none."""
    if not response.content:
        return {}
    try:
        body = response.json()
    except ValueError as error:
        raise Uncertain(
            "the answer is not JSON", details=response.text[:200], resolution="is that the API, or a proxy before it?"
        ) from error
    return body if isinstance(body, dict) else {"value": body}


def _said(response: Any) -> str:  # noqa: ANN401 - a requests.Response
    """Return the API's own words: Nova wraps them as {"badRequest": {"message": ...}}."""
    try:
        body = response.json()
    except ValueError:
        return str(response.text).strip()[:500]
    inner = next(iter(body.values()), body) if isinstance(body, dict) else body
    return str(inner.get("message", inner)) if isinstance(inner, dict) else str(inner)

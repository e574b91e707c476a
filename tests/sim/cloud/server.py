"""MovesSim: the cloud behind HTTP on loopback, its faults, and a side door for tests in other processes."""

from __future__ import annotations

import collections
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

from tests.sim.cloud import compute_api, placement_api
from tests.sim.cloud.placement_api import Conflict
from tests.sim.cloud.populate import Populated
from tests.sim.cloud.servers_api import servers
from tests.sim.cloud.world import NEWEST, World
from tests.sim.front import Answer, Fault, Handler
from tests.sim.nova import NovaSim

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)req-[0-9a-f-]+")
KINDS = {"reset-before", "reset-after", "504-after", "401-after", "silence", "silence-after"}
#: What the side door may call.
DOOR = {"fail", "inject", "audit", "boot", "populate", "add_host", "clear_faults", "reset", "settle", "advance", "freeze", "sync_power", "stop_compute",
        "start_compute", "restart_compute", "occupy", "vacate", "execute", "dump", "owners", "broken", "state", "server_state", "migrations_of",
        "expire_tokens", "counts", "clear_counts", "happened_now", "rows", "allocations_of", "configure", "hide_domains", "set_server"}  # fmt: skip


class MovesHandler(Handler):
    """HTTP for everything that moves need."""

    cloud: MovesSim
    others = (("image", "glance"), ("placement", "placement"), ("network", "neutron"))

    def _faulty(self, method: str, path: str, query: dict[str, list[str]], body: Any, said: str) -> None:
        if path.startswith("/sim/"):
            return self._answer(*self.cloud.door(path, body))
        # An action is told from another by its name: /servers/ID/action#migrate.
        full = f"{path}#{next(iter(body))}" if path.endswith("/action") and body else path
        self.cloud.count(method, full)
        fault = self.cloud.fault_for(method, full)
        if fault is None:
            return self._answer(*self._done(method, path, query, body, said))
        if fault.kind in {"silence", "silence-after"}:
            if fault.kind == "silence-after":
                self._done(method, path, query, body, said)
            self.cloud.over.wait(fault.seconds)
            return self._reset()
        if fault.kind == "401-after":
            self._done(method, path, query, body, said)
            return self._answer(401, {"error": {"code": 401, "message": "told to"}})
        if isinstance(fault.kind, int) or fault.kind == "reset-before":
            return self._refuse(fault)
        self._done(method, path, query, body, said)
        return self._reset() if fault.kind == "reset-after" else self._answer(504, {"message": "Gateway Timeout"})

    def _refuse(self, fault: Fault) -> None:
        """Nothing was done."""
        if not isinstance(fault.kind, int):
            return self._reset()
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        name = {401: "error", 409: "conflictingRequest", 429: "overLimit"}.get(fault.kind, "computeFault")
        return self._answer(
            fault.kind, {name: {"code": fault.kind, "message": f"told to fail with {fault.kind}"}}, headers
        )

    def _done(self, method: str, path: str, query: dict[str, list[str]], body: Any, said: str) -> tuple[Any, ...]:
        cloud = self.cloud
        with cloud.lock:
            cloud.catch_up()
            request = f"req-{cloud.uuid()}"
            try:
                if path.startswith("/identity") or path.rstrip("/") in {"/compute/v2.1", "/compute"}:
                    return self._root(method, path, query, body, said)
                if path.rstrip("/") == "/placement" and method == "GET":
                    return placement_api.answer(cloud.placement, method, "", query, body, (1, 0))
                if self.headers.get("X-Auth-Token", "") not in cloud.tokens:
                    raise Answer(401, "The request you have made requires authentication.")
                status, answer = self._service(method, path, query, body, said, request)
            except Answer as error:
                return error.status, _refusal(error, path), {"x-openstack-request-id": request}
            except Exception as error:
                cloud.happened.bugs.append(f"{method} {path}: {error!r}")
                raise
            finally:
                cloud.catch_up()
        headers = {"x-openstack-request-id": request, "x-compute-request-id": request}
        if path.startswith("/placement"):
            headers = {
                "x-openstack-request-id": request,
                "openstack-api-version": f"placement {said}",
                "vary": "openstack-api-version",
            }
        elif path.startswith("/compute"):
            headers["OpenStack-API-Version"] = f"compute {said}"
        return status, answer, headers

    def _root(self, method: str, path: str, query: dict[str, list[str]], body: Any, said: str) -> tuple[Any, ...]:
        if path.rstrip("/") == "/compute":
            links = [{"rel": "self", "href": f"{self.cloud.url}/compute/v2.1/"}]
            return 200, {
                "versions": [
                    {
                        "id": "v2.1",
                        "status": "CURRENT",
                        "version": self.cloud.newest,
                        "min_version": "2.1",
                        "links": links,
                    }
                ]
            }
        done = super()._done(method, path, query, body, said)
        if path.endswith("/auth/tokens") and done[0] == 201:
            self.cloud.tokens.add(done[2]["X-Subject-Token"])
        return done

    def _service(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, said: str, request: str
    ) -> tuple[int, Any]:
        cloud = self.cloud
        if path.startswith("/placement"):
            version = self.headers.get("OpenStack-API-Version", "placement 1.0").rpartition(" ")[2]
            newest = placement_api.NEWEST if version == "latest" else version
            return placement_api.answer(
                cloud.placement, method, path.removeprefix("/placement"), query, body, _pair(newest)
            )
        if path.startswith("/image"):
            name = path.rpartition("/")[2]
            if name in cloud.images:
                if method == "DELETE":
                    del cloud.images[name]
                    return 204, None
                return 200, cloud.images[name]
            return 200, {"images": list(cloud.images.values())}
        if path.startswith("/network"):
            want = query.get("device_id", [None])[0]
            return 200, {"ports": [one for one in cloud.ports if want in {None, one["device_id"]}]}
        version = _pair(cloud.newest if said == "latest" else said)
        if version > _pair(cloud.newest):
            raise Answer(
                406, f"Version {said} is not supported by the API. Minimum is 2.1 and maximum is {cloud.newest}."
            )
        return cloud.compute(method, path.removeprefix("/compute/v2.1"), query, body, version, request)


class MovesSim(Populated, World, NovaSim):
    """The cloud. Use it as a context manager; see README.md."""

    handler = MovesHandler

    def __init__(self, *, port: int = 0, delay: float = 0.0, **settings: Any) -> None:
        NovaSim.__init__(self, delay=delay, port=port)
        World.__init__(self, **settings)
        self.newest = NEWEST[self.release]
        self.tokens: set[str] = set()
        self.over = threading.Event()  # ends every silence
        self._counts: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> MovesSim:  # noqa: PYI034 - Self is newer than 3.9
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        super().__exit__()

    def compute(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, version: tuple[int, int], request: str
    ) -> tuple[int, Any]:
        """Answer a request to Nova."""
        parts = [part for part in path.split("/") if part]
        if parts[:1] == ["servers"]:
            return servers(self, method, parts[1:], query, body, version, request, self.flavors)
        if parts == ["os-migrations"]:
            return 200, compute_api.migrations(self, query, version)
        if parts[:1] == ["os-services"]:
            return 200, compute_api.services(self, method, parts[1:], query, body, version)
        if parts[:1] == ["os-hypervisors"]:
            return 200, compute_api.hypervisors(self, parts[1:], query, version)
        if parts[:1] == ["os-server-groups"]:
            return 200, compute_api.groups(self, parts[1:], query, version)
        if parts[:1] == ["os-availability-zone"]:
            return 200, compute_api.zones(self, detail=parts[1:] == ["detail"])
        return NovaSim.serve(self, method, path, query, body, version)

    # ------------------------------------------------------------ faults and figures

    def fail(
        self,
        method: str,
        path: str,
        kind: int | str,
        *,
        times: int = 1,
        skip: int = 0,
        retry_after: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Let the next matching requests fail.

        Kinds: a status; "reset-before"; "reset-after", "504-after" and "401-after" (done, and the answer is lost);
        "silence" and "silence-after" (nothing is heard for so many seconds, then the connection breaks).
        """
        if not isinstance(kind, int) and kind not in KINDS:
            raise ValueError(f"no kind {kind}; there are statuses and {sorted(KINDS)}")
        self.faults.append(Fault(method, re.compile(path), kind, times, skip, retry_after, seconds))

    def clear_faults(self) -> None:
        """No fault waits, of HTTP or of a step."""
        with self.lock:
            self.faults.clear()
            self.scripted.clear()

    def expire_tokens(self) -> None:
        """Every token that was given out has run out."""
        self.tokens.clear()

    def count(self, method: str, path: str) -> None:
        with self._lock:
            self._counts[f"{method} {_UUID.sub('ID', path)}"] += 1

    def counts(self) -> dict[str, int]:
        """How often each kind of request was asked: "POST /compute/v2.1/servers/ID/action#migrate" -> 1."""
        with self._lock:
            return dict(self._counts)

    def clear_counts(self) -> None:
        """Counting begins anew."""
        with self._lock:
            self._counts.clear()
            self.asked.clear()
            self.logins = 0

    def reset(self, **settings: Any) -> None:
        """As new, with the same address and the same flavors gone; settings change what the constructor set."""
        with self.lock:
            self.configure(**settings)
            self.clear()
            self.clear_faults()
            self.clear_counts()
            self.flavors.clear()

    def configure(self, **settings: Any) -> None:
        """Other settings: release, tracking, pace, double, ..., seconds={step: s}."""
        for name, value in settings.items():
            if not hasattr(self, name):
                raise ValueError(f"no setting {name}")
            if name == "seconds":
                self.seconds.update(value)
            else:
                setattr(self, name, value)
        self.newest = settings.get("newest", NEWEST[self.release])

    # ------------------------------------------------------------ the side door

    def door(self, path: str, body: Any) -> tuple[int, Any]:
        """One call of a method by POST /sim/<name> {"args": [], "kwargs": {}}."""
        name = path.removeprefix("/sim/")
        if name not in DOOR:
            return 404, {"error": f"no {name}; there are {sorted(DOOR)}"}
        said = body or {}
        try:
            with self.lock:
                self.catch_up()
                return 200, {"answer": _plain(getattr(self, name)(*said.get("args", []), **said.get("kwargs", {})))}
        except Exception as error:  # noqa: BLE001 - told to the test at the other end
            return 500, {"error": repr(error)}


def _plain(value: Any) -> Any:
    return json.loads(
        json.dumps(
            value,
            default=lambda one: (
                str(one) if isinstance(one, Path) else sorted(one) if isinstance(one, set) else vars(one)
            ),
        )
    )


def _pair(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def _refusal(error: Answer, path: str) -> dict[str, Any]:
    if path.startswith("/placement"):
        said = {
            "status": error.status,
            "title": "refused",
            "detail": str(error),
            "code": error.code if isinstance(error, Conflict) else "placement.undefined_code",
        }
        return {"errors": [said]}
    name = {400: "badRequest", 401: "error", 404: "itemNotFound", 409: "conflictingRequest"}.get(
        error.status, "computeFault"
    )
    return {name: {"code": error.status, "message": str(error)}}


def wait(condition: Any, what: str, seconds: float = 30.0) -> Any:
    """The condition's first true value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.002)
    return value

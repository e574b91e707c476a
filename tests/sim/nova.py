"""An in-memory Nova (and as much of Keystone as a client needs) on loopback, that fails when it is told to.

    with NovaSim() as cloud:
        cloud.fail("POST", "/os-extra_specs", "reset-after")     # done, and the answer is lost
        cloud.fail("POST", "/flavors$", 429, retry_after=1, times=2)
        main(["flavor", "apply", ...])                           # OS_CLIENT_CONFIG_FILE=cloud.clouds_yaml(folder)
        cloud.flavors; cloud.asked; cloud.exposed

What it does was read in nova 34.0.0 (nova/api/openstack/compute/flavors*.py, flavor_access.py) and seen on the lab:
names and ids are unique (409), create knows no extra specs, their POST merges and echoes, one DELETE a key, access
lists of private flavors alone, extra specs in the flavor from 2.61, names and values validated from 2.86, only the
description can be changed. ``exposed`` holds every flavor that was usable by somebody while it had no alias.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .front import PROJECTS, Answer, Fault, Handler

ALIAS = re.compile(r"[^:]+:\d+(?:\s*,\s*[^:]+:\d+)*")
HW = {"hw:hide_hypervisor_id", "hw:numa_nodes", "hw:cpu_policy", "hw:mem_page_size", "hw:pci_numa_affinity_policy", "hw:locked_memory",
      "hw:cpu_thread_policy", "hw:emulator_threads_policy"}  # fmt: skip
FIELDS = {
    "id",
    "name",
    "vcpus",
    "ram",
    "disk",
    "OS-FLV-EXT-DATA:ephemeral",
    "swap",
    "os-flavor-access:is_public",
    "rxtx_factor",
    "description",
}


@dataclass
class Flavor:
    """One flavor as the database has it."""

    body: dict[str, Any]
    specs: dict[str, str] = field(default_factory=dict)
    access: set[str] = field(default_factory=set)

    @property
    def public(self) -> bool:
        return self.body["os-flavor-access:is_public"]


class NovaSim:
    """The cloud."""

    handler: type[Handler] = Handler

    def __init__(self, newest: str = "2.104", delay: float = 0.0, port: int = 0) -> None:
        self.newest = newest
        self.delay = delay
        self.flavors: dict[str, Flavor] = {}
        self.servers: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.exposed: list[str] = []
        self.faults: list[Fault] = []
        self.fired: list[Fault] = []
        self.busiest = 0
        self.page = 1000
        self.fate = "ACTIVE"  # of servers
        self.allocations: dict[str, Any] = {}  # what Placement says of every server
        self.logins = 0
        self._busy = 0
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (self.handler,), {"cloud": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> NovaSim:  # noqa: PYI034 - Self is newer than 3.9
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # ------------------------------------------------------------ for tests

    def clouds_yaml(self, folder: Path) -> Path:
        """A clouds.yaml that names this cloud `sim`."""
        auth = {"auth_url": f"{self.url}/identity/v3", "username": "admin", "password": "sim", "project_name": "admin",
                "user_domain_id": "default", "project_domain_id": "default"}  # fmt: skip
        file = folder / "clouds.yaml"
        file.write_text(json.dumps({"clouds": {"sim": {"auth": auth, "region_name": "RegionOne"}}}))
        return file

    def fail(
        self, method: str, path: str, kind: int | str, *, times: int = 1, skip: int = 0, retry_after: int | None = None
    ) -> None:
        """Let the next matching requests fail: a status, "reset-before", "reset-after", or "504-after" (done, then 504)."""
        self.faults.append(Fault(method, re.compile(path), kind, times, skip, retry_after))

    def add(
        self, name: str, *, specs: dict[str, str] | None = None, access: tuple[str, ...] = (), **more: Any
    ) -> Flavor:
        """A flavor that somebody made by hand."""
        body = {"id": f"id-{name}", "name": name, "vcpus": 2, "ram": 2048, "disk": 10, "OS-FLV-EXT-DATA:ephemeral": 0, "swap": 0,
                "os-flavor-access:is_public": False, "rxtx_factor": 1.0, "description": None, **more}  # fmt: skip
        self.flavors[body["id"]] = Flavor(body, dict(specs or {}), set(access))
        return self.flavors[body["id"]]

    def named(self, name: str) -> list[Flavor]:
        """Every flavor of this name: one or none, if all is well."""
        return [one for one in self.flavors.values() if one.body["name"] == name]

    def writes(self) -> list[tuple[str, str, str]]:
        """What was asked of Nova that changes something."""
        return [one for one in self.asked if one[0] != "GET" and "/compute/" in one[1]]

    def snapshot(self) -> dict[str, Any]:
        """Everything, to compare."""
        return {one.body["name"]: (dict(one.body), dict(one.specs), set(one.access)) for one in self.flavors.values()}

    # ------------------------------------------------------------ the API

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that meets this request, used up by it."""
        with self._lock:
            for fault in self.faults:
                if fault.method in {method, "*"} and fault.path.search(path) and fault.times:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    self.fired.append(fault)
                    return fault
        return None

    def enter(self) -> None:
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)

    def leave(self) -> None:
        with self._lock:
            self._busy -= 1

    def serve(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, version: tuple[int, int]
    ) -> tuple[int, Any]:
        """One request to Nova, done."""
        with self._lock:
            try:
                return self._route(method, path, query, body, version)
            finally:
                for one in self.flavors.values():
                    if (one.public or one.access) and "pci_passthrough:alias" not in one.specs:
                        self.exposed.append(one.body["name"])

    def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, version: tuple[int, int]
    ) -> tuple[int, Any]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts == ["flavors", "detail"]:
            return 200, self._list(query, version)
        if parts[0] == "servers":
            return self._servers(method, parts[1:], query, body)
        if parts == ["flavors"]:
            return 200, {"flavor": self._create(body["flavor"], version)}
        if parts[0] != "flavors":
            raise Answer(404, "no such path")
        flavor = self.flavors.get(parts[1])
        if flavor is None:
            raise Answer(404, f"Flavor {parts[1]} could not be found.")
        return self._one(method, parts[2:], flavor, body, version)

    def _servers(self, method: str, rest: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Servers that take a moment: BUILD at first, then what ``fate`` says; gone at the second look after a deletion."""
        if not rest and method == "GET":
            found = self.servers
            if "flavor" in query:
                found = [one for one in found if one["flavor"] == query["flavor"][0]]
            if "name" in query:
                found = [one for one in found if re.search(query["name"][0], one["name"])]
            return 200, {"servers": found}
        if not rest:
            wish = body["server"]
            flavor = self.flavors[wish["flavorRef"]]
            made = {"id": f"server-{len(self.asked)}", "name": wish["name"], "flavor": flavor.body["id"], "looks": 0}
            self.servers.append(made)
            return 202, {"server": {"id": made["id"]}}
        server = next((one for one in self.servers if one["id"] == rest[0]), None)
        if server is None:
            raise Answer(404, "Instance could not be found.")
        if method == "DELETE":
            server.update(deleted=True, looks=0)
            return 204, None
        return 200, {"server": self._show_server(server)}

    def _show_server(self, server: dict[str, Any]) -> dict[str, Any]:
        server["looks"] += 1
        if server.get("deleted") and server["looks"] > 1:
            self.servers.remove(server)
        shown = {
            "id": server["id"],
            "status": "BUILD" if server["looks"] == 1 else self.fate,
            "OS-EXT-SRV-ATTR:host": "gpu-a",
            "OS-EXT-SRV-ATTR:instance_name": "instance-1",
            "flavor": {"extra_specs": dict(self.flavors[server["flavor"]].specs)},
        }
        return {**shown, "fault": {"message": "No valid host was found."}} if self.fate == "ERROR" else shown

    def _one(
        self, method: str, rest: list[str], flavor: Flavor, body: Any, version: tuple[int, int]
    ) -> tuple[int, Any]:
        if not rest and method == "GET":
            return 200, {"flavor": self._show(flavor, version)}
        if not rest and method == "DELETE":
            del self.flavors[flavor.body["id"]]
            return 202, None
        if not rest and method == "PUT":
            if version < (2, 55) or set(body["flavor"]) != {"description"}:
                raise Answer(400, "Additional properties are not allowed")
            flavor.body["description"] = body["flavor"]["description"]
            return 200, {"flavor": self._show(flavor, version)}
        if rest == ["os-extra_specs"] and method == "POST":
            self._validate(body["extra_specs"], version)
            flavor.specs.update(body["extra_specs"])
            return 200, body
        if rest == ["os-extra_specs"]:
            return 200, {"extra_specs": flavor.specs}
        if rest[0] == "os-extra_specs" and method == "DELETE":
            if rest[1] not in flavor.specs:
                raise Answer(404, f"Flavor has no extra specs with key {rest[1]}.")
            del flavor.specs[rest[1]]
            return 200, None
        if rest == ["os-flavor-access"]:
            if flavor.public:
                raise Answer(404, "Access list not available for public flavors.")
            return 200, self._access(flavor)
        if rest == ["action"]:
            return self._action(flavor, body)
        raise Answer(404, "no such path")

    def _list(self, query: dict[str, list[str]], version: tuple[int, int]) -> dict[str, Any]:
        every = sorted(self.flavors.values(), key=lambda one: one.body["id"])
        if query.get("is_public") != ["None"]:
            every = [one for one in every if one.public]
        if "marker" in query:
            every = [one for one in every if one.body["id"] > query["marker"][0]]
        size = min(int(query.get("limit", ["1000"])[0]), self.page)
        page = {"flavors": [self._show(one, version) for one in every[:size]]}
        if len(every) > size:
            page["flavors_links"] = [{"rel": "next", "href": "http://somewhere/else"}]
        return page

    def _show(self, flavor: Flavor, version: tuple[int, int]) -> dict[str, Any]:
        said = {**flavor.body, "links": []}
        if version < (2, 75):
            said["swap"] = said["swap"] or ""
        if version < (2, 55):
            del said["description"]
        if version >= (2, 61):
            said["extra_specs"] = dict(flavor.specs)
        return said

    def _create(self, body: dict[str, Any], version: tuple[int, int]) -> dict[str, Any]:
        strange = set(body) - FIELDS | ({"description"} & set(body) if version < (2, 55) else set())
        if strange:
            raise Answer(400, f"Additional properties are not allowed ({strange} was unexpected)")
        if any(one.body["name"] == body["name"] for one in self.flavors.values()):
            raise Answer(409, f"Flavor with name {body['name']} already exists.")
        if body["id"] in self.flavors:
            raise Answer(409, f"Flavor with ID {body['id']} already exists.")
        made = {
            "OS-FLV-EXT-DATA:ephemeral": 0,
            "swap": 0,
            "os-flavor-access:is_public": True,
            "rxtx_factor": 1.0,
            "description": None,
            **body,
        }
        self.flavors[body["id"]] = Flavor(made)
        return self._show(self.flavors[body["id"]], version)

    def _validate(self, specs: dict[str, str], version: tuple[int, int]) -> None:
        for key, value in specs.items():
            if not isinstance(value, str):
                raise Answer(400, f"{value!r} is not of type 'string'")
            if version < (2, 86):
                continue
            if key.startswith("hw:") and key not in HW:
                raise Answer(400, f"Validation failed; extra spec '{key}' does not appear to be a valid extra spec.")
            if key == "pci_passthrough:alias" and not ALIAS.fullmatch(value):
                raise Answer(400, f"Validation failed; '{value}' is not of the format '{ALIAS.pattern}'.")

    def _access(self, flavor: Flavor) -> dict[str, Any]:
        return {"flavor_access": [{"flavor_id": flavor.body["id"], "tenant_id": one} for one in sorted(flavor.access)]}

    def _action(self, flavor: Flavor, body: dict[str, Any]) -> tuple[int, Any]:
        ((action, said),) = body.items()
        project = said["tenant"]
        if action == "addTenantAccess":
            if project not in PROJECTS.values():
                raise Answer(400, f"Project ID {project} is not a valid project.")
            if flavor.public:
                raise Answer(409, "Can not add access to a public flavor.")
            if project in flavor.access:
                raise Answer(409, "Flavor access already exists")
            flavor.access.add(project)
        elif project not in flavor.access:
            raise Answer(404, "Flavor access not found")
        else:
            flavor.access.remove(project)
        return 200, self._access(flavor)

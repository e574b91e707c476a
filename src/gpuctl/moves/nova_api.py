"""Nova's servers, migrations, actions and services, one method a request; records out (gpuctl.moves.model)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gpuctl.cloud import Microversion, Service
from gpuctl.moves.errors import Ambiguous, CellSilent, NoSuchServer
from gpuctl.moves.model import Action, Compute, Event, Fault, Migration, Server

NEWEST = (2, 96)
"""What everything is asked with at most: the pinned zone is 2.96; nothing newer is read here."""

WITH_UUIDS = (2, 59)  # migrations with uuid, paging and changes-since
SERVICE_BY_UUID = (2, 53)
PAGE = 1000


@dataclass
class NovaApi:
    """The compute API of one cloud, as an administrator."""

    service: Service
    newest: Microversion

    @classmethod
    def of(cls, service: Service) -> NovaApi:
        """Return the API, its newest microversion looked up: one request."""
        return cls(service, service.newest())

    @property
    def version(self) -> Microversion:
        """The microversion that is asked with."""
        return min(self.newest, NEWEST)

    # ------------------------------------------------------------ reading

    def servers(self, **filters: str) -> list[Server]:
        """Return the servers of all projects, deleted ones left out: one request a thousand.

        Args:
            filters: Nova's own: host, status, name, changes-since (as changes_since), ...
        """
        query = {key.replace("_", "-") if key == "changes_since" else key: value for key, value in filters.items()}
        if "changes-since" in query:
            query["deleted"] = "false"
        return [read_server(one) for one in self._pages("/servers/detail", "servers", {"all_tenants": "1", **query})]

    def server(self, server: str) -> Server | None:
        """Return one server by its id; None where there is none.

        Raises:
            CellSilent: there is one, and its cell's database does not answer: nothing else is known of it (2.69).
        """
        answer = self.service.ask(
            "GET", f"/servers/{server}", f"read server {server}", version=self.version, accept=(404,)
        )
        if answer.status == 404:
            return None
        said = answer.body["server"]
        if said.get("status") == "UNKNOWN" and "name" not in said:
            raise CellSilent(f"the cell of server {server}")
        return read_server(said)

    def find(self, said: str) -> Server:
        """Return the one server of this id or name.

        Raises:
            NoSuchServer: there is none.
            Ambiguous: several have the name.
        """
        if is_uuid(said):
            found = self.server(said)
            if found is not None:
                return found
        named = [one for one in self.servers(name=f"^{re.escape(said)}$") if one.name == said]
        if not named:
            raise NoSuchServer(f"no server {said!r}", resolution="gpuctl instance list shows those with GPUs")
        if len(named) > 1:
            raise Ambiguous(
                f"{len(named)} servers are named {said!r}",
                details="\n".join(f"{one.id}  {one.status}  {one.host}" for one in named),
                resolution="give the id of the one that is meant",
            )
        return named[0]

    def migrations(self, **filters: str) -> list[Migration]:
        """Return migration records, oldest first.

        Args:
            filters: Nova's own: instance_uuid, host, status, changes_since (2.59).
        """
        query = {key.replace("_", "-") if key == "changes_since" else key: value for key, value in filters.items()}
        if self.version < WITH_UUIDS:
            query.pop("changes-since", None)
            body = self._ask("GET", f"/os-migrations?{urlencode(query)}", "list the migrations")
            found = body["migrations"]
        else:
            found = list(self._pages("/os-migrations", "migrations", query, marker="uuid"))
        return sorted((read_migration(one) for one in found), key=lambda one: one.id)

    def recent_migrations(self) -> tuple[list[Migration], bool]:
        """Return ``(the newest thousand migration records, oldest first; whether these are all)``: one request."""
        if self.version < WITH_UUIDS:
            return self.migrations(), True
        body = self._ask("GET", f"/os-migrations?limit={PAGE}", "list the migrations")
        found = sorted((read_migration(one) for one in body["migrations"]), key=lambda one: one.id)
        return found, not body.get("migrations_links")

    def nodes(self) -> dict[str, str]:
        """Return hypervisor host name -> compute host: what Placement calls a host, and what Nova does."""
        found = self._pages("/os-hypervisors/detail", "hypervisors", {}, marker="id")
        return {one["hypervisor_hostname"]: one["service"]["host"] for one in found}

    def actions(self, server: str) -> list[Action]:
        """Return a server's actions without their events, newest first."""
        body = self._ask("GET", f"/servers/{server}/os-instance-actions", f"list the actions of server {server}")
        return [read_action(one) for one in body["instanceActions"]]

    def action(self, server: str, request: str) -> Action | None:
        """Return one action with its events; None where Nova knows none of that request."""
        path = f"/servers/{server}/os-instance-actions/{request}"
        answer = self.service.ask("GET", path, f"read what became of {request}", version=self.version, accept=(404,))
        return None if answer.status == 404 else read_action(answer.body["instanceAction"])

    def computes(self) -> dict[str, Compute]:
        """Return the nova-compute services by host."""
        body = self._ask("GET", "/os-services?binary=nova-compute", "list the compute services")
        return {one["host"]: read_compute(one) for one in body["services"]}

    def groups(self) -> dict[str, dict[str, Any]]:
        """Return the server groups of all projects by id: policy (or policies), members."""
        found = self._offset_pages("/os-server-groups?all_projects=True", "server_groups")
        return {one["id"]: one for one in found}

    # ------------------------------------------------------------ writing

    def act(self, server: str, body: Mapping[str, Any], what: str, *, accept: tuple[int, ...] = ()) -> tuple[int, str]:
        """Return ``(status, request id)`` of an action that Nova took; it is never sent twice.

        Raises:
            Uncertain: it may have been taken or not: look at the server, its migrations and its actions.
            Rejected: it was not; 409 is a state that does not allow it.
        """
        answer = self.service.ask(
            "POST",
            f"/servers/{server}/action",
            what,
            body=body,
            version=self.version,
            once="an action is done once",
            accept=accept,
        )
        return answer.status, answer.request

    def set_compute(self, compute: Compute, change: Mapping[str, Any], what: str) -> None:
        """Change a compute service: status, disabled_reason, forced_down. Saying it twice changes nothing more."""
        if self.version >= SERVICE_BY_UUID:
            self.service.ask("PUT", f"/os-services/{compute.id}", what, body=change, version=self.version)
            return
        who = {"host": compute.host, "binary": "nova-compute"}
        for verb, body in _old_service_calls(change):
            self.service.ask("PUT", f"/os-services/{verb}", what, body={**who, **body}, version=self.version)

    # ------------------------------------------------------------ inside

    def _ask(self, method: str, path: str, what: str) -> dict[str, Any]:
        return self.service.ask(method, path, what, version=self.version).body

    def _pages(self, path: str, key: str, query: Mapping[str, str], *, marker: str = "id") -> Iterator[dict[str, Any]]:
        """Yield every entry of a list, page by page."""
        last = ""
        while True:
            asked = {**query, "limit": str(PAGE), **({"marker": last} if last else {})}
            body = self._ask("GET", f"{path}?{urlencode(asked)}", f"list the {key}")
            yield from body[key]
            if not body[key] or not body.get(f"{key}_links"):
                return
            last = str(body[key][-1][marker])

    def _offset_pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        """Yield every entry of a list that Nova pages by offset (server groups).

        A page may be shorter than asked for ([api] max_limit), and says nothing of a next one: an empty one ends it.
        """
        offset = 0
        while page := self._ask("GET", f"{path}&limit={PAGE}&offset={offset}", f"list the {key}")[key]:
            yield from page
            offset += len(page)


def is_uuid(text: str) -> bool:
    """Say whether a text is a uuid in its usual form."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def read_server(said: Mapping[str, Any]) -> Server:
    """Return Nova's document of a server as a record."""
    flavor = said.get("flavor") or {}
    fault = said.get("fault")
    image = said.get("image") or {}
    reservation = said.get("server_groups")
    return Server(
        id=said["id"],
        name=said.get("name", ""),
        status=said.get("status", ""),
        vm_state=said.get("OS-EXT-STS:vm_state", ""),
        task_state=said.get("OS-EXT-STS:task_state"),
        power_state=int(said.get("OS-EXT-STS:power_state") or 0),
        host=said.get("OS-EXT-SRV-ATTR:host"),
        node=said.get("OS-EXT-SRV-ATTR:hypervisor_hostname"),
        instance_name=said.get("OS-EXT-SRV-ATTR:instance_name"),
        locked=bool(said.get("locked", False)),
        locked_reason=said.get("locked_reason"),
        project=said.get("tenant_id", ""),
        flavor=flavor.get("original_name", flavor.get("id", "")),
        specs=dict(flavor.get("extra_specs") or {}),
        vcpus=int(flavor.get("vcpus") or 0),
        ram_mib=int(flavor.get("ram") or 0),
        root_gib=int(flavor.get("disk") or 0),
        ephemeral_gib=int(flavor.get("ephemeral") or 0),
        swap_mib=int(flavor.get("swap") or 0),
        image=image.get("id") if isinstance(image, Mapping) else None,
        volumes=tuple(one["id"] for one in said.get("os-extended-volumes:volumes_attached") or ()),
        zone=said.get("OS-EXT-AZ:availability_zone") or None,
        pinned_zone=said.get("pinned_availability_zone"),
        groups=None if reservation is None else tuple(reservation),
        config_drive=str(said.get("config_drive", "")).lower() == "true",
        fault=Fault(fault.get("message", ""), fault.get("details", ""), fault.get("created", "")) if fault else None,
        created=said.get("created", ""),
        updated=said.get("updated", ""),
    )


def read_migration(said: Mapping[str, Any]) -> Migration:
    """Return Nova's document of a migration as a record."""
    return Migration(
        id=int(said["id"]),
        uuid=said.get("uuid"),
        server=said["instance_uuid"],
        kind=said.get("migration_type") or "migration",
        status=said["status"],
        source=said.get("source_compute"),
        dest=said.get("dest_compute"),
        created=said.get("created_at") or "",
        updated=said.get("updated_at") or said.get("created_at") or "",
    )


def read_action(said: Mapping[str, Any]) -> Action:
    """Return Nova's document of an instance action as a record."""
    events = said.get("events")
    return Action(
        request=said["request_id"],
        action=said["action"],
        message=said.get("message"),
        started=said.get("start_time", ""),
        updated=said.get("updated_at"),
        events=None if events is None else tuple(map(_read_event, events)),
    )


def _read_event(said: Mapping[str, Any]) -> Event:
    return Event(
        name=said["event"],
        result=said.get("result"),
        host=said.get("host"),
        started=said.get("start_time", ""),
        finished=said.get("finish_time"),
        details=said.get("details") or said.get("traceback") or "",
    )


def read_compute(said: Mapping[str, Any]) -> Compute:
    """Return Nova's document of a compute service as a record; of a silent cell's it is the host alone."""
    if "state" not in said:
        return Compute("", said["host"], enabled=False, up=False, silent=True)
    return Compute(
        id=str(said["id"]),
        host=said["host"],
        enabled=said["status"] == "enabled",
        up=said["state"] == "up",
        forced_down=bool(said.get("forced_down", False)),
        reason=said.get("disabled_reason"),
        updated=said.get("updated_at"),
        zone=said.get("zone"),
    )


def _old_service_calls(change: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the calls below 2.53 that make up a change."""
    if "forced_down" in change:
        yield "force-down", {"forced_down": change["forced_down"]}
    if change.get("status") == "enabled":
        yield "enable", {}
    elif change.get("status") == "disabled" and change.get("disabled_reason"):
        yield "disable-log-reason", {"disabled_reason": change["disabled_reason"]}
    elif change.get("status") == "disabled":
        yield "disable", {}

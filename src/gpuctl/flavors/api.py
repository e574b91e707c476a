"""Nova's flavors, one method a request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from gpuctl.cloud import Microversion, NotAuthorised, Service
from gpuctl.flavors.model import Standing, Wanted
from gpuctl.flavors.specs import UNVALIDATED, VALIDATED, batches

WITH_SPECS = (2, 61)  # extra specs in the flavor's own document
WITH_DESCRIPTION = (2, 55)
PAGE = 1000  # Nova's own greatest (`[api] max_limit`), unless the operator changed it: then it answers with less


@dataclass
class FlavorApi:
    """The flavors of one cloud."""

    nova: Service
    newest: Microversion

    @classmethod
    def of(cls, nova: Service) -> FlavorApi:
        """Return the flavors of a compute API, its newest microversion looked up."""
        return cls(nova, nova.newest())

    @property
    def version(self) -> Microversion:
        """The microversion that everything but a few extra specs is asked with: 2.86, or the newest below."""
        return min(self.newest, VALIDATED)

    def every(self) -> list[Standing]:
        """Return all flavors that the credentials may see, private ones too, with their extra specs."""
        found: list[dict[str, Any]] = []
        marker = ""
        while True:
            path = f"/flavors/detail?is_public=None&limit={PAGE}{marker}"
            page = self._ask("GET", path, "list the flavors")
            found += page["flavors"]
            if not page["flavors"] or not page.get("flavors_links"):
                break
            marker = f"&marker={quote(page['flavors'][-1]['id'], safe='')}"
        return [self._read(one) for one in found]

    def get(self, flavor: str) -> Standing | None:
        """Return a flavor by its id; None where there is none."""
        answer = self.nova.ask("GET", _path(flavor), f"read flavor {flavor}", version=self.version, accept=(404,))
        return None if answer.status == 404 else self._read(answer.body["flavor"])

    def _read(self, said: dict[str, Any]) -> Standing:
        standing = read(said)
        if "extra_specs" not in said:
            if self.version >= WITH_SPECS:
                raise NotAuthorised(
                    "these credentials may not read extra specs",
                    resolution="flavors are an administrator's: use credentials with that role",
                )
            stored = self._ask(
                "GET", f"{_path(standing.id)}/os-extra_specs", f"read the extra specs of {standing.name}"
            )
            standing = replace(standing, specs=stored["extra_specs"])
        return standing

    def create(self, flavor: str, wish: Wanted) -> None:
        """Make a flavor, without its extra specs: Nova takes them only afterwards.

        Raises:
            Uncertain: it may be there or not.
        """
        body: dict[str, Any] = {
            "id": flavor,
            "name": wish.name,
            "vcpus": wish.vcpus,
            "ram": wish.ram,
            "disk": wish.disk,
            "OS-FLV-EXT-DATA:ephemeral": wish.ephemeral,
            "swap": wish.swap,
            "os-flavor-access:is_public": wish.public,
        }
        if wish.description is not None and self.version >= WITH_DESCRIPTION:
            body["description"] = wish.description
        self.nova.ask(
            "POST",
            "/flavors",
            f"create flavor {wish.name}",
            body={"flavor": body},
            version=self.version,
            once="a name is taken once",
        )

    def delete(self, flavor: str) -> None:
        """Remove a flavor; it is no mistake if it is gone already."""
        self.nova.ask("DELETE", _path(flavor), f"delete flavor {flavor}", version=self.version, accept=(404,))

    def describe(self, flavor: str, text: str) -> None:
        """Change the description, the one field that Nova lets change."""
        self._ask("PUT", _path(flavor), f"describe flavor {flavor}", {"flavor": {"description": text}})

    def set_specs(self, flavor: str, specs: dict[str, str], *, checked: bool = True) -> None:
        """Store extra specs beside the others; the answer is an echo, not a reading (flavors_extraspecs.py, create)."""
        for part, version in batches(specs, self.newest if checked else min(self.newest, UNVALIDATED)):
            self.nova.ask(
                "POST",
                f"{_path(flavor)}/os-extra_specs",
                f"set the extra specs of {flavor}",
                body={"extra_specs": part},
                version=version,
            )

    def unset_spec(self, flavor: str, key: str) -> None:
        """Remove one extra spec; Nova has no way to remove several."""
        path = f"{_path(flavor)}/os-extra_specs/{quote(key, safe='')}"
        self.nova.ask("DELETE", path, f"remove {key} from flavor {flavor}", version=self.version, accept=(404,))

    def access(self, flavor: str) -> tuple[str, ...]:
        """Return the projects that may use a private flavor, sorted."""
        return _projects(self._ask("GET", f"{_path(flavor)}/os-flavor-access", f"read who may use flavor {flavor}"))

    def grant(self, flavor: str, project: str) -> None:
        """Let a project use a private flavor; it is no mistake if it may already."""
        self._action(flavor, "addTenantAccess", project, f"open flavor {flavor} to project {project}", 409)

    def revoke(self, flavor: str, project: str) -> None:
        """Close a private flavor to a project; it is no mistake if it was never open."""
        self._action(flavor, "removeTenantAccess", project, f"close flavor {flavor} to project {project}", 404)

    def _action(self, flavor: str, action: str, project: str, what: str, already: int) -> None:
        path = f"{_path(flavor)}/action"
        self.nova.ask("POST", path, what, body={action: {"tenant": project}}, version=self.version, accept=(already,))

    def servers(self, flavor: str) -> int:
        """Return how many servers were made from this flavor, in every project."""
        count, marker = 0, ""
        while True:
            path = f"/servers?all_tenants=1&flavor={quote(flavor, safe='')}&limit={PAGE}{marker}"
            page = self._ask("GET", path, f"count the servers of flavor {flavor}")
            count += len(page["servers"])
            if not page["servers"] or not page.get("servers_links"):
                return count
            marker = f"&marker={page['servers'][-1]['id']}"

    def _ask(self, method: str, path: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.nova.ask(method, path, what, body=body, version=self.version).body


def read(said: dict[str, Any]) -> Standing:
    """Return Nova's document of a flavor as a record."""
    return Standing(
        id=str(said["id"]),
        name=said["name"],
        vcpus=said["vcpus"],
        ram=said["ram"],
        disk=said["disk"],
        ephemeral=said.get("OS-FLV-EXT-DATA:ephemeral", 0),
        swap=said.get("swap") or 0,  # "" for none before 2.75
        public=said.get("os-flavor-access:is_public", True),
        specs=dict(said.get("extra_specs") or {}),
        description=said.get("description"),
    )


def _path(flavor: str) -> str:
    """Return a flavor's path; ids may hold blanks."""
    return f"/flavors/{quote(flavor, safe='')}"


def _projects(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the project ids of an access list."""
    return tuple(sorted(row["tenant_id"] for row in body["flavor_access"]))

"""An inventory: which hosts, in which groups, reached how. What it says beside that is neither kept nor shown.

Plain inventories (INI, YAML, lists, folders of them, group_vars and host_vars) are read here, in a few milliseconds.
What only Ansible can read (plugins, templates, vaulted variables that are needed) is given to ansible-inventory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gpuctl.fleet import names
from gpuctl.fleet.errors import BadInventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuctl.remote.endpoint import Settings

# Older names, which win over the present ones wherever they stand: Ansible's ssh plugin asks for them last.
OLD_NAMES = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_port": "ansible_port",
    "ansible_ssh_user": "ansible_user",
    "ansible_ssh_private_key_file": "ansible_private_key_file",
}
# What is kept of all the variables.
KEPT = (
    *OLD_NAMES,
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_private_key_file",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_connection",
    "ansible_become",
    "ansible_become_method",
    "ansible_become_user",
    "ansible_group_priority",
)


class Secret:
    """A vaulted value: it is there, and nothing of it is known or shown."""

    def __repr__(self) -> str:
        return "<vaulted>"


SECRET = Secret()


class NeedsAnsible(Exception):
    """This inventory says something that only Ansible can read; the text says what, and where."""


@dataclass(slots=True)
class Group:
    """A group as the files say it: own hosts, child groups, variables."""

    hosts: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    children: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)  # of group_vars, which come after all that stands inline


@dataclass(slots=True)
class Draft:
    """What the files said so far; inventories are added to one another."""

    groups: dict[str, Group] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    more: dict[str, dict[str, Any]] = field(default_factory=dict)  # of host_vars

    def group(self, name: str) -> Group:
        """Return a group, made if need be."""
        return self.groups.setdefault(name, Group())

    def host(self, name: str, variables: Mapping[str, Any]) -> None:
        """Add a host, or more variables of it."""
        self.hosts.setdefault(name, {}).update(kept(variables))

    def hosts_of(self, name: str, seen: frozenset[str] = frozenset()) -> dict[str, None]:
        """Return a group's hosts, its children's too."""
        if name in seen:
            raise BadInventory(f"the group {name} is its own child", resolution="take it out of its children")
        group = self.groups.get(name, Group())
        found = dict(group.hosts)
        for child in group.children:
            found.update(self.hosts_of(child, seen | {name}))
        return found

    def depth(self, name: str) -> int:
        """Return how far a group is below `all`, along its longest way."""
        parents = [parent for parent, group in self.groups.items() if name in group.children and parent != "all"]
        return 1 + max((self.depth(parent) for parent in parents), default=0)


def kept(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that say how a host is reached."""
    return {name: value for name, value in variables.items() if name in KEPT}


def present(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host's variables, once they are settled, under their present names."""
    found = {name: value for name, value in variables.items() if name not in OLD_NAMES}
    return found | {OLD_NAMES[name]: value for name, value in variables.items() if name in OLD_NAMES}


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts, groups and how each host is reached.

    Attributes:
        hosts: name -> the variables of KEPT that hold for it.
        groups: name -> its hosts, children's included; without `all`.
        notes: what was left out, for -v.
    """

    hosts: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def select(self, limit: str | None) -> tuple[str, ...]:
        """Return the hosts that --limit leaves, in order; see names.select."""
        if not self.hosts:
            raise BadInventory("the inventory has no hosts", resolution="-i FILE, or -i HOST1,HOST2")
        return names.select(limit, tuple(self.hosts), self.groups) if limit else tuple(self.hosts)

    def groups_of(self, host: str) -> tuple[str, ...]:
        """Return the groups that a host is in, sorted."""
        return tuple(sorted(name for name, members in self.groups.items() if host in members))

    def settings(self, host: str, base: Settings) -> Settings:
        """Return how a host is reached: what the inventory says of it, over what the command line says of all.

        Raises:
            BadInventory: it says something that gpuctl cannot do.
        """
        from gpuctl.fleet.connection import settings_of

        return settings_of(host, self.hosts[host], base)


def load(sources: Sequence[str]) -> Inventory:
    """Return what all the sources say together, each as Ansible's -i takes it.

    Args:
        sources: files, folders, executables, or lists with a comma: ``host1,host2,``.

    Raises:
        BadInventory: one of them cannot be read.
    """
    from gpuctl.fleet import inventory_files
    from gpuctl.fleet.ansible_inventory import ask_ansible

    if not sources:
        raise BadInventory("no inventory", resolution="-i FILE, or -i HOST1,HOST2")
    draft, notes = Draft(), list[str]()
    try:
        for source in sources:
            notes += inventory_files.read(source, draft)
        found = _finish(draft)
        for host, variables in found.hosts.items():
            _plain(names.proper(host), variables)
    except NeedsAnsible as why:
        return ask_ansible(sources, str(why))
    return replace(found, notes=tuple(notes))


def _plain(host: str, variables: Mapping[str, Any]) -> None:
    """Return if every variable that is needed is plain text."""
    for name, value in variables.items():
        if isinstance(value, Secret):
            raise NeedsAnsible(f"{host}: {name} is vaulted")
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            raise NeedsAnsible(f"{host}: {name} is a template")


def _finish(draft: Draft) -> Inventory:
    """Work out who is in which group, and which variable wins, in Ansible's order of precedence."""
    members = {name: draft.hosts_of(name) for name in draft.groups if name != "all"}
    whole = draft.group("all")
    hosts = dict.fromkeys(draft.hosts) | draft.hosts_of("all")
    for found in members.values():
        hosts |= found
    order = sorted(
        members,
        key=lambda name: (draft.depth(name), int(_priority(draft.groups[name])), name),
    )
    by_host: dict[str, list[Group]] = {name: [] for name in hosts}
    for name in order:
        for host in members[name]:
            by_host[host].append(draft.groups[name])
    settled: dict[str, dict[str, Any]] = {}
    for host, groups in by_host.items():
        layers: Iterable[Mapping[str, Any]] = [
            whole.variables,
            *(group.variables for group in groups),
            whole.more,
            *(group.more for group in groups),
            draft.hosts.get(host, {}),
            draft.more.get(host, {}),
        ]
        settled[host] = present({name: value for layer in layers for name, value in layer.items()})
    return Inventory(settled, {name: tuple(found) for name, found in members.items()})


def _priority(group: Group) -> int:
    value = group.more.get("ansible_group_priority", group.variables.get("ansible_group_priority", 1))
    return value if isinstance(value, int) else 1

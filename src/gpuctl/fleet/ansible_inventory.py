"""What only Ansible can read is read by ansible-inventory, and only the few variables about connections are kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuctl.fleet.errors import BadInventory
from gpuctl.fleet.inventory import SECRET, Inventory, Secret, kept, present
from gpuctl.fleet.names import proper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LIMIT = 120  # seconds; a cloud's plugin asks that cloud


def ask_ansible(sources: Sequence[str], why: str) -> Inventory:
    """Return what ansible-inventory makes of the sources.

    Args:
        sources: as given to -i.
        why: what gpuctl cannot read itself.

    Raises:
        BadInventory: there is no Ansible here, it fails, or a variable that is needed stays hidden.
    """
    tool = shutil.which("ansible-inventory") or shutil.which("ansible-inventory", path=str(Path(sys.executable).parent))
    if tool is None:
        raise BadInventory(
            f"only Ansible can read this inventory: {why}",
            resolution="install ansible-core here, or write that part as plain text",
        )
    argv = [tool, "--list", *(word for source in sources for word in ("-i", source))]
    # Ansible only warns of a source that it cannot read, and goes on without its hosts.
    env = {**os.environ, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True"}
    try:
        ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, env=env, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInventory("ansible-inventory did not answer", details=str(error)) from error
    errors = ran.stderr.decode("utf-8", "replace").strip()
    if ran.returncode:
        raise BadInventory(
            f"ansible-inventory cannot read the inventory ({why})",
            details=errors[-2000:],
            resolution="a vault's password comes from ANSIBLE_VAULT_PASSWORD_FILE",
        )
    try:
        return _inventory(json.loads(ran.stdout), why, tuple(errors.splitlines()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInventory("ansible-inventory's answer makes no sense", details=str(error)) from error


def _inventory(answer: dict[str, Any], why: str, notes: tuple[str, ...]) -> Inventory:
    variables = answer.pop("_meta", {}).get("hostvars", {})
    members: dict[str, dict[str, None]] = {}

    def hosts_of(name: str) -> dict[str, None]:
        if name not in members:
            group = answer.get(name, {})
            members[name] = dict.fromkeys(group.get("hosts", ()))
            for child in group.get("children", ()):
                members[name] |= hosts_of(child)
        return members[name]

    hosts = {proper(name): _clear(name, present(kept(variables.get(name, {}))), why) for name in hosts_of("all")}
    groups = {name: tuple(hosts_of(name)) for name in answer if name != "all"}
    return Inventory(hosts, groups, notes)


def _clear(host: str, found: dict[str, Any], why: str) -> Mapping[str, Any]:
    for name, value in found.items():
        hidden = isinstance(value, dict) and "__ansible_vault" in value
        if hidden or isinstance(value, Secret):
            found[name] = SECRET
        if hidden or (isinstance(value, str) and ("{{" in value or "{%" in value)):
            raise BadInventory(
                f"{host}: {name} is {'vaulted' if hidden else 'a template'}, and is needed to reach it",
                details=why,
                resolution="write it as plain text, or give --user, --key or ~/.ssh/config",
            )
    return found

"""One playbook of the collection, run by ansible-runner: its events come as they happen, no secret stays behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.fleet.ansible.place import forgotten
from gpuctl.fleet.names import proper
from gpuctl.remote.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible_runner.config.runner import RunnerConfig

Event = dict[str, Any]
_POLL = 1  # seconds in which an interrupt is noticed
_SAID = 40  # lines of Ansible's own words that are kept
_PROMPTS = {
    "ssh": r"SSH password:\s*?$",
    "become": r"BECOME password.*:\s*?$",
    "vault": r"Vault password.*:\s*?$",
}


# Ansible warns only: a mistyped `!decommissioned`, or one bad file of many, would change other hosts than are meant.
_STRICT = MappingProxyType(
    {"ANSIBLE_HOST_PATTERN_MISMATCH": "error", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True"}
)
_NOBODY = re.compile(r"Could not match supplied host pattern, ignoring:\s+(\S+)")


class AnsibleMissing(OperatorError):
    """There is no ansible-playbook here."""


class AnsibleFailed(OperatorError):
    """ansible-playbook ended before it came to any host."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Access:
    """How Ansible gets at the hosts.

    Attributes:
        inventory: files, folders or comma lists, as `ansible-playbook -i` takes them.
        limit: a pattern of Ansible's, or empty.
        forks: hosts at a time.
        passwords: what to answer to Ansible's prompts: keys ssh, become, vault. In memory only.
        vault_password_file: a file or script of the user's, or None.
        timeout: seconds that a host may take for one task: what hangs after its login ends then.
    """

    inventory: tuple[str, ...]
    limit: str = ""
    forks: int = 50
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    vault_password_file: str | None = None
    timeout: int = 3600


@dataclass(frozen=True, slots=True)
class Ended:
    """How a playbook ended: Ansible's exit status, whether it was stopped by us, and its last words."""

    code: int
    stopped: bool
    said: str


@dataclass(frozen=True, slots=True)
class Ansible:
    """ansible-playbook with the collection, in a private folder.

    Attributes:
        folder: from place.private_folder; the collection is staged there.
        access: how it gets at the hosts.
        stop: says whether to end now; asked every second.
    """

    folder: Path
    access: Access
    stop: Callable[[], bool] = lambda: False

    def play(
        self,
        name: str,
        heard: Callable[[Event], None],
        *,
        hosts: Iterable[str],
        variables: Mapping[str, Any],
        words: Sequence[str] = (),
    ) -> Ended:
        """Run gpuctl.host.NAME on ``hosts`` and return how it ended; ``heard`` gets every event of a host.

        Args:
            name: prepare, restore, reboot, check.
            heard: called in this thread.
            hosts: names of the inventory.
            variables: extra variables; they win over the inventory's.
            words: more of the command line: --check.
        """
        limit, _ = self._limit(hosts)
        return self._run({"playbook": f"gpuctl.host.{name}"}, heard, ["--limit", limit, *words], variables)

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that are meant, in the inventory's order (which a playbook's own list has not).

        Raises:
            AnsibleFailed: a file of the inventory cannot be read, or a part of the limit means nothing.
            BadInventory: a name in it is none.
        """
        words = ["all", "--list-hosts", *(["--limit", self.access.limit] if self.access.limit else [])]
        lines: list[str] = []

        def heard(event: Event) -> None:
            lines.extend(str(event.get("stdout") or "").splitlines())

        ended = self._run({"binary": "ansible"}, heard, words, {}, _STRICT)
        if ended.code and not ended.stopped:
            nobody = _NOBODY.search(ended.said)
            if nobody:
                raise AnsibleFailed(
                    f"--limit: no host or group {nobody[1]!r} in this inventory",
                    details=ended.said,
                    resolution="correct the name; a pattern that means nothing is taken for a mistake",
                )
            raise AnsibleFailed(
                "ansible cannot read the inventory", details=ended.said, resolution="ansible-inventory -i ... --graph"
            )
        return tuple(proper(name) for name in _listed(lines))

    def variable(self, name: str, hosts: Iterable[str]) -> dict[str, str]:
        """Return what a variable of the inventory is for each host, "" where it is not set; no host is asked.

        Raises:
            AnsibleFailed: Ansible does not say it.
        """
        found: dict[str, str] = {}

        def heard(event: Event) -> None:
            data = event.get("event_data") or {}
            if event.get("event") == "runner_on_ok" and data.get("host"):
                found[str(data["host"])] = str((data.get("res") or {}).get("msg") or "").strip()

        limit, asked = self._limit(hosts)
        words = ["all", "--limit", limit, "-m", "ansible.builtin.debug", "-a", f"msg={{{{ {name} | default('') }}}}"]
        ended = self._run({"binary": "ansible"}, heard, words, {}, {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1"})
        if ended.stopped:
            raise KeyboardInterrupt
        if missing := [host for host in asked if host not in found]:
            raise AnsibleFailed(
                f"ansible does not say the variable {name} of {missing[0]}",
                details=ended.said,
                resolution=f"ansible -i INVENTORY {missing[0]} -m debug -a var={name}",
            )
        return {host: found[host] for host in asked}

    def _limit(self, hosts: Iterable[str]) -> tuple[str, tuple[str, ...]]:
        """The hosts are in a file; return the pattern that means it, and the hosts."""
        asked, limit = tuple(hosts), self.folder / "limit"
        limit.write_text("".join(f"{host}\n" for host in asked), encoding="utf-8")
        return f"@{limit}", asked

    def _run(
        self,
        what: Mapping[str, str],
        heard: Callable[[Event], None],
        words: Sequence[str],
        variables: Mapping[str, Any],
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Ended:
        from ansible_runner.config.runner import RunnerConfig
        from ansible_runner.runner import Runner

        env = self.folder / "env"
        env.mkdir(exist_ok=True)
        (env / "settings").write_text(
            json.dumps({"suppress_output_file": True, "suppress_ansible_output": True, "pexpect_timeout": _POLL})
        )
        (env / "extravars").write_text(json.dumps(dict(variables)))
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        config = RunnerConfig(
            private_data_dir=str(self.folder),
            **what,
            inventory=[_absolute(one) for one in self.access.inventory],
            cmdline=shlex.join([*words, *self._asked()]),
            forks=self.access.forks,
            envvars={**self._environment(), **more},
            passwords={_PROMPTS[kind]: word for kind, word in self.access.passwords.items()},
            ident="run",
            fact_cache_type="memory",
            quiet=True,
        )
        config.prepare()
        config.cwd = str(Path.cwd())  # the user's ansible.cfg and relative paths hold, as with ansible-playbook
        return self._spawn(Runner, config, heard)

    def _spawn(self, runner_class: Any, config: RunnerConfig, heard: Callable[[Event], None]) -> Ended:  # noqa: ANN401
        said: list[str] = []
        failure: list[BaseException] = []

        def handler(event: Event) -> bool:
            if not event.get("event_data", {}).get("host"):
                said.extend(plain(str(event.get("stdout") or "")).splitlines())
                del said[:-_SAID]
            try:
                heard(event)
            except Exception as error:  # noqa: BLE001 - ansible-runner would swallow an OSError: it is raised below
                failure.append(error)
            return False  # no event becomes a file

        runner = runner_class(config, event_handler=handler, cancel_callback=lambda: bool(failure) or self.stop())
        with forgotten(Path(config.artifact_dir, "command")):
            runner.run()
        if failure:
            raise failure[0]
        return Ended(runner.rc if runner.rc is not None else 1, runner.canceled, "\n".join(said).strip())

    def _asked(self) -> list[str]:
        words = [f"--ask-{'' if kind == 'ssh' else kind + '-'}pass" for kind in self.access.passwords]
        if self.access.vault_password_file:
            words += ["--vault-password-file", self.access.vault_password_file]
        return words

    def _environment(self) -> dict[str, str]:
        """What is set for Ansible beside the user's own environment; where the user has said something, it stays."""
        given = os.environ
        collections = [str(self.folder / "collections"), given.get("ANSIBLE_COLLECTIONS_PATH", "")]
        if not collections[1]:
            collections[1] = f"{Path.home()}/.ansible/collections:/usr/share/ansible/collections"
        return {
            "PATH": f"{ansible_playbook().parent}:{given.get('PATH', os.defpath)}",
            "ANSIBLE_COLLECTIONS_PATH": ":".join(collections),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_PIPELINING": given.get("ANSIBLE_PIPELINING", "True"),
            "ANSIBLE_TASK_TIMEOUT": str(self.access.timeout),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "False",
            # ansible-runner would switch it off; and ssh must not ask on a terminal that nobody sees.
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_SSH_EXTRA_ARGS": f"{given.get('ANSIBLE_SSH_EXTRA_ARGS', '')} {_SSH}".strip(),
        }


# A dead connection ends after 45 s. The user's own option (ansible_ssh_common_args) wins: ssh takes the first.
_SSH = "-o StrictHostKeyChecking=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=3"


def ansible_playbook() -> Path:
    """Return the ansible-playbook to use: the one beside this Python, or the first in PATH.

    Raises:
        AnsibleMissing: there is none.
    """
    beside = Path(sys.executable).with_name("ansible-playbook")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("ansible-playbook")
    if found is None:
        raise AnsibleMissing(
            "ansible-playbook is not here, and every change on a fleet goes through it",
            resolution="pip install ansible-core beside gpuctl, or install your distribution's",
        )
    return Path(found).absolute()


def _absolute(inventory: str) -> str:
    return str(Path(inventory).absolute()) if "," not in inventory else inventory


def _listed(lines: Sequence[str]) -> tuple[str, ...]:
    """Read `ansible --list-hosts`: the indented names below "hosts (N):"."""
    names: list[str] = []
    inside = False
    for line in lines:
        if line.startswith("  hosts (") and line.rstrip().endswith("):"):
            inside = True
        elif inside and line.startswith("    ") and line.strip():
            names.append(line.strip())
        else:
            inside = False
    return tuple(names)

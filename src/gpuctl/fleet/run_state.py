"""A changing run over many hosts: what was wished, what each host came to, what the run came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA, PLAN_SCHEMA = "gpuctl.fleet.run/1", "gpuctl.fleet.plan/1"

# What a host comes to.
DONE = "done"  # read back, and nothing is left to do
REBOOT_NEEDED = "reboot-needed"  # read back, and holds after a reboot
FAILED = "failed"
UNREACHABLE = "unreachable"
REFUSED = "refused"  # for safety, nothing touched
SKIPPED = "skipped"  # its turn never came
UNKNOWN = "unknown"  # begun, and interrupted before it answered
STATES = (DONE, REBOOT_NEEDED, FAILED, UNREACHABLE, REFUSED, UNKNOWN, SKIPPED)
# On the way there.
PLANNED, CHECKED = "planned", "checked"

GOOD = (DONE, REBOOT_NEEDED)
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is asked to do; all of it is in the journal, so that a resumed run does the same.

    Attributes:
        verb: "prepare" or "restore".
        inventory: as `ansible-playbook -i` takes it, absolute.
        limit: a pattern of Ansible's, or empty.
        canary: so many hosts go first, alone; none may fail.
        serial: sizes of the batches after it, "5" or "20%"; the last one repeats.
        max_fail: the percentage of hosts that may fail before no further batch begins.
        variables: extra variables for the playbooks, from the options that were given.
        reboot: reboot what needs it, wait, check again.
        drain: empty the host of GPU instances before, let the scheduler use it again after, if it is ready.
        reboot_timeout: seconds.
        cloud: whose hosts are drained: a name in clouds.yaml, or empty for what the environment says.
        region: of that cloud, or empty.
    """

    verb: str
    inventory: tuple[str, ...]
    limit: str
    canary: int
    serial: tuple[str, ...]
    max_fail: float
    variables: dict[str, Any]
    reboot: bool = False
    drain: bool = False
    reboot_timeout: int = 1800
    cloud: str = ""
    region: str = ""

    @classmethod
    def of(cls, document: dict[str, Any]) -> Wish:
        """Return the wish that a journal holds."""
        lists = {key: tuple(document[key]) for key in ("inventory", "serial")}
        return cls(**{**document, **lists})


@dataclass(frozen=True, slots=True)
class HostState:
    """What a host has come to.

    Attributes:
        state: one of STATES, or PLANNED or CHECKED on the way.
        what: what went wrong, or why a reboot is needed, in one line.
        resolution: one thing to do now; empty where nothing is to be done.
        changes: the steps: kind, target, reason, risk, state.
        run: the host's own run id (`gpuctl host history`).
        findings: what the check after the reboot found, or why it was refused.
        check: "ready" and "gpus" of that check; None where there was none.
        reboot: whether it was, or would be, needed.
        fingerprint: of the plan.
        diff: the plan's diffs.
    """

    host: str
    state: str
    what: str = ""
    resolution: str = ""
    changes: tuple[dict[str, Any], ...] = ()
    run: str = ""
    findings: tuple[dict[str, Any], ...] = ()
    check: dict[str, Any] | None = None
    reboot: bool = False
    fingerprint: str = ""
    diff: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON value, for the result and the journal; diffs are the plan's alone."""
        whole = asdict(self)
        for key in ("diff", "fingerprint", "reboot"):
            del whole[key]
        return {**whole, "changed": any(change.get("state") == "done" for change in self.changes)}

    @classmethod
    def of(cls, document: dict[str, Any]) -> HostState:
        """Return the state that a journal's line holds."""
        known = {key: document[key] for key in ("host", "state", "what", "resolution", "run")}
        changes, findings = tuple(document["changes"]), tuple(document["findings"])
        return cls(**known, changes=changes, findings=findings, check=document.get("check"))


def settled(state: HostState, wish: Wish) -> bool:
    """Say whether a resumed run may leave this host alone."""
    return state.state == DONE or (state.state == REBOOT_NEEDED and not wish.reboot)


def exit_code(states: Iterable[str], *, interrupted: bool) -> int:
    """Return the exit status of hosts in these states (CONTRACT: Exit codes)."""
    found = set(states)
    if interrupted:
        return INTERRUPTED
    if found <= set(GOOD):
        return 4 if REBOOT_NEEDED in found else 0
    if found & set(GOOD):
        return 5
    return {frozenset({REFUSED}): 3, frozenset({UNREACHABLE}): 6}.get(frozenset(found - {SKIPPED}), 1)


def run_document(
    run: str, wish: Wish, states: list[HostState], *, stopped: str, interrupted: bool, before: frozenset[str]
) -> dict[str, Any]:
    """Return what a run came to (schema gpuctl.fleet.run/1).

    Args:
        run: its id.
        wish: what was asked.
        states: every host's, in the inventory's order.
        stopped: why no further batch was begun, or empty.
        interrupted: by the user.
        before: hosts that an earlier part of this run had done.
    """
    return {
        "schema": SCHEMA,
        "run": run,
        "verb": wish.verb,
        "inventory": list(wish.inventory),
        "exit_code": exit_code((state.state for state in states), interrupted=interrupted),
        "interrupted": interrupted,
        "stopped": stopped or None,
        "summary": {name: sum(state.state == name for state in states) for name in STATES},
        "hosts": [{**state.document(), "done_before": state.host in before} for state in states],
    }


def plan_document(wish: Wish, states: list[HostState]) -> dict[str, Any]:
    """Return what a run would do, hosts with equal plans together (schema gpuctl.fleet.plan/1).

    Args:
        wish: what was asked.
        states: every host's; those that could not be planned are `problems`.
    """
    groups: dict[tuple[str, ...], list[HostState]] = {}
    for state in states:
        if state.state == PLANNED:
            steps = tuple(f"{one['kind']} {one['target']} {one['state']}" for one in state.changes)
            groups.setdefault((state.what, state.diff, *steps), []).append(state)
    good = [DONE if state.state == PLANNED else state.state for state in states]
    return {
        "schema": PLAN_SCHEMA,
        "verb": wish.verb,
        "inventory": list(wish.inventory),
        "exit_code": exit_code(good, interrupted=False),
        "groups": [
            {
                "hosts": [state.host for state in group],
                "changes": list(group[0].changes),
                "reboot": group[0].what.split("; ") if group[0].what else [],
                "diff": group[0].diff,
            }
            for group in sorted(groups.values(), key=len, reverse=True)
        ],
        "problems": [state.document() for state in states if state.state != PLANNED],
    }

"""The checks after a run's reboots, kept as a `fleet check` is: for `--last`, the report, and the next comparison."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from gpuctl.errors import OperatorError
from gpuctl.fleet import runs
from gpuctl.fleet.ask import CHECK, check_tail, earlier, now
from gpuctl.fleet.run_state import UNREACHABLE
from gpuctl.fleet.summary import FAILED, NOT_READY, READY, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuctl.fleet.run_state import HostState, Wish


def keep(run: str, wish: Wish, states: Sequence[HostState]) -> runs.Run | None:
    """The hosts that were checked, or are gone, are a kept check under the run's own id; None where none was checked.

    What else a host came to (done without a reboot, refused, skipped) is no answer to a check, and is left out.

    Raises:
        NoRun: it cannot be written.
    """
    from gpuctl_host import __version__

    if not any(state.check for state in states):
        return None
    groups, summary = _groups(wish), Summary()
    head: dict[str, Any] = {"schema": CHECK, "run": run, "version": __version__, "started_at": now()}
    head |= {"vendors": wish.variables.get("prepare_vendors") or ["10de"], "strict": False}
    head |= {"inventory": list(wish.inventory), "limit": wish.limit or None, "verb": wish.verb}
    entries = [entry for state in states if (entry := _entry(state, groups.get(state.host, ())))]
    before = earlier({entry["host"] for entry in entries}, but=run)
    try:
        writer = runs.Writer(head, runs.place() / f"{run}.json.gz")
        try:
            for entry in entries:
                summary.add(entry)
                writer.add(entry)
            kept = writer.finish(check_tail(summary, before, 0))
        except BaseException:
            writer.drop()
            raise
    except OSError as error:
        raise runs.NoRun(
            f"the check cannot be kept: {error.strerror}", resolution="XDG_STATE_HOME says where"
        ) from error
    runs.prune()
    return kept


def _entry(state: HostState, groups: Sequence[str]) -> dict[str, Any] | None:
    """Return a host as a check's document has it."""
    if not state.check and state.state != UNREACHABLE:
        return None
    entry: dict[str, Any] = {"host": state.host, "groups": list(groups), "state": FAILED, "seconds": 0.0}
    entry |= {"check": None, "facts": None, "error": None}
    if state.check:
        ready, gpus = state.check["ready"], state.check["gpus"]
        own = {"schema": "gpuctl.host.check/1", "host": state.host, "ready": ready, "gpus": gpus}
        entry |= {"state": READY if ready else NOT_READY, "check": {**own, "findings": list(state.findings)}}
    else:
        brief = f"{state.host}: {state.what}"
        error = {"code": "unreachable", "brief": brief, "details": "", "resolution": state.resolution, "exit_code": 6}
        entry["error"] = error
    return entry


def _groups(wish: Wish) -> Mapping[str, Sequence[str]]:
    """Return each host's groups; none where only Ansible can say them and does not."""
    from gpuctl.fleet.inventory import load

    with contextlib.suppress(OperatorError):
        inventory = load(wish.inventory)
        return {host: inventory.groups_of(host) for host in inventory.hosts}
    return {}

"""`gpuctl fleet trust`: the hosts' keys collected, shown to be compared, and filed when a person agrees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli import fleet_options, options
from gpuctl.cli.asking import agree, show
from gpuctl.cli.failure import Failure
from gpuctl.cli.out import emit

if TYPE_CHECKING:
    from gpuctl.fleet.trust import Shown

SCHEMA = "gpuctl.fleet.trust/1"


@click.command("trust")
@options.common
@fleet_options.hosts
@fleet_options.reached
@click.option(
    "-o",
    "--known-hosts",
    "output",
    type=click.Path(dir_okay=False),
    default="~/.ssh/known_hosts",
    show_default=True,
    help="Where the keys are filed.",
)
@click.option(
    "--replace-key",
    "replace",
    multiple=True,
    metavar="HOST",
    help="File this host's key although another one is known; may be repeated.",
)
@options.consent
@options.form()
@fleet_options.tells
def command(
    inventory: tuple[str, ...],
    limit: str | None,
    form: str,
    output: str,
    replace: tuple[str, ...],
    *,
    dry_run: bool,
    yes: bool,
    **more: Any,  # noqa: ANN401 - how hosts are reached, passed on
) -> int:
    """Collect the hosts' SSH keys, show their fingerprints, and file those that are new.

    Compare them with what the hosts say of themselves (the console, or the machine's record): whoever answers on
    the network first is not thereby the host. A changed key is never filed but with --replace-key HOST, --yes or not.

    Exit code 0: all are known now; 1: a key has changed; 5: some hosts could not be seen; 6: none could.

    Example: gpuctl fleet trust -i inventory.ini
    """
    from gpuctl.fleet import trust

    targets = fleet_options.targets(inventory, limit, **{key: more[key] for key in ("user", "keys", "ssh_config")})
    names = {target.host for target in targets}
    if strange := [host for host in replace if host not in names]:
        raise Failure(f"--replace-key {strange[0]}: no such host in this run", exit_code=2)
    path = Path(output).expanduser()
    shown = sorted(trust.collect(targets, path, forks=more["forks"]), key=lambda one: one.host)
    new = [one for one in shown if one.state == trust.NEW]
    again = [one for one in shown if one.state == trust.CHANGED and one.host in replace]
    filed = False
    if (new or again) and not dry_run:
        if not yes:
            show(_table(shown), form)
            agree(f"File {len(new) + len(again)} keys in {path}?", f"{len(new) + len(again)} keys to be compared")
        _file(new, again, path)
        filed = True
    emit(_document(shown, path, filed=filed), form, _ending(shown, path, filed=filed, told=not yes and filed))
    return _code(shown, replace)


def _file(new: list[Shown], again: list[Shown], path: Path) -> None:
    from gpuctl.fleet import trust
    from gpuctl.remote import known_hosts

    try:
        elsewhere = trust.file(new, again, path)
    except OSError as error:
        raise Failure(
            f"cannot write {path}", details=str(error), resolution="-o FILE takes another", exit_code=2
        ) from error
    there = known_hosts.read((path,))
    for one in (*new, *again):
        if not any(entry.key == one.key for entry in there.of(one.name)):
            raise Failure(f"{path}: {one.name} is not in it after it was written")
    for entry in elsewhere:
        click.echo(f"{entry.where} has the old key still; gpuctl does not write there", err=True)


def _table(shown: list[Shown]) -> str:
    from gpuctl.fleet import trust
    from gpuctl.output.fleet_tables import key_rows
    from gpuctl.remote.known_hosts import fingerprint

    rows = []
    for one in shown:
        if one.state in (trust.SAME, trust.FAILED):
            continue
        rows.append((one.host, one.state, one.kind, one.fingerprint))
        rows += [("", "known", old.kind, f"{fingerprint(old.blob)}  {old.where}") for old in one.old]
    return key_rows(rows) if rows else ""


def _ending(shown: list[Shown], path: Path, *, filed: bool, told: bool) -> str:
    from gpuctl.fleet import trust
    from gpuctl.fleet.names import fold

    text = "" if told else _table(shown)
    for one in shown:
        if one.error is not None:
            text += f"{one.host}: {one.error.brief}\n"
    counts = {state: [one.host for one in shown if one.state == state] for state in (trust.SAME, trust.NEW)}
    if counts[trust.SAME]:
        text += f"{len(counts[trust.SAME])} known already\n"
    if counts[trust.NEW]:
        text += f"{len(counts[trust.NEW])} new{f', filed in {path}' if filed else ''}: {fold(counts[trust.NEW])}\n"
    changed = [one.host for one in shown if one.state in (trust.CHANGED, trust.REVOKED)]
    if changed:
        text += f"{len(changed)} changed or revoked; filed only with --replace-key: {fold(changed)}\n"
    return text


def _document(shown: list[Shown], path: Path, *, filed: bool) -> dict[str, Any]:
    from gpuctl.remote.known_hosts import fingerprint

    hosts = [
        {
            "host": one.host,
            "state": one.state,
            "name": one.name or None,
            "type": one.kind or None,
            "fingerprint": one.fingerprint or None,
            "known": [{"type": old.kind, "fingerprint": fingerprint(old.blob), "where": old.where} for old in one.old],
            "error": None if one.error is None else one.error.brief,
        }
        for one in shown
    ]
    return {"schema": SCHEMA, "known_hosts": str(path), "filed": filed, "hosts": hosts}


def _code(shown: list[Shown], replaced: tuple[str, ...]) -> int:
    from gpuctl.fleet import trust

    failed = [one for one in shown if one.state == trust.FAILED]
    if failed:
        return 6 if len(failed) == len(shown) else 5
    wrong = [
        one for one in shown if one.state == trust.REVOKED or (one.state == trust.CHANGED and one.host not in replaced)
    ]
    return 1 if wrong else 0

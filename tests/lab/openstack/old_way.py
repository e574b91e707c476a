"""The old way and gpuctl before the same failures: writes docs/explanation/old-way.md's tables anew.

    .venv/bin/python -m tests.lab.openstack.old_way --state FOLDER > tables.md

It takes the lab of that folder (it comes up, and stays), with tracking off. For each failure it boots a server with a card on
gpu-a, makes the failure ready, and lets first python-openstackclient and then, in a new cloud, gpuctl move it to gpu-b. What is
really held is read from Nova's tables.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import situations
from .clients import boot, settle, show
from .lab import Lab
from .product import Product
from .situations import HERE, THERE, hosts_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Failure:
    """One row of the table.

    Attributes:
        title: in words.
        make: what makes it happen at the next move of the server.
        unmake: what takes away what no reset does.
        confirm: it happens at the confirm.
    """

    title: str
    make: Callable[[Lab], object]
    unmake: Callable[[Lab], object] = lambda lab: None
    confirm: bool = False


def _fill(lab: Lab) -> None:
    for number in range(3):
        boot(lab, "gtx1080:1", THERE, name=f"filler-{number}")


FAILURES = (
    Failure("nothing fails", lambda _: None, confirm=True),
    Failure("libvirt on the destination: card in use", lambda lab: lab.inject(THERE, "finish_migration")),
    Failure("the first ssh to the destination fails", lambda lab: lab.inject(HERE, "ssh")),
    Failure("the copy of a disk breaks off", lambda lab: lab.inject(HERE, "disk_copy")),
    Failure("no free card on the destination", _fill),
    Failure("the destination does not know the alias", situations.aliases_gone, situations.aliases_back),
    Failure("the confirm fails on the source", lambda lab: lab.inject(HERE, "confirm_migration"), confirm=True),
)


@dataclass(frozen=True)
class Told:
    """What a tool said, and what was so."""

    code: str
    said: str
    truth: str


def truth(lab: Lab, server: str) -> str:
    """Where the server is, in which state, and which cards it holds."""
    found = settle(lab, server)
    held = ", ".join(hosts_of_rows(lab, server)) or "none"
    return f"{found['status']} on {found['OS-EXT-SRV-ATTR:host']}; cards held on: {held}"


def openstack(lab: Lab, *words: str) -> tuple[int, str]:
    """python-openstackclient's exit code and last line."""
    client = lab.installed.python.with_name("openstack")
    environment = {
        "PATH": f"{client.parent}:/usr/bin:/bin",
        "OS_CLIENT_CONFIG_FILE": str(lab.layout.clouds_yaml),
        "OS_CLOUD": "gpuctl-lab",
        "HOME": "/nonexistent",
    }
    done = subprocess.run(
        [str(client), "--os-compute-api-version", "2.90", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    return done.returncode, lines[-1].strip() if lines else "no output"


def the_old_way(lab: Lab, server: str, failure: Failure) -> Told:
    """`openstack server migrate --wait`, and the confirm where one comes so far."""
    code, said = openstack(lab, "server", "migrate", "--host", THERE, "--wait", server)
    codes, words = [str(code)], [said]
    if failure.confirm and code == 0:
        code, said = openstack(lab, "server", "migration", "confirm", server)
        codes.append(str(code))
        words.append(said)
        _confirmed(lab, server)
    said = " / ".join(dict.fromkeys(words)).replace(server, "SERVER")
    return Told(", then ".join(codes), said, truth(lab, server))


def _confirmed(lab: Lab, server: str) -> None:
    """The confirmation is over, whatever came of it: the client does not wait for it."""
    from .clients import until

    until(lambda: show(lab, server)["status"] != "VERIFY_RESIZE", "the confirmation")
    lab.audit()


def with_gpuctl(lab: Lab, server: str, home: Path) -> Told:
    """`gpuctl instance migrate`."""
    words = ("instance", "migrate", server, "--host", THERE, "--yes")
    answer = Product(lab, home).run(*words, db=True)
    result = answer.result
    said = f"{result['state']}: {result['detail']}"
    return Told(str(answer.code), said.replace(server, "SERVER"), truth(lab, server))


def recipe(lab: Lab) -> str:
    """What the recipe of 2016 makes of a move that failed, in a sentence."""
    lab.reset()
    server = boot(lab, "gtx1080:1", HERE)
    situations.finish_failed_then_2016(lab, server)
    return truth(lab, server)


def tables(lab: Lab) -> str:
    """The tables, in Markdown."""
    old, new = "`openstack server migrate --wait` (then `migration confirm`)", "`gpuctl instance migrate`"
    lines = [f"| what fails | {old} | {new} | what is so, afterwards |", "| --- | --- | --- | --- |"]
    for failure in FAILURES:
        told = []
        for way in ("old", "new"):
            lab.reset()
            home = Path(tempfile.mkdtemp(prefix="gpuctl-old-way-"))
            try:
                server = boot(lab, "gtx1080:1", HERE)
                failure.make(lab)
                told.append(the_old_way(lab, server, failure) if way == "old" else with_gpuctl(lab, server, home))
            finally:
                failure.unmake(lab)
                shutil.rmtree(home, ignore_errors=True)
        first, second = told
        so = first.truth if first.truth == second.truth else f"old way: {first.truth}; gpuctl: {second.truth}"
        said = f'exit {first.code}: "{first.said}" | exit {second.code}: {second.said}'
        lines.append(f"| {failure.title} | {said} | {so} |")
    lines += ["", f"The recipe of 2016 after the first failure: {recipe(lab)}."]
    lab.reset()
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="the lab's folder")
    lab = Lab(parser.parse_args(words).state).up()
    sys.stdout.write(tables(lab))
    return 0


if __name__ == "__main__":
    sys.exit(main())

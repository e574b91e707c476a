"""gpuctl as a user runs it against a lab: the words of a command line in, an exit code and a document out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuctl.cli.main import main

from .database import query
from .machines import LabLook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .faults import Hold
    from .lab import Lab

MAIN = "import sys; from gpuctl.cli.main import main; sys.exit(main())"

WAITING = (("instance", "migrate"), ("instance", "recover"), ("instance", "drain"))
"""Those that may wait for an audit, which the lab's computes have every ten seconds."""


@dataclass(frozen=True)
class Answer:
    """What one command line gave.

    Attributes:
        seconds, cpu: wall and processor time of this process.
    """

    code: int
    document: dict[str, Any]
    out: str
    err: str
    seconds: float
    cpu: float

    @property
    def result(self) -> dict[str, Any]:
        """The one result of a command about one server."""
        (found,) = self.document["results"]
        return dict(found)

    @property
    def found(self) -> dict[str, str]:
        """What its findings are: id -> status, those that passed left out."""
        findings = self.document.get("findings") or [
            each for one in self.document.get("results", ()) for each in one["findings"]
        ]
        return {one["id"]: one["status"] for one in findings if one["status"] not in {"pass", "skip"}}


class Product:
    """gpuctl, told of one lab by the environment; its journals and audit trail are in a folder of the test's own."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab, self.home = lab, home
        self.look = LabLook(lab)

    @property
    def database(self) -> str:
        """What --nova-db is given."""
        return f"mysql+pymysql://lab@127.0.0.1:{self.lab.layout.ports().mariadb}/nova"

    def environment(self) -> dict[str, str]:
        """The variables of a gpuctl that runs as a process of its own."""
        own = {
            "OS_CLIENT_CONFIG_FILE": str(self.lab.layout.clouds_yaml),
            "OS_CLOUD": "gpuctl-lab",
            "XDG_STATE_HOME": str(self.home),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "GPUCTL_"))}
        return {**kept, **own}

    def run(self, *words: str, db: bool = False, ssh: bool = False) -> Answer:
        """The command ran in this process, with -f json.

        Args:
            words: the command line after `gpuctl`.
            db: with --nova-db.
            ssh: with --ssh, which means the lab's own hosts.
        """
        waits = ["--audit-interval", "10"] if words[:2] in WAITING else []
        line = [
            *words,
            "-f",
            "json",
            *waits,
            *(["--nova-db", self.database] if db else []),
            *(["--ssh"] if ssh else []),
        ]
        out, err = io.StringIO(), io.StringIO()
        wall, cpu = time.monotonic(), time.process_time()
        with self._environment(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(line, obj={"host_look": self.look})
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        text = out.getvalue()
        document = json.loads(text) if text.startswith("{") else {}
        return Answer(code, document, text, err.getvalue(), wall, cpu)

    def kill_at(self, hold: Hold, *words: str) -> None:
        """The command ran as a process of its own, and was killed while Nova stood at the held step; Nova goes on.

        Args:
            hold: a step that is held.
            words: the command line after `gpuctl`.
        """
        line = [sys.executable, "-c", MAIN, *words]
        with subprocess.Popen(
            line, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                hold.wait_reached(600)
            finally:
                process.kill()
        hold.release()

    def repair(self, server: str, *words: str, db: bool = True, ssh: bool = True, rounds: int = 5) -> Answer:
        """Recover until there is no statement left to run; each is run as printed, its guard and its check looked at."""
        answer = self.run("instance", "recover", server, "--yes", *words, db=db, ssh=ssh)
        for _ in range(rounds):
            if answer.code in {0, 3} or not answer.result["statements"]:
                return answer
            for one in answer.result["statements"]:
                if not self.sql(one["guard"]):
                    continue  # already done, or not right any more: then the statement does nothing either
                self.sql(one["sql"])
            self.lab.audit(*(host for host in self.lab.hosts() if self.lab.status()[f"compute-{host}"]))
            answer = self.run("instance", "recover", server, "--yes", *words, db=db, ssh=ssh)
        return answer

    def sql(self, text: str) -> Sequence[dict[str, Any]]:
        """The statement, as an operator types it into the cell's database."""
        rows: Sequence[dict[str, Any]] = []
        for one in (part.strip() for part in text.split(";")):
            if one and not one.startswith("--"):
                rows = query(self.lab.installed, self.lab.layout.ports().mariadb, one.replace("%", "%%"), (), "nova")
        return rows

    def forget(self) -> None:
        """No journal, no quarantine: the next test's cloud is a new one."""
        shutil.rmtree(self.home, ignore_errors=True)
        for host in self.lab.hosts():
            quarantine = self.lab.layout.host(host) / "instances" / ".gpuctl-quarantine"
            shutil.rmtree(quarantine, ignore_errors=True)

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment())
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

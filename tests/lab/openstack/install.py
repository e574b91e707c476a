"""Gets what the lab runs: OpenStack from PyPI, MariaDB and RabbitMQ from Debian's packages, all below one cache folder.

Nothing is installed into the system: the Debian packages are unpacked, not installed, so that none of their scripts
run and none of their services start.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
# Only what the two servers link against or load that a minimal Debian lacks; their other dependencies are never run.
DEBIAN = (
    "mariadb-server-core",
    "rabbitmq-server",
    "libwrap0",
    *("erlang-asn1", "erlang-base", "erlang-crypto", "erlang-eldap", "erlang-ftp", "erlang-inets", "erlang-mnesia"),
    *("erlang-os-mon", "erlang-parsetools", "erlang-public-key", "erlang-runtime-tools", "erlang-snmp", "erlang-ssl"),
    *("erlang-syntax-tools", "erlang-tftp", "erlang-tools", "erlang-xmerl"),
)
# The same library under the names that releases give its package; the first that is to be had is taken.
LIBRARIES = (("liburing2",), ("libaio1t64", "libaio1"))


class Unavailable(Exception):
    """The lab cannot run here: a package is not to be had. The message is one line."""


@dataclass(frozen=True, slots=True)
class Install:
    """Where the installed parts lie."""

    cache: Path

    @property
    def venv(self) -> Path:
        """The virtual environment; its name changes with the pins, so that a stale one is never used."""
        digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
        return self.cache / f"venv-{digest}"

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """The folder that the wheels were unpacked into."""
        return next(self.venv.glob("lib/python3*/site-packages"))

    @property
    def debian(self) -> Path:
        """The root of the unpacked Debian packages."""
        return self.cache / "debian"

    @property
    def libraries(self) -> dict[str, str]:
        """The environment in which an unpacked program finds its unpacked libraries."""
        return {"LD_LIBRARY_PATH": ":".join(map(str, sorted((self.debian / "usr" / "lib").glob("*-linux-gnu"))))}

    @property
    def unpacked(self) -> Path:
        """The mark of a wholly unpacked `debian`; it changes with the list of packages."""
        digest = hashlib.sha256(repr((DEBIAN, LIBRARIES)).encode()).hexdigest()[:12]
        return self.debian / f".complete-{digest}"

    @property
    def template(self) -> Path:
        """A database with all schemas in place; see template.py."""
        parts = [LOCK.read_bytes(), (HERE / "template.py").read_bytes()]
        return self.cache / f"template-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"


def default_cache() -> Path:
    """The cache folder of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gpuctl" / "lab-openstack"


def ensure(cache: Path | None = None) -> Install:
    """Everything is installed when this returns; the second call takes milliseconds.

    Raises:
        Unavailable: a package is not to be had on this machine.
    """
    install = Install((cache or default_cache()).absolute())
    install.cache.mkdir(parents=True, exist_ok=True)
    with exclusive(install.cache / "install.lock"):
        if not install.unpacked.exists():
            _unpack_debian(install)
        if not (install.venv / ".complete").exists():
            _make_venv(install)
    return install


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Only one process at a time is inside; the kernel gives the lock back if its holder is killed."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make_venv(install: Install) -> None:
    """The virtual environment holds exactly what the lock file lists, hashes checked."""
    if sys.version_info[:2] != (3, 11):
        # The pins were resolved for 3.11 (wheels with compiled parts among them).
        raise Unavailable(f"the OpenStack lab needs Python 3.11, this is {sys.version.split()[0]}")
    venv = install.venv
    shutil.rmtree(venv, ignore_errors=True)
    pip: list[str]
    if uv := shutil.which("uv"):
        _run([uv, "venv", "-q", "--python", sys.executable, str(venv)])
        pip = [uv, "pip", "install", "-q", "--python", str(install.python), "--compile-bytecode"]
    else:
        _run([sys.executable, "-m", "venv", str(venv)])
        pip = [str(install.python), "-m", "pip", "install", "-q"]
    # The lock is whole. Without --no-deps pip takes `SQLAlchemy[asyncio]` for something that it does not pin.
    _run([*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)])
    (venv / ".complete").touch()


def _unpack_debian(install: Install) -> None:
    """MariaDB, Erlang and RabbitMQ lie unpacked, with a launcher for Erlang that knows where."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable("the OpenStack lab takes MariaDB and RabbitMQ from Debian packages; there is no apt-get here")
    part = install.cache / "debian.part"
    shutil.rmtree(part, ignore_errors=True)
    downloads = part / "downloads"
    downloads.mkdir(parents=True)
    try:
        _run(["apt-get", "-q", "download", *DEBIAN], cwd=downloads)
    except Unavailable:
        if os.geteuid() != 0:
            raise
        # A new machine has no package lists yet.
        _run(["apt-get", "-q", "update"])
        _run(["apt-get", "-q", "download", *DEBIAN], cwd=downloads)
    for names in LIBRARIES:
        _download_one_of(names, downloads)
    for package in sorted(downloads.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(part)])
    shutil.rmtree(downloads)
    shutil.rmtree(install.debian, ignore_errors=True)
    part.rename(install.debian)
    _write_erl(install.debian)
    install.unpacked.touch()


def _download_one_of(names: tuple[str, ...], downloads: Path) -> None:
    """The first package of these that exists here is downloaded."""
    for name in names:
        try:
            _run(["apt-get", "-q", "download", name], cwd=downloads)
        except Unavailable:
            if name == names[-1]:
                raise
        else:
            return


def _write_erl(debian: Path) -> None:
    """`bin/erl` starts the unpacked Erlang: Debian's own script insists on /usr/lib/erlang."""
    root = debian / "usr" / "lib" / "erlang"
    erts = next(root.glob("erts-*"))
    script = debian / "bin" / "erl"
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        "#!/bin/sh\n"
        f"export ROOTDIR='{root}' BINDIR='{erts}/bin' EMU=beam PROGNAME=erl\n"
        f"exec '{erts}/bin/erlexec' \"$@\"\n",
        encoding="utf-8",
    )
    script.chmod(0o755)


def _run(command: list[str], cwd: Path | None = None) -> None:
    """The command succeeded.

    Raises:
        Unavailable: it did not; the last line that it said is in the message.
    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Unavailable(f"cannot install the OpenStack lab: {command[0]} {command[1]}: {said}")

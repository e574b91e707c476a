"""The collection gpuctl.host, whole: what playbooks/ holds, and the host's half made into a part of its modules.

    python -m gpuctl.fleet.ansible.collection DIR         DIR/gpuctl-host-VERSION.tar.gz (needs ansible-galaxy)
    python -m gpuctl.fleet.ansible.collection --in-place  the checkout's playbooks/ can be used with ansible-playbook

The archive is text in a Python file, because that is what Ansible carries to a host with a module: no second file to
copy, no second round trip, and pipelining works.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gpuctl.errors import OperatorError

WHERE = Path("ansible_collections/gpuctl/host")
ARCHIVE = Path("plugins/module_utils/archive.py")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "archive.py", "output", ".ansible", "*.tar.gz", ".gitignore")
_WIDTH = 116

_HEAD = '''# Copyright the gpuctl developers
# SPDX-License-Identifier: Apache-2.0
"""gpuctl-host.pyz {version}, as text. Made by gpuctl.fleet.ansible.collection; the sources are host_prep/ of gpuctl."""

from __future__ import annotations

import base64


def archive():
    """Return the zipapp's bytes."""
    return base64.b85decode(_TEXT.replace("\\n", ""))


_TEXT = """
'''


class CollectionNotBuilt(OperatorError):
    """ansible-galaxy is not there, or did not build the tarball."""


def sources() -> Path:
    """Return the collection's sources: beside ours, or in the wheel's gpuctl/_data."""
    package = Path(__file__).resolve().parents[2]
    shipped = package / "_data" / "playbooks"
    return (shipped if shipped.is_dir() else package.parents[1] / "playbooks") / WHERE


def stage(folder: Path) -> Path:
    """The collection is whole below ``folder`` (an entry of ANSIBLE_COLLECTIONS_PATH); return where."""
    target = folder / WHERE
    shutil.copytree(sources(), target, ignore=_LEFT_OUT)
    write_archive(target)
    galaxy = target / "galaxy.yml"
    galaxy.write_text(re.sub(r"(?m)^version: .*$", f"version: {_version()}", galaxy.read_text(encoding="utf-8")))
    return target


def write_archive(collection: Path) -> None:
    """The collection's modules carry the host's half of this gpuctl."""
    from gpuctl.zipapp import zipapp_bytes

    # b85 has neither quotes nor a backslash, and is a quarter longer than the bytes; base64 is a third.
    text = base64.b85encode(zipapp_bytes()).decode()
    lines = "\n".join(text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH))
    (collection / ARCHIVE).write_text(_HEAD.format(version=_version()) + lines + '\n"""\n', encoding="utf-8")


def build(folder: Path, galaxy: str = "ansible-galaxy") -> Path:
    """Return the tarball, made in ``folder``; it works by itself.

    Raises:
        CollectionNotBuilt: what ansible-galaxy said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpuctl-collection-") as place:
        staged = stage(Path(place))
        argv = [galaxy, "collection", "build", "--force", "--output-path", str(folder.resolve()), str(staged)]
        try:
            ran = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except OSError as error:
            raise CollectionNotBuilt(f"{galaxy}: {error.strerror}", resolution="install ansible-core") from error
    tarball = folder / f"gpuctl-host-{_version()}.tar.gz"
    if ran.returncode or not tarball.exists():
        raise CollectionNotBuilt("the collection was not built", details=ran.stderr or ran.stdout)
    return tarball


def _version() -> str:
    from gpuctl_host import __version__

    return __version__


def main(words: list[str]) -> int:
    """Build the tarball, or make the checkout usable; return the exit status."""
    if len(words) != 1:
        sys.stderr.write(__doc__ or "")
        return 2
    if words[0] == "--in-place":
        write_archive(sources())
        sys.stdout.write(f"{sources() / ARCHIVE}\n")
        return 0
    beside = Path(sys.executable).with_name("ansible-galaxy")
    sys.stdout.write(f"{build(Path(words[0]), str(beside) if beside.exists() else 'ansible-galaxy')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

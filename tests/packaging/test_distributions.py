"""What is published: the wheel and the sdist hold what git holds, all of it and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.tree import (
    MAPPED,
    ROOT,
    build,
    copied,
    git,
    mapped,
    tracked,
    unpacked,
    wheel_content,
    wheel_metadata,
)

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout"),
]

SECRETS = (
    "playbooks/.cache/vault-password",
    "host_prep/gpuctl_host/dist/key.pem",
    "flavors/build/token",
    "src/gpuctl/__pycache__/x.pyc",
    "src/gpuctl/host.pyz",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The checkout as git sees it, with data of every mapped folder and ignored secrets lying about."""
    folder = tmp_path_factory.mktemp("tree")
    for name in (
        "flavors/catalogue.yaml",
        "playbooks/deep/er/site.yml",
        "host_prep/gpuctl_host/templates/x.tmpl",
        "src/gpuctl/d.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"planted {name}\n")
    copied(folder)
    for name in SECRETS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("hunter2")
    return folder


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> Path:
    return build(tree, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory) -> Path:
    return build(tree, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def from_sdist(sdist, tmp_path_factory) -> Path:
    return unpacked(sdist, tmp_path_factory.mktemp("unpacked"))


def test_the_wheel_is_what_git_holds(tree, wheel):
    wanted = mapped(tracked(tree))
    content = wheel_content(wheel)
    assert set(content) == set(wanted)
    assert {prefix for prefix in MAPPED.values() if any(name.startswith(prefix) for name in content)} == set(
        MAPPED.values()
    )
    for name, data in content.items():
        assert data == (tree / wanted[name]).read_bytes(), name


def test_the_wheel_from_the_sdist_is_the_same(wheel, from_sdist, tmp_path):
    again = build(from_sdist, "wheel", tmp_path)
    assert again.name == wheel.name
    assert wheel_content(again) == wheel_content(wheel)
    assert wheel_metadata(again, "METADATA") == wheel_metadata(wheel, "METADATA")


def test_the_sdist_holds_all_that_git_holds(tree, from_sdist):
    there = {path.relative_to(from_sdist).as_posix() for path in from_sdist.rglob("*") if path.is_file()}
    assert there - {"PKG-INFO"} == set(tracked(tree))


def test_nothing_that_git_ignores_is_shipped(tree, wheel, sdist, from_sdist):
    assert all(git(tree, "check-ignore", name).strip() == name for name in SECRETS)
    assert not [name for name, data in wheel_content(wheel).items() if b"hunter2" in data]
    assert not [path for path in from_sdist.rglob("*") if path.is_file() and path.read_bytes() == b"hunter2"]


def test_the_licence_and_the_readme_are_in(wheel):
    assert "Apache License" in wheel_metadata(wheel, "licenses/LICENSE")
    metadata = wheel_metadata(wheel, "METADATA")
    assert "License-Expression: Apache-2.0\n" in metadata
    assert metadata.partition("\n\n")[2].strip() == (ROOT / "README.md").read_text().strip()


def test_there_is_one_version(wheel):
    source = (ROOT / "host_prep/gpuctl_host/__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)
    assert f"\nVersion: {version}\n" in wheel_metadata(wheel, "METADATA")
    elsewhere = [
        name
        for name in tracked(ROOT)
        if name.startswith(("src/", "host_prep/", "pyproject")) and name.endswith((".py", ".toml"))
        if re.search(r'^(__version__|version) *= *"', (ROOT / name).read_text(), re.MULTILINE)
    ]
    assert elsewhere == ["host_prep/gpuctl_host/__init__.py"]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel alone, and the locked dependencies lent by path: no network."""
    return _environment(tmp_path_factory.mktemp("environment"), str(wheel))


def test_an_installed_wheel_runs(installed, tmp_path):
    assert _run(installed, tmp_path, "gpuctl", "--version").endswith(_version())
    where = _run(
        installed, tmp_path, "python", "-c", "import gpuctl, gpuctl_host; print(gpuctl.__file__, gpuctl_host.__file__)"
    )
    assert all(place.startswith(str(installed)) for place in where.split())
    data = "import importlib.resources as r; print((r.files('gpuctl') / '_data/flavors/catalogue.yaml').read_text())"
    assert _run(installed, tmp_path, "python", "-c", data) == "planted flavors/catalogue.yaml"


def test_an_installed_wheel_builds_the_same_zipapp(installed, tree, tmp_path):
    from gpuctl import zipapp

    built = tmp_path / "host.pyz"
    _run(installed, tmp_path, "python", "-m", "gpuctl.zipapp", str(built))
    import zipfile

    with zipfile.ZipFile(built) as archive:
        names = {name for name in archive.namelist() if "_vendor/pyudev" not in name}
    wanted = {f"{name[len('host_prep/') :]}" for name in tracked(tree) if name.startswith("host_prep/gpuctl_host/")}
    assert names == wanted | {"__main__.py"}
    assert zipapp.NAME == "gpuctl-host.pyz"


def test_an_editable_install_runs_the_checkout(tree, tmp_path):
    environment = _environment(tmp_path / "environment", "--editable", str(tree))
    where = _run(
        environment,
        tmp_path,
        "python",
        "-c",
        "import gpuctl, gpuctl_host; print(gpuctl.__file__, gpuctl_host.__file__)",
    )
    assert where.split() == [str(tree / "src/gpuctl/__init__.py"), str(tree / "host_prep/gpuctl_host/__init__.py")]
    assert _run(environment, tmp_path, "gpuctl", "--version").endswith(_version())


def _version() -> str:
    import gpuctl_host

    return gpuctl_host.__version__


def _environment(folder: Path, *what: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    lent = next(path for path in sys.path if path.endswith("site-packages"))
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "lent.pth").write_text(
        lent + "\n"
    )  # a .pth there is not read in turn, so that our own editable install is not seen
    python = str(folder / "bin" / "python")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", *what]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *install], check=True, capture_output=True, text=True
    )
    return folder


def _run(environment: Path, folder: Path, command: str, *arguments: str) -> str:
    ran = subprocess.run(
        [str(environment / "bin" / command), *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()

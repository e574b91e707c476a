"""A cloud in memory, and the command line beside it."""

from __future__ import annotations

import json
import sys

import pytest

# The operator's half is for 3.11 and newer; on 3.9 only the host's half is tested.
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11) else []


@pytest.fixture
def pauses(monkeypatch):
    """Every wait, not waited for."""
    waited: list[float] = []
    monkeypatch.setattr("gpuctl.cloud.pause", waited.append)
    return waited


@pytest.fixture
def cloud(tmp_path, monkeypatch, pauses):
    """A cloud of 2026.2, named in the environment."""
    from tests.sim.nova import NovaSim

    with NovaSim() as sim:
        for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_REGION_NAME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(sim.clouds_yaml(tmp_path)))
        monkeypatch.setenv("OS_CLOUD", "sim")
        yield sim


@pytest.fixture
def gpuctl(cloud, capsys):
    """Run a command line; return (exit code, stdout, stderr)."""
    from gpuctl.cli.main import main

    def run(*words):
        code = main(["flavor", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def apply(gpuctl, tmp_path):
    """Apply a catalogue's text with --yes -f json; return (exit code, document)."""

    def run(text, *words):
        file = tmp_path / "catalogue.yaml"
        file.write_text(text)
        code, out, err = gpuctl("apply", file, "--yes", "-f", "json", *words)
        return code, json.loads(out) if out else err

    return run


CATALOGUE = """
schema: gpuctl.flavor.catalogue/1
catalogue: farm
defaults: {disk: 10, hide_kvm: true}
flavors:
  - {name: gpu.1, vcpus: 4, ram: 16 GiB, gpus: [{alias: gtx1080, count: 1}], access: [research]}
  - {name: gpu.2, vcpus: 8, ram: 32 GiB, gpus: [{alias: gtx1080, count: 2}], access: [research, teaching], extra_specs: {note: two}}
  - {name: gpu.4, vcpus: 16, ram: 64 GiB, gpus: [{alias: gtx1080, count: 4}]}
"""


@pytest.fixture
def catalogue():
    return CATALOGUE

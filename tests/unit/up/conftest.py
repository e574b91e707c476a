"""Two simulated hosts, a cloud in memory that knows them, and the command line between them."""

from __future__ import annotations

import json
import sys

import pytest

# The operator's half is for 3.11 and newer.
collect_ignore_glob = ["*.py"] if sys.version_info < (3, 11) else []


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    from tests.unit.up.cloud import UpSim

    monkeypatch.setattr("gpuctl.cloud.pause", lambda _: None)
    with UpSim({"gpu01": "up", "gpu02": "up"}) as sim:
        for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_REGION_NAME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(sim.clouds_yaml(tmp_path)))
        monkeypatch.setenv("OS_CLOUD", "sim")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield sim


@pytest.fixture
def hosts(tmp_path):
    from tests.unit.up.rig import rack

    return rack(tmp_path, "gpu01", "gpu02")


@pytest.fixture
def up(cloud, hosts, tmp_path, capsys):
    """Run it with --yes -f json; return (exit code, document or message)."""
    from gpuctl.cli.main import main

    def run(*words, yes=True, form="json", inventory="gpu01,gpu02", sizes=("--cpus", "16", "--ram", "72GiB")):
        words = ["up", "-i", inventory, "-o", str(tmp_path / "out"), "--wait", "0", "-f", form, *sizes, *words]
        code = main([*words, *(["--yes"] if yes else [])], obj={"up_doors": (hosts.ask, hosts)})
        out, err = capsys.readouterr()
        return code, (json.loads(out) if form == "json" else out) if out else err

    return run

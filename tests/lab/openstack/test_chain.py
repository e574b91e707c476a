"""From a host's facts to a flavor that boots with its card, as docs/tutorial/first-flavor.md tells it, on a real Nova.

The facts are those of the simulated host with two GTX 1080; the lab's computes have such cards too. What configure wrote
is laid down beside the lab's own configuration, whose devices and aliases are taken out first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("click")

from gpuctl.cli.main import main
from tests.lab.openstack import Lab, Unavailable
from tests.sim import worlds
from tests.sim.host import SimHost

pytestmark = [pytest.mark.lab_openstack, pytest.mark.timeout(900)]
CATALOGUE = """
schema: gpuctl.flavor.catalogue/1
catalogue: chain
flavors:
  - {name: gpu.nvidia.1, vcpus: 2, ram: 2 GiB, disk: 10, hide_kvm: true, gpus: [{alias: nvidia, count: 1}]}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of its own: its configuration is changed."""
    one = Lab(tmp_path_factory.mktemp("lab-chain"))
    try:
        one.up()
    except Unavailable as error:
        pytest.skip(str(error))
    yield one
    one.down(purge=True)


def test_facts_configure_apply_verify(lab, tmp_path, monkeypatch, capsys):
    def gpuctl(*words: str, host: SimHost | None = None) -> str:
        code = main(list(words), obj={"host_factory": lambda _root: host} if host else None)
        out, err = capsys.readouterr()
        assert code in (0, 4), (words, code, out, err)
        return out

    host = SimHost(worlds.two_gtx1080(), tmp_path / "host")
    gpuctl("host", "prepare", "--yes", host=host)
    host.reboot()
    facts = tmp_path / "gpu-node-01.json"
    facts.write_text(gpuctl("host", "facts", "-f", "json", host=host))

    out = tmp_path / "nova"
    gpuctl("nova", "configure", "--release", "2026.2", "--alias", "nvidia", "--facts", str(facts), "-o", str(out))
    files = {role: out / f"{role}.conf" for role in ("compute", "api", "scheduler")}
    gpuctl("nova", "check", *map(str, files.values()), "--release", "2026.2", "--facts", str(facts))
    computes = [f"compute-{name}" for name in lab.hosts()]
    for service, role in [("nova-scheduler", "scheduler"), *((name, "compute") for name in computes)]:
        lab.drop_in(service, "90-gpuctl.conf", files[role].read_text())
    lab.restart("nova", {"pci": {"alias": None, "device_spec": None}})
    # Under a web server Nova's API reads /etc/nova/nova.conf.d, never the lab's: its file is laid over nova.conf instead.
    aliases = [
        line.partition("=")[2].strip() for line in files["api"].read_text().splitlines() if line.startswith("alias")
    ]
    lab.restart("nova-api", {"pci": {"alias": aliases}})

    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(lab.layout.clouds_yaml))
    monkeypatch.setenv("OS_CLOUD", "gpuctl-lab")
    catalogue = tmp_path / "chain.yaml"
    catalogue.write_text(CATALOGUE)
    gpuctl("flavor", "apply", str(catalogue), "--yes")
    verified = json.loads(gpuctl("flavor", "verify", "gpu.nvidia.1", "--network", "none", "-f", "json"))
    assert "nvidia" in json.dumps(json.loads(gpuctl("flavor", "show", "gpu.nvidia.1", "-f", "json")))
    assert verified, verified
    assert all(row["status"] != "allocated" for row in lab.pci_rows()), "the server is gone, and so is its claim"


def test_the_lab_knows_no_alias_but_ours(lab: Lab) -> None:
    etc = Path(lab.layout.etc)
    text = "".join(path.read_text() for path in etc.rglob("*.conf"))
    assert text.count('"name": "nvidia"') == 1 + len(lab.hosts())

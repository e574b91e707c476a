"""What a host says, as a record; and what becomes of a host that says nothing."""

from __future__ import annotations

import pytest

from gpuctl.errors import OperatorError
from gpuctl.moves.books.host_link import SshLook, look_at, read_view
from gpuctl.moves.model import Domain, Folder, HostView

UUID = "aaaaaaaa-0000-4000-8000-000000000001"
INSTANCES = {
    "schema": "gpuctl.host.instances/1",
    "host": "gpu-a.local",
    "instances_path": "/var/lib/nova/instances",
    "filesystem": {"type": "nfs4", "device": "x", "shared": True, "exported": False},
    "folders": [
        {"name": UUID, "uuid": UUID, "kind": "instance"},
        {"name": f"{UUID}_resize", "uuid": UUID, "kind": "resize"},
        {"name": "_base", "uuid": None, "kind": "base"},
        {"name": "locks", "uuid": None, "kind": "other"},
    ],
    "domains": [{"uuid": UUID, "name": "instance-00000001", "state": "shut off", "persistent": True, "hostdevs": ["0000:84:00.0", "0000:04:00.0"], "nova": None}],
    "vfio": [{"address": "0000:04:00.0", "driver": "vfio-pci", "holder_pid": 7, "domain": UUID}, {"address": "0000:84:00.0", "driver": "nvgrace_gpu_vfio_pci", "holder_pid": None, "domain": None}],
}  # fmt: skip
FACTS = {"gpus": [{"address": "0000:04:00.0", "vendor_id": "10de", "device_id": "2330"}]}


def test_a_view():
    assert read_view("gpu-a", INSTANCES, FACTS) == HostView(
        host="gpu-a",
        domains=(Domain("gpu-a", UUID, "instance-00000001", "shut off", ("0000:04:00.0", "0000:84:00.0")),),
        folders=(Folder("gpu-a", UUID, UUID, "instance"), Folder("gpu-a", f"{UUID}_resize", UUID, "resize")),
        shared=True,
        vfio=("0000:04:00.0", "0000:84:00.0"),
        lspci={"0000:04:00.0": "10de:2330"},
    )


def test_unknown_stays_unknown():
    nothing = {"host": None, "filesystem": {"shared": None}, "folders": None, "domains": None, "vfio": None}
    assert read_view("gpu-a", nothing) == HostView("gpu-a", None, None, None, None, {})
    seen, unseen = look_at(
        ["gpu-a"], type("Blind", (), {"look": staticmethod(lambda host: read_view(host, nothing))})()
    )
    assert seen["gpu-a"].domains is None
    assert [one.view for one in unseen] == ["host gpu-a domains"]


def test_over_ssh(monkeypatch):
    asked = []

    class Host:
        def __init__(self, endpoint):
            self.name = endpoint.name

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("closed")

        def ask(self, request, *, timeout):
            asked.append((self.name, request["command"], timeout))
            if request["command"] == "leftovers":
                raise OperatorError("refused")
            return {"instances": INSTANCES, "facts": FACTS}[request["command"]], 0

    monkeypatch.setattr("gpuctl.remote.host.RemoteHost", Host)
    assert SshLook(timeout=5).look("gpu-a").host == "gpu-a", "not what the machine calls itself"
    assert asked == [("gpu-a", "instances", 5), ("gpu-a", "facts", 5), "closed"]
    with pytest.raises(OperatorError):
        SshLook().leftovers("gpu-a", {"phase": "plan"})

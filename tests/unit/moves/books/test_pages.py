"""Lists that Nova gives page by page, of a size that is the cloud's to choose ([api] max_limit)."""

from __future__ import annotations

from gpuctl.cloud import connect
from gpuctl.moves.books import read_books
from gpuctl.moves.nova_api import NovaApi
from tests.sim.cloud import Client


def test_a_cloud_whose_pages_are_smaller_than_what_is_asked_for(sim):
    cloud = sim(tracking=False)
    cloud.most = 2
    for name in "ab":
        cloud.add_host(f"gpu-{name}", ["h100"] * 8)
    guests = [cloud.boot(f"guest-{number}", "gpu-a", "h100:1") for number in range(5)]
    for one in guests:
        cloud.groups[f"group-{one.name}"] = {
            "name": one.name, "policy": "anti-affinity", "rules": {}, "members": [one.id]
        }  # fmt: skip
        Client(cloud.url).act(one.id, "migrate", {"host": "gpu-b"})
        cloud.settle()
    api = NovaApi.of(connect().service("compute"))
    assert len(api.servers()) == 5
    assert len(api.migrations()) == 5
    assert len(api.groups()) == 5
    assert len(read_books(connect()).migrations) == 5

"""A world in which what the pages tell people to type can be typed: simulated hosts, a cloud in memory, their files.

Everything is in one temporary folder. Hosts are tests/sim's, changed by the product itself; the cloud is MovesSim (moves)
or NovaSim (flavors) behind HTTP on loopback. SSH and Ansible are stood in for: a host's answer is the host half's own,
and a playbook does on the simulated host what its module would. Nothing of this machine is read or changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpuctl.fleet.runner import Outcome
from gpuctl_host.host import Host
from tests.docs.desk import Desk
from tests.docs.pages import ROOT
from tests.docs.stand_ins import FleetRack, Look, Server
from tests.sim import worlds
from tests.sim.cloud import Client, MovesSim
from tests.sim.nova import NovaSim
from tests.unit.moves.engine.kit import QUICK
from tests.unit.up.cloud import UpSim
from tests.unit.up.rig import request

COMPUTES = ("gpu17", "gpu18", "gpu-node-01", "gpu-node-02")
RACK = ("gpu0301", "gpu0701", "gpu0702", "gpu0703")
DAY_S = 24 * 3600


class World(Desk):
    """What is in it. A scene is a method; see tests/docs/test_run.py."""

    # ------------------------------------------------------------ one host

    def bare(self, machine: Any = None) -> Server:
        host = Server(machine or worlds.two_gtx1080(), self.folder / f"host-{len(list(self.folder.glob('host-*')))}")
        self.obj["host_factory"] = lambda _root: host
        return host

    def prepared(self) -> Server:
        host = self.ready()
        self.run_id = json.loads(self.did("host history -f json").out)["runs"][0]["run"]
        return host

    def ready(self) -> Server:
        """Prepared and rebooted: every card is on vfio-pci."""
        host = self.bare()
        self.did("host prepare", 4)
        host.reboot()
        return host

    def systemd(self) -> None:
        """A host for `watch`: the simulated one has no systemd, a tree needs none."""
        root = self.folder / "tree"
        for path in ("sys", "usr/local/lib", "run/systemd/system"):
            (root / path).mkdir(parents=True)
        self.obj["host_factory"] = lambda _root: Host(str(root))

    def watched(self) -> None:
        self.systemd()
        self.did("host watch install")

    # ------------------------------------------------------------ files

    def facts_files(self) -> None:
        """gpu-node-01.json with two GTX 1080 that are ready, gpu17.json with eight H100, hosts.jsonl with the first."""
        self.bare(worlds.hgx_h100())
        self.keep("gpu17.json", "host facts -f json")
        self.ready()
        facts = self.keep("gpu-node-01.json", "host facts -f json")
        Path("facts-gpu01.json").write_text(facts.read_text())  # as playbooks/examples/site.yml calls it
        Path("hosts.jsonl").write_text(json.dumps(json.loads(Path("gpu-node-01.json").read_text())) + "\n")

    def model_files(self) -> None:
        """gpu1.json and gpu2.json: facts of two hosts of one model."""
        self.ready()
        facts = json.loads(self.did("host facts -f json").out)
        for name in ("gpu1", "gpu2"):
            Path(f"{name}.json").write_text(json.dumps({**facts, "host": name}))

    def configured(self, release: str = "2026.2") -> None:
        """What `nova configure` wrote, in nova/ as the tutorial has it."""
        self.facts_files()
        self.did(f"nova configure --release {release} --alias nvidia --facts gpu-node-01.json -o nova/")

    def node(self, release: str = "33") -> None:
        """The same laid down on a node that runs all of Nova: /etc/nova/nova.conf, and a folder nova.conf.d."""
        self.model_files()
        self.did(f"nova configure --release {release} --alias nvidia --facts gpu1.json -o written")
        etc = self.folder / "etc/nova"
        (etc / "nova.conf.d").mkdir(parents=True)
        files = {one.stem: one.read_text() for one in Path("written").glob("*.conf")}
        (etc / "nova.conf.d/conductor.conf").write_text(files.pop("conductor", ""))
        (etc / "nova.conf").write_text("".join(files[name] for name in sorted(files)))

    def new_node(self) -> None:
        self.node("2026.2")

    def reports(self) -> None:
        host = self.bare()
        self.keep("gpu1.old.json", "host check -f json", 1)
        self.did("host prepare", 4)
        host.reboot()
        self.keep("gpu1.json", "host check -f json")
        self.bare(worlds.turing())
        self.keep("gpu2.json", "host check -f json", 1)

    # ------------------------------------------------------------ a cloud

    def _named(self, cloud: Any) -> Any:
        self.stack.enter_context(cloud)
        self.patch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml(self.folder)))
        self.patch.setenv("OS_CLOUD", "sim")
        self.patch.setattr("gpuctl.cloud.pause", lambda _: None)
        return cloud

    def empty_cloud(self) -> NovaSim:
        """No flavor yet; the catalogues that pages name are here."""
        cloud: NovaSim = self._named(NovaSim())
        Path("flavors").symlink_to(ROOT / "flavors")
        self.facts_files()
        plan = "flavor plan --facts gpu-node-01.json --cpus 32 --ram 128GiB --alias 10de:1b80=nvidia -f yaml"
        self.keep("gpus.yaml", plan)
        Path("farm.yaml").write_text(shown_in("docs/tutorial/first-flavor.md", "schema: gpuctl.flavor.catalogue/1"))
        return cloud

    def sold(self) -> None:
        """The flavors that pages name are there, made as the pages make them."""
        self.empty_cloud()
        for name in ("flavors/farm-2016.yaml", "farm.yaml"):
            self.did(f"flavor apply {name}")
        self.did("flavor create gpu.h100.1 --gpus 1 --alias h100 --vcpus 24 --ram 240GiB --disk 200")

    def guests(self, home: str = "gpu17") -> MovesSim:
        """train-7 with a card on `home`, another guest beside it; nothing is wrong."""
        cloud: MovesSim = self._named(MovesSim(release=34, tracking=True, double=0.0))
        (self.folder / "var/lib/node_exporter").mkdir(parents=True)
        for name in COMPUTES:
            cloud.add_host(name)
        cloud.boot("train-7", home, "gtx1080:1")
        cloud.boot("train-8", home, "h100:1")
        self.obj["host_look"] = Look(cloud, self.folder / "machines")
        self._database(cloud)
        for where in ("gpuctl.moves.migrate.Pace", "gpuctl.moves.drain.run.Pace"):
            self.patch.setattr(where, lambda: QUICK)
        self.patch.setattr("gpuctl.moves.recover.perform.time.sleep", lambda _: cloud.settle())
        return cloud

    def readme_guests(self) -> MovesSim:
        return self.guests("gpu-node-01")

    def trains(self) -> MovesSim:
        """Three more guests with a card each, on three hosts."""
        cloud = self.guests()
        for name, home in (("train-1", "gpu18"), ("train-2", "gpu-node-01"), ("train-3", "gpu-node-02")):
            cloud.boot(name, home, "gtx1080:1")
        return cloud

    def dead(self) -> MovesSim:
        """gpu17 is dead; what its guests have is on volumes."""
        cloud = self.guests()
        for one in cloud.servers.values():
            one.image, one.volumes = None, [cloud.uuid()]
        cloud.hosts["gpu17"].up = False
        return cloud

    def moved(self) -> MovesSim:
        """train-7 went from gpu17 to gpu18, and a folder of it stayed behind on gpu17."""
        cloud = self.guests()
        one = cloud.server("train-7")
        client = Client(cloud.url)
        client.act(one.id, "migrate", {"host": "gpu18"})
        cloud.settle()
        client.act(one.id, "confirmResize")
        cloud.settle()
        cloud.hosts["gpu17"].folders.add(f"{one.id}_resize")
        return cloud

    def shelved(self) -> None:
        """What stayed behind is in gpu17's quarantine, for fifteen days."""
        cloud = self.moved()
        self.did("instance leftovers quarantine train-7")
        cloud.hosts["gpu17"].folders.discard(f"{cloud.server('train-7').id}_resize")
        self.obj["host_look"].machine("gpu17").later = 15 * DAY_S

    def broken(self) -> MovesSim:
        """A migration of train-7 to gpu18 failed in the 2016 way: both hosts' books hold a card for it."""
        cloud = self.guests()
        cloud.inject("gpu18", "finish_migration")
        Client(cloud.url).act(cloud.server("train-7").id, "migrate", {"host": "gpu18"})
        cloud.settle()
        self._database(cloud)
        return cloud

    def waiting(self) -> MovesSim:
        """Somebody migrated train-7 and went home: it waits to be confirmed."""
        cloud = self.guests()
        Client(cloud.url).act(cloud.server("train-7").id, "migrate", {"host": "gpu18"})
        cloud.settle()
        self._database(cloud)
        return cloud

    def _database(self, cloud: MovesSim) -> None:
        """Nova's database as a file, and the two files that name it."""
        url = cloud.dump(self.folder / "nova.sqlite")
        (self.folder / "root").mkdir(exist_ok=True)
        for path in (Path("nova-db.txt"), self.folder / "root/nova-db"):
            path.write_text(f"{url}\n")
            path.chmod(0o600)

    # ------------------------------------------------------------ racks

    def rack(self, *names: str) -> FleetRack:
        """Hosts in inventory.ini, .yml and .yaml, by SSH and Ansible as far as gpuctl can tell."""
        names = names or RACK
        fleet = FleetRack({name: Server(worlds.two_gtx1080(), self.folder / f"host-{name}") for name in names})
        groups = {"rack3": [one for one in names if one[4:5] == "3"], "rack7": [one for one in names if one[4:5] == "7"]}  # fmt: skip
        groups = {name: members for name, members in groups.items() if members} or {"gpu": list(names)}
        Path("inventory.ini").write_text("".join(f"[{name}]\n" + "".join(f"{one} ansible_host=192.0.2.1\n" for one in members) for name, members in groups.items()))  # fmt: skip
        tree = {name: {"hosts": {one: {"ansible_host": "192.0.2.1"} for one in members}} for name, members in groups.items()}  # fmt: skip
        for name in ("inventory.yml", "inventory.yaml"):
            Path(name).write_text(json.dumps(tree))  # JSON is YAML
        self._ssh(fleet)
        self._ansible(fleet)
        return fleet

    def _ssh(self, fleet: FleetRack) -> None:
        def ask_all(targets, asked, **_):
            for target in targets:
                document, _code = request(fleet.hosts[target.host], **{k: v for k, v in asked.items() if v is not None})
                document["host"] = target.host
                yield Outcome(target, 0.1, document)

        self.patch.setattr("gpuctl.fleet.ask.ask_all", ask_all)

        class Line:
            """A server that showed its key."""

            def __init__(self) -> None:
                self.transport = self

            def get_remote_server_key(self):
                from paramiko import ECDSAKey

                return ECDSAKey.generate()

            def close(self) -> None:
                pass

        self.patch.setattr("gpuctl.fleet.trust.greet", lambda *_, **__: Line())

    def _ansible(self, fleet: FleetRack) -> None:
        class Ansible:
            def __init__(self, folder, access, stop) -> None:
                self.access, self.stop, self.play = access, stop, fleet.play

            def hosts(self):
                return fleet.hosts_meant(self.access.limit)

            def variable(self, _name, hosts):
                return dict.fromkeys(hosts, "")

        self.patch.setattr("gpuctl.fleet.ansible.playbook.Ansible", Ansible)
        self.patch.setattr("gpuctl.fleet.ansible.collection.stage", lambda folder: folder)

    def checked(self) -> None:
        """A fleet check was kept."""
        self.rack("gpu0701", "gpu0702")
        self.did("fleet check -i inventory.ini", 1)

    def changed(self) -> None:
        """A fleet prepare is in the trail."""
        self.rack("gpu0701", "gpu0702")
        self.did("fleet prepare -i inventory.yml --reboot")
        self.run_id = json.loads(self.did("fleet history -f json").out)["runs"][-1]["run"]

    def fleet_prepared(self) -> None:
        self.rack()
        self.did("fleet prepare -i inventory.yml --reboot")

    def unfinished(self) -> None:
        """A fleet prepare that still needs a reboot is the last run."""
        self.rack("gpu0701", "gpu0702")
        self.did("fleet prepare -i inventory.yml", 4)

    def rack_in_use(self) -> None:
        """The rack's hosts are computes of a cloud called mycloud, one of them with a guest."""
        self.rack()
        cloud: MovesSim = self._named(MovesSim(release=34, tracking=True, double=0.0))
        for name in RACK:
            cloud.add_host(name)
        cloud.boot("train-7", RACK[0], "gtx1080:1")
        clouds = self.folder / "clouds.yaml"
        clouds.write_text(clouds.read_text().replace('"sim":', '"mycloud":'))
        self.patch.delenv("OS_CLOUD")
        self.patch.setattr("gpuctl.moves.drain.run.Pace", lambda: QUICK)

    def controllers(self) -> None:
        """The farm, and its inventory has the cloud's controllers too."""
        self.farm()
        tree = json.loads(Path("inventory.yml").read_text())
        tree["controllers"] = {"hosts": {"ctl1": {"ansible_host": "192.0.2.9"}}}
        Path("inventory.yml").write_text(json.dumps(tree))

    def farm(self) -> None:
        """Two bare hosts, and a cloud that has nova-compute on them."""
        fleet = self.rack("gpu01", "gpu02")
        self._named(UpSim({"gpu01": "up", "gpu02": "up"}))
        self.obj["up_doors"] = (fleet.ask, fleet)


def shown_in(page: str, first: str) -> str:
    """The block of a page that begins with this line, without its indentation."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == first)
    indent = len(lines[start]) - len(lines[start].lstrip())
    block: list[str] = []
    for line in lines[start:]:
        if not line.strip():
            break
        block.append(line[indent:])
    return "\n".join(block) + "\n"

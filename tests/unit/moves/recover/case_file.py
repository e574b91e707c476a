"""A case file: what every view shows of one server, in short words, and what recover must make of it.

why:        the situation, in one sentence
newest:     the compute API's newest microversion ("2.104")
server:     {status, host, cards, task, power, fault, updated}; null: it is gone
migrations: ["1 a->b error", "2 b->a finished evacuation 11:30"]    id, hosts, status, kind (migration), last change
actions:    ["migrate", "migrate Error compute_finish_resize@b: libvirtError", ...]     oldest first
rows:       ["a/04", "b/05"]        Nova's rows of it; without the key the database was not read
down:       [hosts]                 nova-compute is down there
domains:    {b: "running 04", a: "off 04", c: ""}     looked at on these hosts; "" is none
resize:     [hosts]                 a `_resize` folder is there
placement:  {server: ["b/04", "b/05"], 1: ["a/04"]}   devices held by the server and by migrations; without: not tracked
expect:     cases: {id: certainty}, in order; steps: [ids]; refused, advice, statements: [words somewhere in them]
"""

from __future__ import annotations

import yaml

from gpuctl.moves.model import (
    Action,
    Allocation,
    Books,
    Compute,
    Domain,
    Event,
    Fault,
    Folder,
    HostView,
    Migration,
    Provider,
    Row,
    Server,
)
from gpuctl.moves.recover.sight import Sight

ID = "11111111-1111-4111-8111-111111111111"
DAY = "2026-11-21T"
HOSTS = ("a", "b", "c")
_KEYS = {"why", "newest", "server", "migrations", "actions", "rows", "down", "domains", "resize", "placement", "expect"}
_EXPECT = {"cases", "steps", "refused", "advice", "statements"}
_STATES = {"ACTIVE": "active", "SHUTOFF": "stopped", "ERROR": "error", "VERIFY_RESIZE": "resized"}


def load(path):
    """Return ``(case, sight)``; a key that nobody knows, or a case that expects nothing, is an error."""
    case = yaml.safe_load(path.read_text("utf-8"))
    if set(case) - _KEYS or set(case["expect"]) - _EXPECT or not case["expect"].get("cases") or not case.get("why"):
        raise ValueError(f"{path.name}: unknown keys, or nothing expected")
    return case, sight_of(case)


def sight_of(case):
    server = _server(case["server"])
    views = {
        host: HostView(
            host,
            tuple([_domain(host, said)] if said else []),
            tuple([Folder(host, f"{ID}_resize", ID, "resize")] if host in case.get("resize", ()) else []),
            shared=False,
        )
        for host, said in (case.get("domains") or {}).items()
    }
    major, _, minor = case.get("newest", "2.104").partition(".")
    books = Books(
        servers={} if server is None else {ID: server},
        migrations=tuple(_migration(one) for one in case.get("migrations", ())),
        computes={
            one: Compute(one, one, enabled=True, up=one not in case.get("down", ()), updated=f"{DAY}12:00:00")
            for one in HOSTS
        },
        newest=(int(major), int(minor)),
        rows=None if "rows" not in case else tuple(_row(one) for one in case["rows"]),
        hosts=views,
        **_placement(case.get("placement")),
    )
    actions = tuple(_action(number, one) for number, one in enumerate(case.get("actions", ())))
    return Sight(ID, books, actions, f"{DAY}12:00:00")


def _server(said):
    if said is None:
        return None
    status, host = said["status"], said.get("host")
    fault = said.get("fault")
    return Server(
        id=ID,
        name="guest",
        status=status,
        vm_state=_STATES.get(status, status.lower()),
        task_state=said.get("task"),
        power_state=said.get("power", 1),
        host=host,
        node=host,
        instance_name="instance-1",
        locked=False,
        project="p",
        flavor="f",
        specs={"pci_passthrough:alias": f"gtx:{said.get('cards', 1)}"},
        vcpus=4,
        ram_mib=1024,
        root_gib=10,
        ephemeral_gib=0,
        swap_mib=0,
        image="i",
        volumes=(),
        zone="nova",
        created=f"{DAY}08:00:00",
        updated=f"{DAY}{said.get('updated', '11:00')}:00",
        fault=Fault(fault, fault) if fault else None,
    )


def _migration(said):
    number, hosts, status, *more = said.split()
    source, dest = hosts.split("->")
    kind = next((one for one in more if ":" not in one), "migration")
    at = f"{DAY}{next((one for one in more if ':' in one), '11:00')}:00"
    uuid = f"22222222-2222-4222-8222-{int(number):012d}"
    return Migration(int(number), uuid, ID, kind, status, source, dest or None, at, at)


def _action(number, said):
    head, _, details = said.partition(": ")
    name, *more = head.split()
    at = f"{DAY}10:{number:02d}:00"
    events = []
    for one in more:
        if one != "Error":
            event, _, host = one.partition("@")
            events.append(Event(event, "Error" if "Error" in more else "Success", host or None, at, at, details))
    return Action(f"req-{number}", name, "Error" if "Error" in more else None, at, at, tuple(events))


def _row(said):
    host, slot = said.split("/")
    return Row(host, f"0000:{slot}:00.0", "10de", "1b80", "type-PCI", "allocated", ID)


def _domain(host, said):
    state, *slots = said.split()
    words = {"off": "shut off"}.get(state, state)
    return Domain(host, ID, "instance-1", words, tuple(f"0000:{one}:00.0" for one in slots))


def _placement(said):
    if said is None:
        return {"tracked": False}
    providers = {
        f"{host}-{slot}": Provider(
            f"{host}-{slot}", f"{host}_0000:{slot}:00.0", host, host, 1, address=f"0000:{slot}:00.0"
        )
        for host in HOSTS
        for slot in ("04", "05", "06")
    }
    allocations = {}
    for who, held in said.items():
        consumer = ID if who == "server" else f"22222222-2222-4222-8222-{int(who):012d}"
        holds = {one.replace("/", "-"): {"CUSTOM_PCI_10DE_1B80": 1} for one in held}
        allocations[consumer] = Allocation(consumer, holds, 3, "p", "u")
    return {"tracked": True, "providers": providers, "allocations": allocations}

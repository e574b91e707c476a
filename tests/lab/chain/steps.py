"""The steps of the chain, in their order. Each one acts, looks for itself, and returns what it saw as lines of text."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lab.host.gpuctl_in_guest import agree, ask

from .chain import Chain, wait_for
from .compute import Compute, as_json
from .hands import (
    CARDS,
    FLAVOR,
    FOREIGN,
    as_operator,
    gone_from,
    hold_cards,
    make,
    nova_db,
    runs_on,
    told,
)

RELEASE = "2026.2"
LIBVIRT_SAYS = "is in use by driver QEMU"
ANY = tuple(range(8))  # exit codes: what they mean is looked at
Step = Callable[[Chain, dict[str, Any]], list[str]]


def prepare(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl host prepare` on both, reboot, `host check`: ready, and vfio-pci has both cards."""

    def one_of_them(one: Compute) -> list[str]:
        plan, run = agree(one.machine, "prepare")
        assert run.code in (0, 4), run.document
        one.reboot()
        check = ask(one.machine, "check")
        fails = list(check.findings("fail"))
        assert check.code == 0, fails
        assert check.document["ready"], fails
        cards = {address: one.card(address) for address in CARDS}
        assert all(card["driver"] == "vfio-pci" for card in cards.values()), cards
        facts = chain.folder / f"{one.name.host}.json"
        facts.write_text(json.dumps({**ask(one.machine, "facts").document, "host": one.name.host}))
        return [
            f"{one.name.host}: prepare: {len(plan.document['changes'])} changes, exit {run.code}; rebooted",
            f"{one.name.host}: check: ready, exit {check.code}; sysfs: {as_json(cards)}",
        ]

    with ThreadPoolExecutor(2) as pool:
        return [line for lines in pool.map(one_of_them, chain.computes) for line in lines]


def configure(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl nova configure`, laid into both computes, the API and the scheduler; Nova then knows four cards."""
    out = chain.folder / "nova"
    facts = [word for one in chain.computes for word in ("--facts", str(chain.folder / f"{one.name.host}.json"))]
    chain.gpuctl("nova", "configure", "--release", RELEASE, *facts, "--alias", "nvidia", "-o", str(out))
    files = sorted(path.name for path in out.iterdir())
    for one in chain.computes:
        own = out / f"compute.{one.name.host}.conf"
        text = (own if own.exists() else out / "compute.conf").read_text()
        one.write("/etc/nova/nova.conf.d/90-gpuctl.conf", text)
        one.start_nova()
    lab = chain.lab
    lab.drop_in("nova-scheduler", "90-gpuctl.conf", (out / "scheduler.conf").read_text())
    lab.restart("nova-scheduler")
    # Under a web server Nova's API reads /etc/nova/nova.conf.d, never the lab's: its file is laid over nova.conf instead.
    aliases = [
        line.partition("=")[2].strip()
        for line in (out / "api.conf").read_text().splitlines()
        if line.startswith("alias")
    ]
    assert aliases
    lab.restart("nova-api", {"pci": {"alias": aliases}})
    try:
        rows = wait_for("both computes' cards in Nova's books", lambda: len(lab.pci_rows()) == 4 and lab.pci_rows())
        wait_for("both hosts mapped", lambda: len(lab.sql("select host from nova_api.host_mappings")) == 2)
    except Exception:
        for one in chain.computes:
            (chain.folder / f"{one.name.host}-nova-compute.log").write_text(one.nova_log(2000))
        raise
    return [
        f"configure wrote {', '.join(files)}",
        "Nova's pci_devices: "
        + as_json(
            [f"{row['host']} {row['address']} {row['vendor_id']}:{row['product_id']} {row['status']}" for row in rows]
        ),
        "libvirt as nova-compute has it: "
        + chain.computes[0].ssh("virsh version --daemon | tail -n 2").out.strip().replace("\n", "; "),
    ]


def flavor(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl flavor create`."""
    said = chain.gpuctl(
        "flavor",
        "create",
        FLAVOR,
        "--gpus",
        "1",
        "--alias",
        "nvidia",
        "--vcpus",
        "1",
        "--ram",
        "64",
        "--disk",
        "1",
        "--public",
        "--yes",
        "--accept-public-window",
    )
    specs = json.loads(chain.gpuctl("flavor", "show", FLAVOR, "-f", "json").out)
    assert "nvidia:1" in json.dumps(specs), specs
    return [f"exit {said.code}; the cloud's flavor has pci_passthrough:alias nvidia:1"]


def boot(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """A server with a card on gpu-a: the domain's XML has the host device, the inner QEMU holds its VFIO group."""
    kept["server"] = make(chain, "train-7", "gpu-a")
    return [f"server {kept['server']} is ACTIVE on gpu-a", *runs_on(chain, kept["server"], "gpu-a")]


def migrate(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl instance migrate` to gpu-b, proven from XML and sysfs on both."""
    server = kept["server"]
    source = chain.server(server)["OS-EXT-SRV-ATTR:host"]
    words = ("instance", "migrate", server, "--ssh", "--nova-db", nova_db(chain), "--yes", "-f", "json")
    lines = []
    for turn in ("first", "second"):
        run = chain.gpuctl(*words, "--host", "gpu-b", codes=ANY)
        result = run.document["results"][0]
        lines.append(
            f"{turn} run: exit {run.code} after {run.seconds:.0f} s, strategy {result['strategy']}, state {result['state']}: {result['detail']}"
        )
        lines += [*told(result), *(f"  {one['status']} {one['id']}: {one['evidence']}" for one in result["findings"])]
        if result["state"] != "unfinished":  # which says: the same command again
            break
    assert result["state"] == "done", lines
    return [*lines, *runs_on(chain, server, "gpu-b"), *gone_from(chain, server, source)]


def provoke(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """Nova's own cold migration to gpu-a, whose cards a foreign domain holds: ERROR, and libvirt's words."""
    source = chain.server(kept["server"])["OS-EXT-SRV-ATTR:host"]
    target = chain.other(source)
    said = [
        f"{target.name.host}: a domain that Nova knows nothing of was started with both cards: {hold_cards(target)}"
    ]
    server = kept["server"]
    before = len(chain.lab.migrations(server))
    chain.lab.rest.call("compute", "POST", f"/servers/{server}/action", {"migrate": {"host": target.name.host}})

    def ended() -> Any:
        rows = chain.lab.migrations(server)
        return (
            rows[-1]
            if len(rows) > before and rows[-1]["status"] in {"error", "failed", "finished", "confirmed"}
            else None
        )

    row = wait_for("the end of the migration", ended)
    assert row["status"] == "error", row
    shown = wait_for("ERROR", lambda: (one := chain.server(server))["status"] == "ERROR" and one)
    fault = shown["fault"]
    line = next(line for line in reversed(fault.get("details", "").splitlines()) if LIBVIRT_SAYS in line)
    held = [f"{row['host']} {row['address']}" for row in chain.lab.pci_rows() if row["instance_uuid"] == server]
    assert len(held) == 2, held
    said += [
        f"server {shown['status']}, host {shown['OS-EXT-SRV-ATTR:host']}; migration {row['id']} {row['status']}; fault: {fault['message']}",
        f"libvirt's own words: {line.strip()}",
        f"Nova's books: the server holds {' and '.join(held)}",
    ]
    for one in chain.computes:
        said.append(
            f"{one.name.host}: domains {as_json(one.domains())}; folders {as_json([f for f in one.folders() if server in f])}"
        )
    target.ssh(f"virsh -q destroy {FOREIGN} && virsh -q undefine {FOREIGN}")
    said.append(f"{target.name.host}: the foreign domain has ended")
    return said


def recover(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl instance recover` names the case, the operator runs its statement, the guest is back."""
    server, url = kept["server"], nova_db(chain)
    words = ("instance", "recover", server, "--ssh", "--nova-db", url, "-f", "json", "--yes")
    first = chain.gpuctl(*words, codes=ANY)
    result = first.document["results"][0]
    said = [f"first run: exit {first.code} after {first.seconds:.0f} s, state {result['state']}: {result['detail']}"]
    said += [f"  case {case['id']} ({case['certainty']}): {case['title']}" for case in result["cases"]]
    said += told(result)
    statements = [one for one in result["statements"] if one["sql"]]
    for one in statements:
        said.append(f"the operator looks: {one['guard']}")
        rows = as_operator(chain, one["guard"])
        assert len(rows) == 1, (one["guard"], rows)
        said.append(f"one row: {as_json(rows[0])}; the operator runs: {one['sql']}")
        as_operator(chain, one["sql"])
    if statements:
        again = chain.gpuctl(*words, "--wait", "900", codes=ANY)
        result = again.document["results"][0]
        said.append(
            f"second run: exit {again.code} after {again.seconds:.0f} s, state {result['state']}: {result['detail']}"
        )
        said += told(result)
    assert result["state"] == "done", said
    shown = chain.server(server)
    assert shown["status"] == "ACTIVE", shown["status"]
    host = shown["OS-EXT-SRV-ATTR:host"]
    return [*said, *runs_on(chain, server, host)]


def leftovers(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl instance leftovers`: what recover put into quarantine is brought back (`restore`), and put there again (`quarantine`).

    That is the `_resize` folder, and the stale domain out of a real libvirt, over SSH with a real sshd.
    """
    server = kept["server"]
    host = chain.server(server)["OS-EXT-SRV-ATTR:host"]
    source = chain.other(host)

    def shown() -> str:
        folders = [name for name in source.folders() if not name.startswith(("_base", "locks"))]
        return f"{source.name.host}: domains {as_json(source.domains())}; folders {as_json(folders)}"

    def run(phase: str) -> list[str]:
        done = chain.gpuctl("instance", "leftovers", phase, server, "--yes", "-f", "json")
        results = [
            f"{one['host']}: {each['kind']} {each['name']}: {each['state']}"
            for one in done.document["hosts"]
            for each in one.get("results", ())
        ]
        return [f"{phase}: exit {done.code} after {done.seconds:.0f} s: {', '.join(results)}", shown()]

    said = [shown()]
    if not source.domains():
        said += run("restore")
        assert f"{server}_resize" in source.folders(), said
        assert "shut off" in source.domains().values(), said
    listed = chain.gpuctl("instance", "leftovers", "list", server, "-f", "json", codes=ANY)
    for one in listed.document["hosts"]:
        found = [
            f"{each['kind']} {each['name']}: {'may go' if each['may_go'] else each['reasons']}"
            for each in one.get("leftovers", ())
        ]
        said.append(f"list: {one['host']}: {'; '.join(found)}")
    said += run("quarantine")
    return [*said, *gone_from(chain, server, source.name.host), *runs_on(chain, server, host)]


def audit(chain: Chain, kept: dict[str, Any]) -> list[str]:
    """`gpuctl instance audit --ssh --nova-db`: clean."""
    done = chain.gpuctl("instance", "audit", "--ssh", "--nova-db", nova_db(chain), "-f", "json", codes=ANY)
    bad = [f for f in done.document["findings"] if f["status"] != "pass"]
    assert done.code == 0, bad
    assert not [one for one in bad if one["status"] in ("fail", "warn")], bad
    return [f"exit {done.code} after {done.seconds:.0f} s; findings beside passes: {as_json(bad)}"]


STEPS: dict[str, Step] = {
    "prepare": prepare,
    "configure": configure,
    "flavor": flavor,
    "boot": boot,
    "migrate": migrate,
    "provoke": provoke,
    "recover": recover,
    "leftovers": leftovers,
    "audit": audit,
}

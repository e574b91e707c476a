"""Hostile names: 10,000 of them, in the request and on disk; none leaves the directory, and none is taken for a server's."""

from __future__ import annotations

import os
import random
import uuid

import pytest

from gpuctl_host.leftovers.folder import INSTANCES
from gpuctl_host.leftovers.names import is_run, is_uuid, kind_of, name_of, parse_name
from tests.unit.leftovers.kit import ONE, ComputeHost, ask, instance, make_root, plan, proof, quarantine, tree, write

COUNT = 10_000
GOOD = "6a1f2c1e-9d53-4b0c-8f5e-0b8a5d3c7e11"
SEEDS = (
    *(
        "",
        ".",
        "..",
        "...",
        "/",
        "//",
        "\0",
        "-rf",
        "--",
        "~",
        "*",
        "?",
        "$HOME",
        "`id`",
        "$(id)",
        ";",
        "|",
        "&",
        "\n",
        "\r\n",
        "\t",
        " ",
    ),
    *(
        "../..",
        "../../etc/passwd",
        "..\\..",
        "/etc/passwd",
        "//etc",
        "./.",
        "%2e%2e%2f",
        "..%00",
        "\u2025",
        "\uff0e\uff0e",
        "\u2215",
        "\u29f8",
    ),
    *(
        GOOD.upper(),
        GOOD.title(),
        "{" + GOOD + "}",
        "urn:uuid:" + GOOD,
        GOOD.replace("-", ""),
        GOOD[:-1],
        GOOD + "0",
        " " + GOOD,
        GOOD + " ",
    ),
    *(
        GOOD + "\n",
        GOOD + "\0",
        GOOD + "/",
        "/" + GOOD,
        "./" + GOOD,
        GOOD + "/..",
        GOOD + "_resize/..",
        "../" + GOOD,
        GOOD + "_resize_resize",
    ),
    *(
        GOOD + "_RESIZE",
        GOOD + "_resize ",
        GOOD + "_resize\n",
        GOOD + ".resize",
        GOOD + "_del",
        GOOD + "_resize.purge",
        GOOD + ".json",
        "_resize",
    ),
    *(
        GOOD.replace("-", "\u2010"),
        GOOD.replace("-", "\uff0d"),
        GOOD.replace("1", "\u0661"),
        GOOD.replace("a", "\u0430"),
        GOOD.replace("-", "_"),
    ),
    *(
        "_base",
        "locks",
        "compute_nodes",
        "lost+found",
        ".gpuctl-quarantine",
        "instances",
        "x" * 300,
        GOOD * 200,
        "\ud800",
        "\U0001f4a3",
    ),
)
ALPHABET = [
    *"0123456789abcdefABCDEFgxyz-_./\\ \t\n\0*?;|&$`'\"{}()<>%~",
    "..",
    "/..",
    "_resize",
    GOOD,
    "\u0660",
    "\uff11",
    "\u0430",
    "\u202e",
]


def hostile(count=COUNT):
    """Names that are no server's, the same ones every time: the seeds, their mixtures and mutations, and noise."""
    chance = random.Random(20261121)
    found = dict.fromkeys(SEEDS)
    while len(found) < count:
        way = chance.randrange(4)
        if way == 0:
            name = "".join(chance.choice(ALPHABET) for _ in range(chance.randint(1, 40)))
        elif way == 1:  # a good uuid with one character exchanged, dropped or doubled
            at = chance.randrange(len(GOOD))
            name = (
                GOOD[:at]
                + chance.choice(["", *ALPHABET])
                + GOOD[at + chance.randint(0, 1) :]
                + chance.choice(["", "_resize"])
            )
        elif way == 2:
            name = chance.choice(SEEDS) + chance.choice(["", "/", "_resize", "\0", "\n"]) + chance.choice(SEEDS)
        else:
            name = (
                chance.choice(("../" * chance.randint(1, 9), "/", "./"))
                + GOOD
                + chance.choice(("", "_resize", "/disk"))
            )
        if not is_lower_uuid(name) and not is_lower_uuid(name.removesuffix("_resize")):
            found[name] = None
    return list(found)


def is_lower_uuid(name):
    """The rule in other words than the code's: 36 characters of which the standard library makes the very same text."""
    try:
        return len(name) == 36 and str(uuid.UUID(name)) == name
    except (ValueError, AttributeError):
        return False


def test_there_are_ten_thousand():
    names = hostile()
    assert len(names) == len(set(names)) == COUNT
    assert sum("/" in name for name in names) > 1000
    assert sum("\0" in name for name in names) > 500


def test_ten_thousand_hostile_names_are_no_servers():
    assert [name for name in hostile() if is_uuid(name) or parse_name(name) or is_run(name)] == []
    assert {kind_of(name) for name in hostile()} == {"other", "base"}


@pytest.mark.parametrize("value", [None, 7, b"x", [], {}, True, 1.5])
def test_what_is_no_text_is_no_name(value):
    assert not is_uuid(value)
    assert parse_name(value) is None


def test_what_nova_makes_is_known():
    for _ in range(200):
        server = str(uuid.uuid4())
        assert is_uuid(server)
        assert (parse_name(server).kind, parse_name(server + "_resize").kind) == ("instance", "resize")
        assert name_of(server, "resize") == server + "_resize"
    with pytest.raises(ValueError, match="not a uuid"):
        name_of("..", "resize")


@pytest.fixture
def bed(tmp_path):
    """Canaries around the instances folder: beside it, above it, and where `..` of a quarantined folder would lead."""
    root = make_root(tmp_path / "root")
    for place in (
        "/canary",
        "/etc/canary",
        "/var/canary",
        "/var/lib/canary",
        "/var/lib/nova/canary",
        f"{INSTANCES}/canary/x",
        "/../canary",
    ):
        write(root, place, "alive\n")
    instance(root, GOOD)
    return root


def everything(root):
    return {**tree(root), **tree(os.path.dirname(root), without=("root",))}


def test_ten_thousand_hostile_names_in_requests_change_nothing(bed):
    host = ComputeHost(bed)
    before = everything(bed)
    for name in hostile():
        phase = ("plan", "quarantine", "restore", "purge")[len(name) % 4]
        keys = {"uuids": [name]} if len(name) % 3 else {"uuids": [ONE], "proof": {name: proof(ONE)[ONE]}}
        document, code = ask(host, phase=phase, fingerprint="0" * 64, older_than_s=0, **keys)
        assert (code, document["event"]) in ((2, "error"), (3, "error")), (name, document)
        if "proof" in keys and phase in ("restore", "purge"):
            assert document["code"] == "usage"
    assert everything(bed) == before


def test_hostile_names_on_disk_are_left_where_they_are(bed):
    """As many as the file system takes: folders beside the leftover, and in it. The leftover goes, with what is in it."""
    host, made = ComputeHost(bed), 0
    for n, name in enumerate(hostile(3000)):
        for folder in (f"{bed}{INSTANCES}", f"{bed}{INSTANCES}/{ONE}_resize"):
            if not name or "/" in name or "\0" in name or name in (".", "..", ".gpuctl-quarantine"):
                continue
            try:
                if n % 3:
                    os.mkdir(f"{folder}/{name}", 0o755)
                else:
                    os.symlink("/canary" if n % 2 else "../../../../canary", f"{folder}/{name}")
                made += 1
            except (OSError, UnicodeEncodeError):
                continue
    assert made > 2000
    before = everything(bed)
    assert [item["name"] for item in plan(host)["leftovers"]] == [ONE + "_resize"]
    document, code = quarantine(host)
    assert code == 0, document
    document, code = ask(host, phase="purge", older_than_s=0)
    assert code == 0, document
    inside = f"{ONE}_resize"
    assert everything(bed) == {path: value for path, value in before.items() if inside not in path}


def test_instances_shows_hostile_names_as_text_that_json_takes(bed):
    os.mkdir(os.fsencode(f"{bed}{INSTANCES}/") + b"\xff\xfe")
    document, code = ask(ComputeHost(bed), command="instances")
    assert code == 0
    assert "\ufffd\ufffd" in [folder["name"] for folder in document["folders"]]

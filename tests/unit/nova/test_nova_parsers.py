"""Nova's own parsers on what we write, and beside what our checks say: nova.pci.whitelist and nova.pci.request.

They run in a Python that has Nova: the OpenStack lab's (python -m tests.lab.openstack install), and an older one, made by

    D=${XDG_CACHE_HOME:-~/.cache}/gpuctl/nova-25.3.0; python3.9 -m venv $D
    $D/bin/pip install --prefer-binary nova==25.3.0 'setuptools<70' 'SQLAlchemy<1.5' 'oslo.config<9' 'oslo.db<13' \\
        'oslo.utils<7' 'oslo.messaging<15' 'oslo.service<4' 'oslo.context<6' 'oslo.log<6' 'oslo.policy<5' \\
        'oslo.serialization<6' 'jsonschema<5' && touch $D/.complete

GPUCTL_NOVA_PYTHONS (paths with ':' between) adds more. Without any of them these tests are skipped.
"""

import functools
import json
import os
import pathlib
import random
import subprocess

import pytest

from gpuctl.nova.config.layouts import LAYOUTS, render
from gpuctl.nova.hosts import Device
from gpuctl.nova.lint.registry import check_document
from gpuctl.nova.lint.sources import read_services
from gpuctl.nova.lint.view import View
from gpuctl.nova.matching import SpecError, matcher
from gpuctl.nova.problem import Problem
from gpuctl.nova.releases import parse_release
from tests.unit.nova import golden, tools, worlds

pytestmark = pytest.mark.slow
PROBE = pathlib.Path(__file__).with_name("nova_probe.py")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "gpuctl"


def pythons():
    found = [
        path / "bin" / "python" for path in sorted(CACHE.glob("lab-openstack/venv-*")) if (path / ".complete").exists()
    ]
    found += [path / "bin" / "python" for path in sorted(CACHE.glob("nova-*")) if (path / ".complete").exists()]
    found += [pathlib.Path(word) for word in os.environ.get("GPUCTL_NOVA_PYTHONS", "").split(":") if word]
    return [str(path) for path in found]


PYTHONS = pythons() or [
    pytest.param("", marks=pytest.mark.skip(reason="no Python with Nova (python -m tests.lab.openstack install)"))
]


def ask(python, jobs):
    """Return (Nova's major version, its answers)."""
    done = subprocess.run(
        [python, str(PROBE)], input=json.dumps({"jobs": jobs}), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    return int(found["version"].split(".")[0]), found["answers"]


@functools.cache
def version_of(python):
    return ask(python, [])[0]


def plain(devices):
    return [{"address": item.address, "vendor_id": item.vendor_id, "product_id": item.device_id} for item in devices]


@pytest.mark.parametrize("python", PYTHONS)
def test_nova_reads_what_every_layout_writes_and_offers_the_cards_that_were_meant(python):
    number = version_of(python)
    jobs, wanted = [], []
    for world in ("farm", "mixed"):
        for layout in LAYOUTS:
            try:
                configuration = golden.configuration(world, number)
                files = render(layout, configuration).files
            except Problem:
                continue
            for host in worlds.hosts(worlds.FARM if world == "farm" else worlds.MIXED):
                jobs.append(
                    {"conf": tools.conf(layout, files, host.name, "compute", number), "devices": plain(host.devices)}
                )
                cards = [card.address for card in host.cards if card.prepared]
                # Sunbeam takes excluded devices out on the host itself.
                wanted.append((layout, [card.address for card in host.cards] if layout == "sunbeam" else cards))
                jobs.append({"conf": tools.conf(layout, files, host.name, "api", number), "devices": []})
                wanted.append((layout, []))
    assert len(jobs) > 30
    for (layout, addresses), answer in zip(wanted, ask(python, jobs)[1], strict=True):
        assert (layout, answer["specs"], answer["aliases"], sorted(answer["taken"])) == (
            layout,
            "",
            "",
            sorted(addresses),
        )


DEVICES = [
    Device(f"{domain:04x}:{bus:02x}:{slot:02x}.{function}", vendor, product, None)
    for domain, bus, slot, function, vendor, product in [
        (0, 0x42, 0, 0, "10de", "1b80"),
        (0, 0x42, 0, 1, "10de", "10f0"),
        (0, 0x04, 0, 0, "10de", "1b80"),
        (0, 0x84, 0x1F, 7, "1002", "74a1"),
        (1, 0x42, 0, 0, "10de", "2330"),
        (0xFFFF, 0xFF, 0x10, 3, "8086", "0071"),
    ]
]
IDS = [
    "10de",
    "1b80",
    "0x10de",
    "10DE",
    " 10de ",
    "*",
    "1002",
    "74a1",
    "71",
    "0071",
    "",
    "ffff",
    "10000",
    "-1",
    "nvidia",
    4318,
    None,
    True,
    ["10de"],
]
TEXTS = [
    "0000:42:00.0",
    "42:00",
    "42:00.0",
    ":42:00.",
    "*:42:*.*",
    "*:*:*.*",
    "*",
    "00",
    ".0",
    "0",
    "",
    "0000:84:1f.7",
    "84:20",
    "42:00.8",
    "x",
    "1:2:3:4",
]
TEXTS += [
    "0000:84:00.[0-3]",
    "0000:42:00.",
    "10000:42:00.0",
    " 0000 : 42 : 00 . 0 ",
    "-1:42:00.0",
    "FFFF:FF:10.3",
    "0:42:0.0",
    "0x42:00.0",
]
PARTS = ["4", "42", "04", ".*", "", "[0-4].", "(", "4$$", "^42$$", "0{2}", 42, None]
KEYS = [
    "vendor_id",
    "product_id",
    "address",
    "physical_network",
    "vendr_id",
    "managed",
    "live_migratable",
    "trusted",
    "resource_class",
]


def generated(count):
    """Specs of all kinds, the same each time."""
    dice = random.Random(20261120)
    for _ in range(count):
        spec = {}
        for key in dice.sample(KEYS, dice.randint(0, 3)):
            if key in ("vendor_id", "product_id"):
                spec[key] = dice.choice(IDS)
            elif key == "address":
                names = dice.sample(["domain", "bus", "slot", "function", "func"], dice.randint(0, 3))
                spec[key] = dice.choice(
                    [dice.choice(TEXTS), {name: dice.choice(PARTS) for name in names}, dice.choice([5, [], None])]
                )
            else:
                spec[key] = dice.choice(["yes", "no", True, "maybe"])
        yield spec


@pytest.mark.parametrize("python", PYTHONS)
def test_our_matching_is_novas_on_specs_of_all_kinds(python):
    # managed and its like are another check's; here it is ids and addresses.
    specs = [
        {key: value for key, value in spec.items() if key not in ("managed", "live_migratable")}
        for spec in generated(600)
    ]
    option = "device_spec" if version_of(python) >= 26 else "passthrough_whitelist"
    _, answers = ask(
        python, [{"conf": f"[pci]\n{option} = {json.dumps(spec)}\n", "devices": plain(DEVICES)} for spec in specs]
    )
    for spec, answer in zip(specs, answers, strict=True):
        unescaped = json.loads(json.dumps(spec).replace("$$", "$"))
        try:
            ours = matcher(unescaped)
        except SpecError as error:
            # Nova takes negative numbers; they match nothing, so we are right to object.
            assert answer["specs"] or ("negative" in str(error) and not answer["taken"]), (
                f"we refuse {spec} ({error}), Nova takes it"
            )
            continue
        assert not answer["specs"], f"Nova refuses {spec}: {answer['specs']}"
        assert [device.address for device in DEVICES if ours.takes(device)] == answer["taken"], spec


ALIASES = [
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "device_type": "type-PCI"}],
    [{"name": "a", "vendor_id": "0x10de", "product_id": "1b80"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "*"}],
    [{"name": "a", "vendor_id": "10DE", "product_id": "1B80"}],
    [{"name": "a", "vendor_id": 4318, "product_id": "1b80"}],
    [{"name": "a", "vendor_id": "10de"}],
    [{"name": "a"}],
    [{"vendor_id": "10de", "product_id": "1b80"}],
    [{"name": "", "vendor_id": "10de", "product_id": "1b80"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "device_type": "type-pf"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "numa_policy": "socket"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "numa_policy": "strict"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "managed": "no"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "capability_type": "usb"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "live_migratable": True}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "live_migratable": "maybe"}],
    [{"name": "a", "vendor_id": "10de", "product_id": "1b80", "resource_class": ["X"]}],
    [
        {"name": "a", "vendor_id": "10de", "product_id": "1b80"},
        {"name": "a", "vendor_id": "10de", "product_id": "1b81"},
    ],
    [
        {"name": "a", "vendor_id": "10de", "product_id": p, "device_type": t}
        for p, t in (("1b80", "type-PCI"), ("1b81", "type-PF"))
    ],
    [{"name": "a", "vendor_id": "10de", "product_id": p, "device_type": "type-PCI"} for p in ("1b80", "1b81")],
    [
        {"name": "a", "vendor_id": "10de", "product_id": p, "device_type": "type-PCI", "numa_policy": n}
        for p, n in (("1b80", "legacy"), ("1b81", "required"))
    ],
    [{"name": "a:b", "vendor_id": "10de", "product_id": "1b80"}],
]
OURS = ("alias-json", "alias-keys", "alias-values", "alias-ids", "alias-ids-missing", "alias-duplicate")


@pytest.mark.parametrize("python", PYTHONS)
def test_an_alias_fails_our_checks_exactly_when_nova_refuses_it(python, tmp_path):
    release = parse_release(str(version_of(python)))
    confs = ["[pci]\n" + "".join(f"alias = {json.dumps(alias)}\n" for alias in aliases) for aliases in ALIASES]
    confs += ["[pci]\nalias = [{}]\n", "[pci]\nalias = {'name': 'a'}\n", "[pci]\nalias = a\n"]
    _, answers = ask(python, [{"conf": conf, "devices": []} for conf in confs])
    for number, (conf, answer) in enumerate(zip(confs, answers, strict=True)):
        file = tmp_path / f"{number}.conf"
        file.write_text(conf, "utf-8")
        services, _ = read_services([str(file)])
        failing = [
            item
            for item in check_document(View(services, release, None))["findings"]
            if item["status"] == "fail" and item["id"] in OURS
        ]
        assert bool(failing) == bool(answer["aliases"]), (
            f"{conf}\nNova: {answer['aliases'] or 'takes it'}\nours: {failing}"
        )


@pytest.mark.parametrize("python", PYTHONS)
def test_a_device_spec_fails_our_checks_when_nova_refuses_it(python, tmp_path):
    release = parse_release(str(version_of(python)))
    texts = [json.dumps(spec) for spec in generated(300)]
    texts += [
        "{'vendor_id': '10de'}",
        "5",
        '"x"',
        "[]",
        '[{"vendor_id": "10de"}, 5]',
        "",
        "null",
        '{"vendor_id": "10de"',
    ]
    confs = [f"[pci]\n{release.whitelist.name} = {text}\n" for text in texts]
    _, answers = ask(python, [{"conf": conf, "devices": []} for conf in confs])
    for number, (conf, answer) in enumerate(zip(confs, answers, strict=True)):
        file = tmp_path / f"{number}.conf"
        file.write_text(conf, "utf-8")
        services, _ = read_services([str(file)])
        failing = [
            item for item in check_document(View(services, release, None))["findings"] if item["status"] == "fail"
        ]
        if answer["specs"]:
            assert [item for item in failing if item["id"].startswith("spec-")], f"{conf}\nNova: {answer['specs']}"

"""`gpuctl flavor verify`: whatever goes wrong, the server is gone or named."""

from __future__ import annotations

import json

import pytest

from gpuctl.cli.main import main
from gpuctl.flavors.witnesses import cards_of, read_domain

CARDS = "<hostdev type='pci'/>" * 2 + "<hostdev type='usb'/>"
DOMAIN = "<domain><features>%s</features><devices>%s</devices></domain>"
HIDDEN = "<kvm><hidden state='on'/></kvm>"


@pytest.fixture
def verify(cloud, capsys):
    """Prove gpu.2 on the cloud in memory; return (exit code, document or message)."""
    cloud.add("gpu.2", specs={"pci_passthrough:alias": "x:1,y:1", "hw:hide_hypervisor_id": "true"})

    def run(*words, xml=None):
        reader = (lambda host, name: xml) if xml else None
        code = main(["flavor", "verify", "gpu.2", "-f", "json", *words], obj={"domain_reader": reader})
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else err

    return run


def test_it_boots_and_is_gone(verify, cloud):
    cloud.allocations = {
        "rp1": {"resources": {"CUSTOM_PCI_10DE_1B80": 1}},
        "rp2": {"resources": {"CUSTOM_PCI_10DE_20B0": 1, "VCPU": 2}},
    }
    code, proof = verify(xml=DOMAIN % (HIDDEN, CARDS))
    assert code == 0
    assert proof["gpus"] == {
        "wanted": 2,
        "seen": [{"by": "nova", "count": 2}, {"by": "placement", "count": 2}, {"by": "libvirt", "count": 2}],
    }
    assert (proof["host"], proof["kvm_hidden"]) == ("gpu-a", True)
    assert [one["step"] for one in proof["steps"]] == ["create", "boot", "look", "delete"]
    assert cloud.servers == []


def test_without_placement_and_libvirt_novas_claim_speaks(verify):
    code, proof = verify()
    assert (code, proof["gpus"]["seen"], proof["kvm_hidden"]) == (0, [{"by": "nova", "count": 2}], None)


@pytest.mark.parametrize(
    ("xml", "allocated"),
    [
        (DOMAIN % (HIDDEN, "<hostdev type='pci'/>"), 2),  # a card is missing in the domain
        (DOMAIN % ("", CARDS), 2),  # KVM is not hidden, and the flavor asks for it
        (DOMAIN % (HIDDEN, CARDS), 3),  # Placement holds one too many
    ],
)
def test_a_witness_that_disagrees_fails_it(verify, cloud, xml, allocated):
    cloud.allocations = {"rp": {"resources": {"CUSTOM_PCI_10DE_1B80": allocated}}}
    code, proof = verify(xml=xml)
    assert (code, proof["good"], cloud.servers) == (1, False, [])


def test_a_server_in_error_is_deleted(verify, cloud):
    cloud.fate = "ERROR"
    code, proof = verify()
    assert (code, proof["status"], cloud.servers) == (1, "ERROR", [])
    assert "No valid host" in proof["error"]["details"]


FAULTS = [
    500,
    "reset-after",
    *(pytest.param(one, marks=pytest.mark.slow) for one in (429, 503, "reset-before", "504-after")),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("method", "path", "skip"),
    [("POST", "/servers$", 0), ("GET", "/servers/", 0), ("GET", "/servers/", 2), ("DELETE", "/servers/", 0)],
)
def test_a_fault_that_passes_leaves_no_server(verify, cloud, method, path, skip, fault):
    cloud.fail(method, path, fault, skip=skip)
    code, proof = verify()
    assert cloud.fired
    assert cloud.servers == []
    # A create whose answer was lost before it was done is not repeated: somebody might pay for two servers.
    assert code == (1 if method == "POST" and fault in {500, 503, "reset-before"} else 0), proof


@pytest.mark.parametrize("fault", [*FAULTS, 401, 403, 409])
@pytest.mark.parametrize(
    ("method", "path", "skip"), [("GET", "/servers/", 0), ("GET", "/servers/", 2), ("DELETE", "/servers/", 0)]
)
def test_a_fault_that_lasts_names_the_server(verify, cloud, method, path, skip, fault):
    cloud.fail(method, path, fault, skip=skip, times=999)
    code, err = verify()
    assert code == 1
    for server in cloud.servers:
        assert server["id"] in err
        assert f"openstack server delete {server['id']}" in err


def test_a_flavor_without_gpus_has_nothing_to_prove(cloud, capsys):
    cloud.add("plain")
    assert main(["flavor", "verify", "plain"]) == 2


@pytest.mark.parametrize(
    ("alias", "cards"), [("a:1", 1), ("a:1,b:2", 3), ("a:1, b:2", 3), ("a", 0), ("a:x", 0), ("", 0)]
)
def test_cards_are_counted(alias, cards):
    assert cards_of({"pci_passthrough:alias": alias}) == cards


def test_a_domain_is_read():
    assert read_domain(DOMAIN % (HIDDEN, CARDS)) == (2, True)
    assert read_domain("<domain/>") == (0, False)

"""The registry asks every question of the contract, and survives a check that breaks."""

from __future__ import annotations

import pytest

from gpuctl_host.checks import registry
from gpuctl_host.checks.answer import Check
from gpuctl_host.checks.view import View
from tests.unit.checks.factory import by_id, facts, function, gpu
from tests.work import calls

CONTRACT = [
    "cpu-virtualization",
    "iommu-firmware",
    "iommu-enabled",
    "iommu-cmdline",
    "interrupt-remapping",
    "acs-override",
    "gpu-present",
    "gpu-iommu-group",
    "group-viable",
    "group-isolated",
    "gpu-driver",
    "audio-function",
    "companion-functions",
    "driver-blacklist",
    "boot-vga",
    "boot-framebuffer",
    "gpu-reset",
    "gpu-power",
    "gpu-bars",
    "gpu-sriov",
    "gpu-in-use",
    "nvswitch",
    "vfio-module",
    "vfio-permissions",
    "pending-reboot",
    "identity",
    "qemu-version",
    "drift",
]


def test_every_id_of_the_contract_is_there():
    assert set(CONTRACT) <= {check.id for check in registry.CHECKS}


def test_no_module_has_a_check_that_is_not_asked():
    everywhere = [check.id for module in registry._MODULES for check in module.CHECKS]
    assert sorted(everywhere) == sorted(check.id for check in registry.CHECKS)


@pytest.mark.parametrize("check", registry.CHECKS, ids=lambda check: check.id)
def test_a_check_says_what_its_page_needs(check):
    assert all((check.title, check.answers, check.looks_at, check.matters, check.remedy, check.sources))
    assert check.title.endswith("?")
    assert check.run.__doc__


@pytest.mark.parametrize("check", registry.CHECKS, ids=lambda check: check.id)
def test_a_host_of_which_nothing_is_known_fails_nothing(check):
    answers = list(check.run(View(facts(gpu("0000:01:00.0"), drivers_seen=False))))
    assert not [item for item in answers if item.status in ("fail", "warn")]


def test_every_host_question_has_an_answer_on_an_unknown_host():
    asked = {item.id for item in registry.run_checks(facts(gpu("0000:01:00.0")))}
    assert set(CONTRACT) - asked == set()


def test_a_check_that_breaks_becomes_a_warning(monkeypatch):
    def breaks(view):
        yield from ()
        raise LookupError("no such thing")

    broken = Check("iommu-enabled", breaks, "?", "", "", "", "")
    kept = tuple(check for check in registry.CHECKS if check.id == "gpu-driver")
    monkeypatch.setattr(registry, "CHECKS", (broken, *kept))
    findings = registry.run_checks(facts(gpu("0000:01:00.0", driver="vfio-pci")))
    (finding,) = by_id(findings, "iommu-enabled")
    assert (finding.status, finding.subject) == ("warn", "host")
    assert "the check itself failed: LookupError: no such thing" in finding.evidence
    assert "Traceback" not in finding.evidence
    assert by_id(findings, "gpu-driver")[0].status == "pass"


def test_the_work_of_the_checks_grows_with_the_host_and_no_faster():
    registry.run_checks(_host(50))  # what is imported at the first time is not counted
    small, large = _host(200), _host(1600)
    # Eight times the host; each card beside each function would be 64.
    assert calls(lambda: registry.run_checks(large)) < 9 * calls(lambda: registry.run_checks(small))


def _host(size):
    others = [
        function(f"{bus // 32:04x}:{bus % 32:02x}:00.0", "8086:1533", "020000", driver="igb") for bus in range(1, size)
    ]
    cards = [gpu(f"1000:{bus:02x}:00.0", driver="vfio-pci", iommu_group=bus) for bus in range(size // 50)]
    log = tuple(f"pci 0000:00:{n % 32:02x}.0: a line of the kernel's log" for n in range(size * 12))
    return facts(*cards, pci=others, iommu={"enabled": True, "groups": 8}, kernel={"log": log, "release": "6.8.0"})

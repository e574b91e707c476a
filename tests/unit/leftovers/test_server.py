"""Rules of safety, by the attack or the accident that they are there for: where the server is."""

from __future__ import annotations

import os

import pytest

from tests.unit.leftovers.kit import ONE, domain, plan, proof, rules


@pytest.mark.parametrize(
    "status", ["ERROR", "VERIFY_RESIZE", "RESIZE", "BUILD", "REBUILD", "MIGRATING", "UNKNOWN", "deleted", ""]
)
def test_a_server_that_is_not_whole_keeps_its_leftover(refused, status):
    refused("status", proof=proof(ONE, status=status))


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "ERROR"])
def test_a_server_on_no_host_must_be_deleted_or_offloaded(refused, status):
    refused("status", proof=proof(ONE, host=None, status=status))


@pytest.mark.parametrize("status", ["SHELVED_OFFLOADED", "DELETED"])
def test_a_server_that_needs_no_disk_lets_go(host, status):
    assert rules(plan(host, proof=proof(ONE, host=None, status=status))) == []


@pytest.mark.parametrize("name", ["gpu-a", "GPU-A", "gpu-a.example.org", "gpu-a."])
def test_a_server_that_came_back_to_this_host_keeps_it(refused, name):
    refused("server-here", proof=proof(ONE, host=name))


def test_the_name_that_nova_has_for_this_host_counts(refused):
    refused("server-here", proof=proof(ONE, host="rack1-node7"), nova_host="rack1-node7")


def test_hosts_of_one_short_name_in_two_domains_are_two(host):
    document = plan(host, proof=proof(ONE, host="n1.b.example"), nova_host="n1.a.example")
    assert rules(document) == []


def test_a_host_without_a_name_proves_nothing(root, refused):
    os.unlink(f"{root}/proc/sys/kernel/hostname")
    refused("server-here")


def test_an_open_migration_keeps_it(refused):
    assert "17" in refused("open-migration", proof=proof(ONE, migrations=["17"]))


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_guest_of_that_uuid_on_this_host_keeps_it(root, refused, state):
    domain(root, ONE, running=True, state=state)
    refused("runs-here")

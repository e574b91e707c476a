"""The compute host that the tests attack, with a canary outside its root that must never change."""

from __future__ import annotations

import pytest

from tests.unit.leftovers.kit import ComputeHost, make_root, plan, quarantine, rules, tree, write


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "/canary/precious", "alive\n")
    return make_root(tmp_path / "root")


@pytest.fixture
def host(root):
    return ComputeHost(root)


@pytest.fixture
def refused(root, host):
    """Check that the plan names the rule, and that quarantine then changes nothing."""

    def check(rule, kind="resize", **request):
        document = plan(host, **request)
        assert rule in rules(document, kind), document["leftovers"]
        before = tree(root)
        answer, code = quarantine(host, kinds=[kind], **request)
        assert (code, answer["results"]) == (3, [])
        assert tree(root) == before
        return next(
            reason["text"] for item in document["leftovers"] for reason in item["reasons"] if reason["rule"] == rule
        )

    return check

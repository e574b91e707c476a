"""Waits until Placement answers a user whom Keystone knows.

A nova-compute that starts earlier starts as well, but its first audit fails (503), and its devices are in nobody's books
until a later one. Waiting here, after the imports, lets those run beside the other services' start.
"""

# ruff: noqa: S310  # our own loopback addresses

import json
import os
import time
import urllib.request


def wait_for_placement() -> None:
    """Placement has answered with 200, or five minutes have passed."""
    needs = json.loads(os.environ["GPUCTL_LAB_NEEDS"])
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            _ask(needs)
        except OSError:
            time.sleep(0.2)
        else:
            return


def _ask(needs: dict[str, str]) -> None:
    user = {"name": needs["user"], "domain": {"id": "default"}, "password": needs["password"]}
    scope = {"project": {"name": needs["user"], "domain": {"id": "default"}}}
    auth = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    login = urllib.request.Request(
        needs["identity"] + "/auth/tokens", json.dumps(auth).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(login, timeout=60) as answer:
        token = answer.headers["X-Subject-Token"]
    question = urllib.request.Request(needs["placement"] + "/resource_providers", headers={"X-Auth-Token": token})
    with urllib.request.urlopen(question, timeout=60):
        return

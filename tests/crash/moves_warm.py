"""What the fork server imports once, so that a gpuctl starts in milliseconds."""

from __future__ import annotations

import keystoneauth1.adapter  # noqa: F401
import openstack.config  # noqa: F401
import requests  # noqa: F401

import gpuctl.cli.instance
import gpuctl.fleet.history
import gpuctl.moves.books
import gpuctl.moves.migrate
import gpuctl.output.migrate_tables  # noqa: F401
import tests.crash.moves_child  # noqa: F401

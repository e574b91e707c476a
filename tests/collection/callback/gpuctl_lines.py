"""Writes each host's answer to a task as a JSON line to $GPUCTL_TEST_LINES: what the tests read instead of a terminal."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: gpuctl_lines
type: aggregate
short_description: JSON lines for tests
description: Each host's answer to a task.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "gpuctl_lines"

    def _line(self, kind, result):
        line = {
            "kind": kind,
            "host": result._host.get_name(),
            "task": result._task.get_name().strip(),
            "action": result._task.action,
        }
        with open(os.environ["GPUCTL_TEST_LINES"], "a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "result": result._result}, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._line("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._line("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._line("unreachable", result)

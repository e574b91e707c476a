#!/usr/bin/python
# Copyright the gpuctl developers
# SPDX-License-Identifier: Apache-2.0
"""Whether a GPU host is ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check
short_description: Says whether a GPU host is ready for passthrough
description:
  - Judges the host and says of everything that fails or warns what was read and what to do. Changes nothing.
  - A host that is not ready does not fail the task unless O(require_ready) says so.
version_added: 0.1.0
extends_documentation_fragment:
  - gpuctl.host.tree
  - gpuctl.host.tree.vendors
options:
  strict:
    description: Let a warning fail too.
    type: bool
    default: false
  require_ready:
    description: Fail the task if the host is not ready.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
"""

EXAMPLES = r"""
- name: A host that is not ready stops the play
  gpuctl.host.check:
    require_ready: true
"""

RETURN = r"""
ready:
  description: Whether no finding fails, and nothing that must be known is unknown.
  returned: success
  type: bool
findings:
  description: What fails or warns, and what must be known and is not (status skip); each with id, status, subject, title, evidence,
    fix and doc.
  returned: success
  type: list
  elements: dict
unknown:
  description: Ids of what could not be known.
  returned: success
  type: list
  elements: str
gpus:
  description: Each GPU with its name, whether it is ready, and what blocks it.
  returned: success
  type: list
  elements: dict
host:
  description: The name that the host gives itself.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpuctl.host.plugins.module_utils.engine import Engine

# gpuctl_host.checks.render has the same names.
ESSENTIAL = ("gpu-present", "iommu-enabled", "gpu-iommu-group", "group-viable", "gpu-driver")


def unknown(finding):
    """Say whether this is not known, and the host not ready for that alone."""
    return finding["status"] == "skip" and finding["id"] in ESSENTIAL


def main():
    """Judge, and answer with what stands out."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "vendors": {"type": "list", "elements": "str", "default": ["10de"]},
            "strict": {"type": "bool", "default": False},
            "require_ready": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wish = module.params
    document, code = Engine(module, wish["root"]).ask("check", vendors=wish["vendors"], strict=wish["strict"])
    findings = document["findings"]
    said = {
        "changed": False,
        "ready": document["ready"],
        "host": document["host"],
        "gpus": document["gpus"],
        "findings": [one for one in findings if one["status"] in ("fail", "warn") or unknown(one)],
        "unknown": sorted({one["id"] for one in findings if one["status"] == "skip"}),
        "exit_code": code,
    }
    if wish["require_ready"] and not document["ready"]:
        stands = ("fail", "skip", "warn") if wish["strict"] else ("fail", "skip")
        worst = next(one for status in stands for one in said["findings"] if one["status"] == status)
        module.fail_json(
            msg="not ready: %s (%s): %s" % (worst["id"], worst["subject"], worst["evidence"]),
            resolution=worst["fix"] or "let it be read: `gpuctl host check` on that host says what was looked at",
            **said
        )
    module.exit_json(**said)


if __name__ == "__main__":
    main()

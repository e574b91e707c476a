#!/usr/bin/python
# Copyright the gpuctl developers
# SPDX-License-Identifier: Apache-2.0
"""What a GPU host is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: facts
short_description: Says what a GPU host is
description:
  - Reads GPUs, their functions, IOMMU groups, drivers, kernel and boot loader. Changes nothing.
version_added: 0.1.0
extends_documentation_fragment:
  - gpuctl.host.tree
  - gpuctl.host.tree.vendors
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
"""

EXAMPLES = r"""
- name: Read the GPUs of a host
  gpuctl.host.facts:
  register: gpu_host

- name: Keep the facts for `gpuctl nova configure`
  ansible.builtin.copy:
    content: "{{ gpu_host.document | to_nice_json }}"
    dest: "facts/{{ inventory_hostname }}.json"
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
document:
  description: The facts, as C(gpuctl host facts -f json) prints them (schema gpuctl.host.facts/1).
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpuctl.host.plugins.module_utils.engine import Engine


def main():
    """Read, and answer with the document."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "vendors": {"type": "list", "elements": "str", "default": ["10de"]},
        },
        supports_check_mode=True,
    )
    document, _unused = Engine(module, module.params["root"]).ask("facts", vendors=module.params["vendors"])
    module.exit_json(changed=False, document=document)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright the gpuctl developers
# SPDX-License-Identifier: Apache-2.0
"""A GPU host made ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prepare
short_description: Makes a GPU host ready for passthrough
description:
  - IOMMU on, host drivers away, vfio-pci bound by address, the cards' audio functions gone. Every change is journalled on the
    host and can be taken back with M(gpuctl.host.restore).
  - A run that was killed half way is taken back first.
  - What is unsafe is refused; the task then fails with RV(ignore:refused) true, and nothing was touched.
version_added: 0.1.0
extends_documentation_fragment:
  - gpuctl.host.tree
  - gpuctl.host.tree.vendors
options:
  gpus:
    description:
      - Which cards; a full address, a short one if only one device has it, C(vendor:device), or V(all), which is the default.
    type: list
    elements: str
  audio:
    description: The cards' audio functions are taken off the bus, given to vfio-pci, or left to the host.
    type: str
    choices: [remove, bind, leave]
    default: remove
  nvswitch:
    description: NVSwitches stay with the host, or go to vfio-pci with the GPUs.
    type: str
    choices: [leave, guest]
    default: leave
  fingerprint:
    description: Of a plan that was agreed to; if the host would get another plan now, nothing is touched and the task fails.
    type: str
attributes:
  check_mode:
    support: full
    description: Makes the same plan and shows it.
  diff_mode:
    support: full
    description: The plan's own diffs; the same ones in check mode and when they are applied.
seealso:
  - module: gpuctl.host.restore
  - module: gpuctl.host.check
"""

EXAMPLES = r"""
- name: Prepare every NVIDIA card of the host
  gpuctl.host.prepare:
  register: prepared

- name: Prepare one card of two equal ones, and leave its audio function alone
  gpuctl.host.prepare:
    gpus: ["0000:42:00.0"]
    audio: leave
"""

RETURN = r"""
changes:
  description: The steps with kind, target, reason, risk and state.
  returned: unless refused
  type: list
  elements: dict
  sample:
    - {n: 1, kind: file, target: /etc/gpuctl/cards, reason: the record of the cards, risk: reboot, state: done}
reboot_required:
  description: Whether it holds only after a reboot.
  returned: unless refused
  type: bool
reboot_reasons:
  description: Why a reboot is needed.
  returned: unless refused
  type: list
  elements: str
fingerprint:
  description: Of the plan; given to O(fingerprint) the same plan is applied, or none.
  returned: unless refused
  type: str
run:
  description: The run's id on the host, for RV(changes) to be undone by M(gpuctl.host.restore); null if nothing was done.
  returned: unless refused
  type: str
refused:
  description: Whether it was refused for safety, with nothing touched.
  returned: always
  type: bool
refusals:
  description: Why; each with id, subject, evidence and fix.
  returned: when refused
  type: list
  elements: dict
manual:
  description: What a person has to do, because gpuctl will not.
  returned: unless refused
  type: list
  elements: str
notes:
  description: What is worth knowing.
  returned: unless refused
  type: list
  elements: str
resolution:
  description: What to do now.
  returned: on failure
  type: str
exit_code:
  description: As C(gpuctl host) exits; 0 done, 1 failed, 3 refused, 4 done and a reboot is needed, 5 in part, 75 locked.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpuctl.host.plugins.module_utils.engine import Engine


def main():
    """Plan, apply, and answer with what was done."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "vendors": {"type": "list", "elements": "str", "default": ["10de"]},
            "gpus": {"type": "list", "elements": "str"},
            "audio": {"type": "str", "choices": ["remove", "bind", "leave"], "default": "remove"},
            "nvswitch": {"type": "str", "choices": ["leave", "guest"], "default": "leave"},
            "fingerprint": {"type": "str"},
        },
        supports_check_mode=True,
    )
    wish = dict(module.params)
    Engine(module, wish.pop("root")).change("prepare", **wish)


if __name__ == "__main__":
    main()

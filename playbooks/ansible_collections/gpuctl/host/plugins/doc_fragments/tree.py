# Copyright the gpuctl developers
# SPDX-License-Identifier: Apache-2.0
"""The options that every module has."""

from __future__ import annotations


class ModuleDocFragment:
    """Says what a host is, and whose cards are meant."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - A folder with the paths of a host (an image, an unpacked capture), to work on in place of the running host.
      - Nothing outside of it is written and no command is run; what commands would have made is listed as pending.
    type: path
    default: /
requirements:
  - Python 3.9 or newer on the managed host, and nothing else
author:
  - The gpuctl developers (@gpuctl)
"""

    VENDORS = r"""
options:
  vendors:
    description:
      - Whose GPUs are meant, as PCI vendor ids of four lower-case hex digits, or V(any).
    type: list
    elements: str
    default: ["10de"]
"""

"""A real Keystone, Placement, Glance and Nova on this machine's loopback; see README.md."""

from .install import Unavailable
from .lab import Lab

__all__ = ["Lab", "Unavailable"]

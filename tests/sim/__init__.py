"""A host that reacts: a sysfs, a kernel, udev, a boot loader and the tools around them, in a temporary folder."""

from .host import Fault, SimHost
from .parts import Function, Machine, Module

__all__ = ["Fault", "Function", "Machine", "Module", "SimHost"]

"""What is on the simulated bus, and how the kernel refuses a write."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from .parts import Function, Module


class Refusal(Exception):
    """The write fails with this errno."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.number = number


class Stuck(Exception):
    """The writer sleeps in the kernel until the device's user lets go."""


@dataclass
class Device:
    """A function that is on the bus now."""

    function: Function
    path: str
    driver: str | None = None
    override: str | None = None
    group: int | None = None
    numvfs: int = 0


@dataclass
class Driver:
    """A registered PCI driver."""

    name: str
    module: Module
    ids: list[str] = field(default_factory=list)  # dynamic ids: "vvvv:dddd"

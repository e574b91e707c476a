"""Which devices a device spec takes, as nova/pci/devspec.py decides it (read in 34.0.0, the same since 15)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl.nova.hosts import Card, Device
from gpuctl.nova.vocabulary import ADDRESS_PARTS

_LIMITS = {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
_WIDTH = {"domain": 4, "bus": 2, "slot": 2, "function": 1}
ANY = "*"


class SpecError(ValueError):
    """A value that nova-compute does not start with; says what Nova would not like about it."""


def split_address(address: str) -> dict[str, str]:
    """Return the four parts of a whole address, dddd:bb:dd.f."""
    rest, _, function = address.rpartition(".")
    domain, bus, slot = rest.split(":")
    return {"domain": domain.zfill(4).lower(), "bus": bus.lower(), "slot": slot.lower(), "function": function}


def hex_id(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return an id as Nova normalises it: four lower-case digits, or ``*``.

    Raises:
        SpecError: it is no text, no hex number, or above ffff.
    """
    if not isinstance(value, str):
        raise SpecError(f"{value!r} is not text; Nova falls over it (AttributeError, TypeError): quote it")
    word = value.strip()
    if word == ANY:
        return ANY
    try:
        number = int(word, 16)
    except ValueError:
        raise SpecError(f"{value!r} is not a hex number") from None
    if number < 0:
        raise SpecError(f"{value!r} is negative: Nova takes it, and no device has it")
    if number > 0xFFFF:
        raise SpecError(f"{value!r} is above ffff")
    return f"{number:04x}"


def _glob_part(name: str, word: str) -> str:
    if word == ANY:
        return ANY
    try:
        number = int(word, 16)
    except ValueError:
        raise SpecError(f"{name} {word!r} is neither a hex number nor *; a text takes no regular expression") from None
    if number < 0:
        raise SpecError(f"{name} {word!r} is negative: Nova takes it, and no device is there")
    if number > _LIMITS[name]:
        raise SpecError(f"{name} {word!r} is above {_LIMITS[name]:x}")
    return f"{number:0{_WIDTH[name]}x}"


def glob_address(text: str) -> dict[str, str]:
    """Return the parts of an address given as text: ``[[domain:]bus:]slot[.function]``; what is not said is ``*``.

    Raises:
        SpecError: a part is neither hex nor ``*``, or too high, or there are too many.
    """
    front, _, function = text.partition(".")
    parts = dict.fromkeys(ADDRESS_PARTS, ANY)
    if function.strip():
        parts["function"] = _glob_part("function", function.strip())
    if front:
        words = front.split(":")
        if len(words) > 3:
            raise SpecError(f"{text!r} has too many colons")
        for name, word in zip(("slot", "bus", "domain"), reversed(words), strict=False):
            parts[name] = _glob_part(name, word.strip() or ANY)
    return parts


def regex_address(parts: Mapping[str, Any]) -> dict[str, re.Pattern[str]]:
    """Return the patterns of an address given as an object; what is not said is ``.*``.

    Raises:
        SpecError: a pattern is not text, or not a regular expression.
    """
    patterns = {}
    for name in ADDRESS_PARTS:
        value = parts.get(name, ".*")
        if not isinstance(value, str):
            raise SpecError(f"{name} {value!r} is not text")
        try:
            patterns[name] = re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise SpecError(f"{name} {value!r} is not a regular expression: {error}") from None
    return patterns


@dataclass(frozen=True, slots=True)
class Matcher:
    """A device spec that can be asked.

    Attributes:
        vendor_id: four hex digits or ``*``.
        product_id: likewise.
        glob: the address given as text, in parts; None where it is an object.
        patterns: the address given as an object.
    """

    vendor_id: str
    product_id: str
    glob: Mapping[str, str] | None
    patterns: Mapping[str, re.Pattern[str]] | None

    @property
    def single(self) -> bool:
        """Whether it names one whole address."""
        return self.glob is not None and ANY not in self.glob.values()

    def takes(self, device: Device) -> bool:
        """Say whether nova-compute would take the device.

        An address that is a physical function's takes its virtual functions too (WhitelistPciAddress.match).
        """
        if self.vendor_id not in (ANY, device.vendor_id) or self.product_id not in (ANY, device.device_id):
            return False
        if isinstance(device, Card) and device.physfn and self.single and self._at(device.physfn):
            return True
        return self._at(device.address)

    def _at(self, address: str) -> bool:
        parts = split_address(address)
        if self.patterns is not None:
            return all(self.patterns[name].match(parts[name]) for name in ADDRESS_PARTS)
        return self.glob is None or all(self.glob[name] in (ANY, parts[name]) for name in ADDRESS_PARTS)


def matcher(spec: Mapping[str, Any]) -> Matcher:
    """Return the matcher of a parsed device spec; a spec by devname takes no GPU, which has no interface.

    Raises:
        SpecError: nova-compute would not start with it.
    """
    vendor = hex_id(spec.get("vendor_id", ANY))
    product = hex_id(spec.get("product_id", ANY))
    address = spec.get("address") or "*:*:*.*"
    if isinstance(address, str):
        return Matcher(vendor, product, glob_address(address), None)
    if isinstance(address, Mapping):
        return Matcher(vendor, product, None, regex_address(address))
    raise SpecError(f"address {address!r} is neither text nor an object")


def prefix_extras(name: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the values that a pattern takes beyond those it fully matches: re.match does not look at the end.

    Args:
        name: domain, bus, slot or function.
        pattern: its regular expression. Of domains only 0000 to 00ff are tried: a host has few.
    """
    values = [f"{number:0{_WIDTH[name]}x}" for number in range(min(_LIMITS[name], 0xFF) + 1)]
    loose = [value for value in values if pattern.match(value)]
    return [value for value in loose if not pattern.fullmatch(value)]

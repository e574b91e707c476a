"""The kernel's command line, by the kernel's own rules (lib/cmdline.c next_arg, kernel/params.c parse_args).

White space separates arguments unless it stands between double quotes; `-` and `_` are the same in a key; what
stands after a bare `--` belongs to init; where a key is given twice, the last one counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.data import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_INIT = "--"


@frozen
class Argument:
    """One argument: `key` has underscores only; `value` is None where there is no `=`."""

    key: str
    value: str | None

    @property
    def items(self) -> tuple[str, ...]:
        """The value as the comma list that iommu= and intel_iommu= take."""
        return tuple(item for item in (self.value or "").split(",") if item)


def split(text: str) -> tuple[str, ...]:
    """Return the arguments of a command line, their quotes kept."""
    tokens: list[str] = []
    token: list[str] = []
    quoted = False
    for char in text:
        if char.isspace() and not quoted:
            if token:
                tokens.append("".join(token))
                token = []
            continue
        if char == '"':
            quoted = not quoted
        token.append(char)
    if token:
        tokens.append("".join(token))
    return tuple(tokens)


def join(tokens: Iterable[str]) -> str:
    """Return the command line of ``tokens``; those with blanks in an unquoted value get quotes."""
    return " ".join(_quoted(token) for token in tokens)


def _quoted(token: str) -> str:
    if '"' in token or not any(char.isspace() for char in token):
        return token
    key, equals, value = token.partition("=")
    return f'{key}="{value}"' if equals and not any(char.isspace() for char in key) else f'"{token}"'


def parse(token: str) -> Argument:
    """Return one argument as the kernel takes it apart: the first `=` divides, outer quotes go."""
    if token.startswith('"'):
        token = token[1:]
        token = token.removesuffix('"')
    key, equals, value = token.partition("=")
    if value.startswith('"'):
        value = value[1:]
        value = value.removesuffix('"')
    return Argument(key.replace("-", "_"), value if equals else None)


def kernel_part(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that the kernel reads: everything before a bare `--`."""
    tokens = tuple(tokens)
    return tokens[: tokens.index(_INIT)] if _INIT in tokens else tokens


def effective(tokens: Sequence[str]) -> dict[str, Argument]:
    """Return what holds for each key: the last one given."""
    return {argument.key: argument for argument in map(parse, kernel_part(tokens))}


def has(tokens: Sequence[str], wanted: str) -> bool:
    """Say whether ``wanted`` holds: same key, and every item of its comma list is in the last one given."""
    want = parse(wanted)
    found = effective(tokens).get(want.key)
    if found is None:
        return False
    if want.value is None or found.value is None:
        return want.value == found.value
    return found.value == want.value or (bool(want.items) and set(want.items) <= set(found.items))


def missing(tokens: Sequence[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``wanted`` that do not hold on ``tokens``."""
    return tuple(item for item in wanted if not has(tokens, item))


def union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """Return ``first`` and behind it what of ``second`` does not hold yet; no argument twice."""
    kept: list[str] = []
    for item in (*first, *second):
        if not has(kept, item):
            kept.append(item)
    return tuple(kept)


def merge(tokens: Sequence[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return ``tokens`` with what is missing added where the kernel reads it and where it counts last."""
    ours = kernel_part(tokens)
    return (*ours, *missing(ours, wanted), *tuple(tokens)[len(ours) :])


def turns_off(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that switch the IOMMU off, whatever is appended behind them.

    `iommu=off` and `noiommu` set a flag that no other value clears (arch/x86/kernel/pci-dma.c iommu_setup);
    `intel_iommu=off` and `amd_iommu=off` are undone by a later `=on` on Intel, and by nothing on AMD.
    """
    found = []
    last = effective(tokens)
    for token in kernel_part(tokens):
        argument = parse(token)
        off = "off" in argument.items
        if (
            argument.key == "noiommu"
            or (argument.key in ("iommu", "amd_iommu") and off)
            or (argument.key == "intel_iommu" and off and "on" not in last["intel_iommu"].items)
        ):
            found.append(token)
    return tuple(found)

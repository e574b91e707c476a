"""A model's default alias: short, and safe in a flavor, an ini file, a shell and a Jinja template."""

from __future__ import annotations

import re

# Who made it and under which brand: a farm's operators say gtx1080, not nvidia-geforce-gtx-1080.
_WORDS = (
    *("nvidia", "corporation", "geforce", "tesla", "quadro", "amd", "ati", "advanced", "micro", "devices", "inc"),
    *("intel", "radeon", "instinct", "aqua", "vanjaram"),
)
# pci.ids puts what is sold in brackets behind what it is made of: "GP104 [GeForce GTX 1080]".
_SOLD_AS = re.compile(r"\[([^\[\]]+)\][^\[\]]*$")
_SIZE = re.compile(r"\b\d+\s*gb\b")
_SERIES = re.compile(r"\b(gtx|rtx|titan|gt|arc|rx|mi|pro)\s+(?=[a-z0-9])")


def default_alias(name: str, ids: str) -> str:
    """Return an alias for a model: the device table's, so that flavors ask for what Nova offers; else from its name.

    Args:
        name: what the facts call the card.
        ids: vendor:device, for a card without a name: ``gpu-`` and the ids where the name says nothing.
    """
    from gpuctl.flavors.devices import find

    known = find(ids)
    if known is not None:
        return known.alias
    bracket = _SOLD_AS.search(name)
    words = (bracket[1] if bracket else name).split("/")[0].lower()
    words = re.sub(r"\bsxm\d\b", "sxm", _SIZE.sub(" ", words))
    for word in _WORDS:
        words = re.sub(rf"\b{word}\b", " ", words)
    words = _SERIES.sub(r"\1", " ".join(words.split()))
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:40].strip("-")
    if not slug or re.fullmatch(r"(gpu|device|vga|unknown|controller|-|[0-9a-f]{4})*", slug):
        return "gpu-" + ids.replace(":", "-")
    return slug

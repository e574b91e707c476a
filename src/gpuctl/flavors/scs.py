"""Names after SCS 0100 (flavor naming of the Sovereign Cloud Stack, version 4): made where its grammar can say it.

    SCS-<n>{C|T|V|L}[i]-<GiB>[u][o]-[<GB>][n|h|s|p][_hyp][_arch][_{G|g}<brand><generation>][_ib]

Source: SovereignCloudStack/standards, scs-0100-v4 and Tests/iaas/scs_0100_flavor_naming/flavor_names.py.
"""

from __future__ import annotations

import re
from typing import Any

from gpuctl.flavors.devices import find
from gpuctl.flavors.errors import BadCatalogue
from gpuctl.flavors.model import Gpus

PATTERN = re.compile(
    r"SCS-[1-9]\d*[CTVL]i?-(0|[1-9]\d*)(\.5)?u?o?(-([1-9]\d*x)?\d+[nhsp]?)?(_(kvm|xen|vmw|hyv|bms))?(_hwv)?(_[izar]\d*h*)?"
    r"(_[Gg][NAI][^\-h_]*(-\d+)?h*(-\d+h*)?)?(_ib)?"
)

# The letters that the grammar has, by alias. It has none for Hopper (g is GraceHopper) nor Blackwell.
_GENERATIONS = {
    "titanx": "Nm",
    "gtx1080": "Np",
    "gtx1080ti": "Np",
    "titanxp": "Np",
    "rtx2080ti": "Nt",
    "t4": "Nt",
    "rtx3090": "Na",
    "a10": "Na",
    "a30": "Na",
    "a40": "Na",
    "rtx4090": "Nl",
    "l4": "Nl",
    "l40s": "Nl",
    "mi210": "A2",
    "mi300x": "A3",
    "mi325x": "A3",
}


def scs_name(said: dict[str, Any], *, vcpus: int, ram: int, disk: int, gpus: tuple[Gpus, ...]) -> str:
    """Return the name; ``ram`` is MiB, ``disk`` GiB, ``said`` what the sizes do not tell.

    Raises:
        BadCatalogue: the grammar cannot say it, and why.
    """
    if ram % 512:
        raise BadCatalogue(f"SCS 0100 has no name for {ram} MiB of memory", resolution="take a multiple of 512 MiB")
    memory = f"{ram // 1024}" + (".5" if ram % 1024 else "")
    name = f"SCS-{vcpus}{said.get('cpu', 'V')}{'i' if said.get('insecure_smt') else ''}"
    name += f"-{memory}{'u' if said.get('no_ecc') else ''}{'o' if said.get('ram_oversubscribed') else ''}"
    if disk:
        name += f"-{disk}{said.get('disk', 'n')}"
    for key in ("hypervisor", "arch"):
        if key in said:
            name += f"_{said[key]}"
    name += _gpu_part(gpus)
    return name + ("_ib" if said.get("infiniband") else "")


def _gpu_part(gpus: tuple[Gpus, ...]) -> str:
    if not gpus:
        return ""
    plain = "give the flavor a plain `name` that does not begin with SCS-"
    if len(gpus) > 1 or gpus[0].count > 1:
        raise BadCatalogue(
            "SCS 0100 cannot say how many GPUs: one and several would have the same name", resolution=plain
        )
    alias = gpus[0].alias
    letters = _GENERATIONS.get(alias) or (
        "Nv" if alias.startswith("v100") else "Na" if alias.startswith("a100") else None
    )
    if letters is None:
        device = find(alias)
        raise BadCatalogue(
            f"SCS 0100 has no letter for {device.name if device else alias}",
            details="it has Fermi to Ampere and Ada Lovelace; for Hopper and Blackwell it has none",
            resolution=plain,
        )
    return f"_G{letters}"


def check_name(name: str) -> None:
    """Let a name pass that does not begin with SCS-, or follows the grammar, as the standard demands.

    Raises:
        BadCatalogue: a name that begins with SCS- and means nothing.
    """
    if name.startswith("SCS-") and not PATTERN.fullmatch(name):
        raise BadCatalogue(
            f"{name} begins with SCS- but is no name of SCS 0100",
            resolution="use `scs:` to have it made, or another prefix",
        )

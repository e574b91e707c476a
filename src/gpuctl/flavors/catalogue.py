"""Catalogues: YAML files, validated by the published JSON Schema and by what a schema cannot say."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuctl.flavors.data import schema_file
from gpuctl.flavors.devices import alias_of
from gpuctl.flavors.errors import BadCatalogue
from gpuctl.flavors.known import complaint
from gpuctl.flavors.model import ALIAS, OWNER, Cpu, Entry, Gpus, Numa
from gpuctl.flavors.positions import Place, read_yaml
from gpuctl.flavors.scs import check_name, scs_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from jsonschema.exceptions import ValidationError

SCHEMA = "gpuctl.flavor.catalogue/1"
_MIB = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}
_ALIAS_VALUE = re.compile(r"[^:,\s]+:[1-9]\d*(\s*,\s*[^:,\s]+:[1-9]\d*)*")
_MERGED = ("extra_specs", "traits", "aggregates", "numa", "cpu", "scs")  # a flavor's own keys beside the defaults'


def load(files: Iterable[Path]) -> tuple[Entry, ...]:
    """Return the flavors of several catalogues.

    Raises:
        BadCatalogue: with everything that is wrong in the first file that is wrong, or a flavor that is in two of them.
    """
    entries = tuple(entry for file in files for entry in load_file(file))
    for what in ("name", "id"):
        seen: dict[str, Entry] = {}
        for entry in entries:
            value = getattr(entry, what)
            if value is not None and value in seen:
                raise BadCatalogue(
                    f"{entry.source}: {what} {value} is taken by {seen[value].source}",
                    resolution="give one of them another",
                )
            seen[value] = entry
    return entries


def load_file(file: Path) -> tuple[Entry, ...]:
    """Return one catalogue's flavors."""
    document, lines = read_yaml(file)

    def where(place: Place) -> str:
        while place and place not in lines:
            place = place[:-1]
        return f"{file}:{lines.get(place, 1)}"

    return entries_of(document, where)


def entries_of(document: Any, where: Callable[[Place], str] = lambda _: "") -> tuple[Entry, ...]:  # noqa: ANN401 - any YAML
    """Return the flavors of a catalogue's document.

    Args:
        document: what YAML made of it.
        where: says "file:line" of a place.

    Raises:
        BadCatalogue: one line a mistake: where, what, what is allowed.
    """
    wrong = [
        f"{where(_place(error))}: {_path(error)}: {_said(error)}"
        for error in _leaves(_validator().iter_errors(document))
    ]
    if wrong:
        raise _bad(wrong)
    defaults = document.get("defaults", {})
    entries = []
    for index, own in enumerate(document["flavors"]):
        said = {
            **defaults,
            **own,
            **{key: {**defaults[key], **own[key]} for key in _MERGED if key in defaults and key in own},
        }
        place = where(("flavors", index))
        try:
            entries.append(_entry(said, document.get("catalogue"), place))
        except BadCatalogue as error:
            more = "".join(f"; {text}" for text in (error.details, error.resolution) if text)
            wrong.append(f"{place}: {said.get('name', 'the flavor')}: {error.brief}{more}")
    if wrong:
        raise _bad(wrong)
    return tuple(entries)


def _bad(wrong: list[str]) -> BadCatalogue:
    count = "a mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
    return BadCatalogue(
        f"{count} in the catalogue",
        details="\n".join(wrong),
        resolution="correct it; docs/reference/catalogue.md has every key",
    )


def mib(size: int | str) -> int:
    """Return MiB of 1024, "1 GiB" or "0.5 TiB".

    Raises:
        BadCatalogue: it is no whole number of MiB.
    """
    if isinstance(size, int):
        return size
    value = float(size[:-3]) * _MIB[size[-3:]]
    if value != int(value):
        raise BadCatalogue(f"{size} is no whole number of MiB")
    return int(value)


def _entry(said: dict[str, Any], catalogue: str | None, place: str) -> Entry:
    """Return one flavor, with what a schema cannot say looked at."""
    missing = [key for key in ("vcpus", "ram", "disk") if key not in said]
    if missing:
        raise BadCatalogue(
            f"{', '.join(missing)} missing", resolution="say it in the flavor or in the catalogue's defaults"
        )
    gpus = tuple(Gpus(one.get("alias") or alias_of(one["model"]), one["count"]) for one in said.get("gpus", ()))
    sizes = {"vcpus": said["vcpus"], "ram": mib(said["ram"]), "disk": said["disk"]}
    if not sizes["ram"]:
        raise BadCatalogue("ram is 0", resolution="Nova wants at least 1 MiB")
    if "name" not in said:
        said["name"] = scs_name(said["scs"], gpus=gpus, **sizes)
    check_name(said["name"])
    specs = {key: _text(value) for key, value in said.get("extra_specs", {}).items()}
    _check_specs(specs, said)
    numa = Numa(**said.get("numa", {}))
    if numa.gpu_affinity and not gpus and ALIAS not in specs:
        raise BadCatalogue("numa.gpu_affinity without gpus")
    if len({one.alias for one in gpus}) != len(gpus):
        raise BadCatalogue("an alias is in gpus twice", resolution="say the sum as one count")
    if said.get("public") and said.get("access") is not None:
        raise BadCatalogue("public and access exclude each other", resolution="a public flavor has no access list")
    return Entry(
        name=said["name"],
        catalogue=catalogue,
        **sizes,
        id=said.get("id"),
        ephemeral=said.get("ephemeral", 0),
        swap=mib(said.get("swap", 0)),
        gpus=gpus,
        hide_kvm=said.get("hide_kvm", False),
        numa=numa,
        cpu=Cpu(**said.get("cpu", {})),
        page_size=said.get("page_size"),
        locked_memory=said.get("locked_memory", False),
        address_bits=said.get("address_bits"),
        secure_boot=said.get("secure_boot"),
        traits=tuple(said.get("traits", {}).items()),
        aggregates=tuple(said.get("aggregates", {}).items()),
        extra_specs=tuple(specs.items()),
        public=said.get("public", False),
        access=tuple(said["access"]) if "access" in said else None,
        description=said.get("description"),
        source=place,
    )


def _check_specs(specs: dict[str, str], said: dict[str, Any]) -> None:
    """Refuse what Nova would refuse, and what it would take and not mean."""
    for key, value in specs.items():
        wrong = complaint(key)
        if wrong:
            raise BadCatalogue(wrong)
        if key == OWNER:
            raise BadCatalogue(f"{OWNER} is written by gpuctl", resolution="say `catalogue: NAME` at the top")
        if key == ALIAS and said.get("gpus"):
            raise BadCatalogue(f"{ALIAS} beside gpus", resolution="say it once, by gpus")
        if key == ALIAS and not _ALIAS_VALUE.fullmatch(value):
            raise BadCatalogue(
                f"{ALIAS}={value}: must be name:count[,name:count] with counts from 1",
                details="Nova takes a count of 0 and boots the server without a device",
            )


def _text(value: Any) -> str:  # noqa: ANN401 - a YAML scalar
    """Return an extra spec's value as Nova stores it: YAML's true is "true"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def _validator() -> Any:  # noqa: ANN401 - jsonschema's Validator has no usable type
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(schema_file().read_text(encoding="utf-8")))


def _leaves(errors: Iterable[ValidationError]) -> Iterable[ValidationError]:
    """Return the errors that say most: of alternatives the one that came nearest."""
    from jsonschema.exceptions import best_match

    for error in errors:
        if error.context:
            nearest = best_match([error])
            yield error if nearest is None or nearest.validator == "const" else nearest
        else:
            yield error


def _place(error: ValidationError) -> Place:
    return tuple(error.absolute_path)


def _path(error: ValidationError) -> str:
    """Return a place as people write it: flavors[2].gpus[0].count."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return text.removeprefix(".") or "the file"


def _said(error: ValidationError) -> str:
    """Return what is wrong and what is allowed."""
    import difflib

    if (
        error.validator == "additionalProperties"
        and isinstance(error.schema, dict)
        and isinstance(error.instance, dict)
    ):
        allowed = sorted(error.schema.get("properties", {}))
        strange = [key for key in error.instance if key not in allowed]
        near = [
            f"{key} (is {close[0]} meant?)" if (close := difflib.get_close_matches(key, allowed, 1)) else str(key)
            for key in strange
        ]
        return f"unknown: {', '.join(near)}; allowed: {', '.join(allowed)}"
    if error.validator == "enum" and isinstance(error.validator_value, list):
        return f"{error.instance!r} is not allowed; allowed: {', '.join(map(str, error.validator_value))}"
    if error.validator in {"oneOf", "anyOf"}:
        hint = error.schema.get("description") if isinstance(error.schema, dict) else None
        return f"{error.instance!r} fits none of what is allowed" + (f": {hint}" if hint else "")
    if error.validator == "pattern":
        return f"{error.instance!r} is not of the form {error.validator_value}"
    return str(error.message)


def owner(file: Path) -> str | None:
    """Return the name of a catalogue: the owner of its flavors."""
    name = read_yaml(file)[0].get("catalogue")
    return str(name) if name else None

"""Reading one -i: a list, an INI file, a YAML file, a folder of them; group_vars and host_vars beside it."""

from __future__ import annotations

import ast
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuctl.fleet import names
from gpuctl.fleet.errors import BadInventory
from gpuctl.fleet.inventory import SECRET, Draft, NeedsAnsible, Secret, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEFT_OUT = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")  # Ansible's
_YAML = (".yml", ".yaml", ".json")
_BESIDE = ("group_vars", "host_vars", "vars_plugins")
_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:[#;].*)?")
_SECTIONED = re.compile(r"(?:\s*(?:[#;].*)?\n)*\s*\[")  # what begins so is no YAML mapping
_VAULT = "$ANSIBLE_VAULT"
_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:]*(?:\[[^\]]*\][^:]*)*):(\d+)")


def read(source: str, draft: Draft) -> list[str]:
    """Add what one source says; return notes on what was left out.

    Raises:
        BadInventory: it cannot be read.
        NeedsAnsible: Ansible could read it.
    """
    if "," in source and not Path(source).exists():
        for name in filter(None, (part.strip() for part in source.split(","))):
            _host(draft, "ungrouped", name, {})
        return []
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            _folder(path, draft)
            return _beside(path, draft)  # of folders in it they are not read
        if not path.exists():
            raise BadInventory(
                f"no inventory {source}", resolution=f"-i FILE; for a single host with a comma: -i {source},"
            )
        _file(path, draft)
        return _beside(path.parent, draft)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInventory(f"cannot read the inventory {source}", details=str(error)) from error


def _folder(path: Path, draft: Draft) -> None:
    for file in sorted(path.iterdir()):
        if file.name in _BESIDE or file.name.startswith(".") or file.name.endswith(_LEFT_OUT):
            continue
        if file.is_dir():
            _folder(file, draft)
        else:
            _file(file, draft)


def _file(path: Path, draft: Draft) -> None:
    text = path.read_text("utf-8")
    if text.startswith(_VAULT):
        raise NeedsAnsible(f"{path} is vaulted")
    if text.startswith("#!") and os.access(path, os.X_OK):
        raise NeedsAnsible(f"{path} is an executable")
    if path.suffix in _YAML:
        _yaml(path, text, draft)
    elif path.suffix == ".toml":
        raise NeedsAnsible(f"{path} is TOML")
    elif not path.suffix and not _SECTIONED.match(text) and _is_mapping(path, text):
        _yaml(path, text, draft)
    else:
        _ini(path, text, draft)


def _is_mapping(path: Path, text: str) -> bool:
    try:
        return isinstance(parse_yaml(path, text), dict)
    except BadInventory:
        return False


# ---------------------------------------------------------------- INI


def _ini(path: Path, text: str, draft: Draft) -> None:
    section = ("ungrouped", "hosts")
    known, wanted = {"all", "ungrouped", *draft.groups}, dict[str, str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        try:
            before, section = section, _ini_line(draft, section, line)
        except (BadInventory, ValueError) as error:
            brief = error.brief if isinstance(error, BadInventory) else str(error)
            raise BadInventory(
                f"{path}:{number}: {brief}", details=_hidden(raw), resolution="see Ansible's INI inventories"
            ) from error
        if line[0] == "[" and section[1] != "vars":
            known.add(section[0])
        elif line[0] == "[" or before[1] == "children":
            wanted.setdefault(section[0] if line[0] == "[" else _child(line), f"{path}:{number}")
    for name, where in wanted.items():
        if name not in known:
            raise BadInventory(
                f"{where}: there is no group {name}", resolution=f"correct the name, or write [{name}] with its hosts"
            )


def _ini_line(draft: Draft, section: tuple[str, str], line: str) -> tuple[str, str]:
    """Take one line; return the section (group, kind) that the next one is in."""
    found = _SECTION.fullmatch(line)
    group, kind = section
    if found:
        group, kind = found[1], found[2] or "hosts"
        if kind not in ("hosts", "children", "vars"):
            raise BadInventory(f"there is no section of the kind :{kind}")
        draft.group(group)
    elif kind == "vars":
        name, equals, value = line.partition("=")
        if not equals:
            raise BadInventory("name=value is wanted")
        draft.group(group).variables.update(kept({name.strip(): _value(value.strip())}))
    elif kind == "children":
        child = _child(line)
        draft.group(group).children[child] = None
        draft.group(child)
    else:
        _ini_host(draft, group, line)
    return group, kind


def _child(line: str) -> str:
    return line.split("#", 1)[0].strip()


def _ini_host(draft: Draft, group: str, line: str) -> None:
    word, *rest = shlex.split(line, comments=True)
    variables = {}
    for pair in rest:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInventory(f"name=value is wanted, not {name!r}")
        variables[name] = _value(value)
    _host(draft, group, word, variables)


def _hidden(line: str) -> str:
    """A line to be shown: without what stands after an equals sign, which may be a password."""
    return re.sub(r"=\S.*", "=...", line.strip())


def _value(text: str) -> object:
    """An INI value as Ansible takes it: a Python literal, else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _host(draft: Draft, group: str, word: str, variables: dict[str, Any]) -> None:
    """Add the hosts that a word means; it may end in :port."""
    port = _PORT.fullmatch(word)
    if port and word.count(":") - sum(part.count(":") for part in re.findall(r"\[[^\]]*\]", word)) == 1:
        word, variables = port[1], {"ansible_port": int(port[2]), **variables}
    if re.fullmatch(r"\[[0-9A-Fa-f:.]+\]", word) and word.count(":") > 1:
        word = word.strip("[]")
    for name in names.expand(word):
        draft.group(group).hosts[name] = None
        draft.host(name, variables)


# ---------------------------------------------------------------- YAML


def parse_yaml(path: Path, text: str) -> object:
    """Return a YAML file's value; vaulted scalars become SECRET, whatever else has a tag Ansible has to read.

    Raises:
        BadInventory: it is no YAML.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """YAML with Ansible's tags."""

    Loader.add_constructor("!vault", lambda *_: SECRET)
    Loader.add_constructor("!vault-encrypted", lambda *_: SECRET)
    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise BadInventory(f"{where}: this is no YAML", details=str(getattr(error, "problem", "") or "")) from error


def _yaml(path: Path, text: str, draft: Draft) -> None:
    document = parse_yaml(path, text)
    if document is None:
        return
    if not isinstance(document, dict):
        raise BadInventory(f"{path} is no inventory", resolution="its top is a mapping of groups: all: {hosts: ...}")
    if "plugin" in document:
        raise NeedsAnsible(f"{path} is for the plugin {document['plugin']}")
    for name, body in document.items():
        _yaml_group(path, str(name), body, draft)


def _yaml_group(path: Path, name: str, body: object, draft: Draft) -> None:
    group = draft.group(name)
    if body is None:
        return
    if not isinstance(body, dict):
        raise BadInventory(f"{path}: the group {name} is no mapping", resolution="hosts, children and vars go below it")
    for key, value in body.items():
        if value is None:
            continue
        if key not in ("hosts", "children", "vars"):
            raise BadInventory(
                f"{path}: {key!r} in the group {name} means nothing", resolution="hosts, children and vars go below it"
            )
        if isinstance(value, str) and key == "hosts":
            value = {value: None}  # noqa: PLW2901 - as Ansible takes it
        if not isinstance(value, dict):
            raise BadInventory(f"{path}: {key} of the group {name} is no mapping")
        if key == "vars":
            group.variables.update(kept(value))
            continue
        for item, inner in value.items():
            if key == "children":
                group.children[str(item)] = None
                _yaml_group(path, str(item), inner, draft)
            else:
                _host(draft, name, str(item), dict(inner or {}))


# ---------------------------------------------------------------- group_vars, host_vars


def _beside(folder: Path, draft: Draft) -> list[str]:
    notes: list[str] = []
    for name in list(draft.groups) or ["all"]:
        variables = _variables(folder / "group_vars" / name, notes)
        if variables:
            draft.group(name).more.update(variables)
    variables = _variables(folder / "group_vars" / "all", notes)
    draft.group("all").more.update(variables)
    if (folder / "host_vars").is_dir():
        for host in draft.hosts:
            variables = _variables(folder / "host_vars" / host, notes)
            if variables:
                draft.more.setdefault(host, {}).update(variables)
    return list(dict.fromkeys(notes))


def _variables(base: Path, notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in _files(base):
        text = path.read_text("utf-8")
        if text.startswith(_VAULT):
            notes.append(f"{path} is vaulted: what it says of connections is not known here")
            continue
        document = parse_yaml(path, text)
        if isinstance(document, dict):
            found.update(kept(document))
    return {name: SECRET if isinstance(value, Secret) else value for name, value in found.items()}


def _files(base: Path) -> Iterator[Path]:
    """The variable files of one name: the first that is there of NAME, NAME.yml, ...; of a folder all in it."""
    for suffix in ("", *_YAML):
        path = base.with_name(base.name + suffix)
        if path.exists():
            yield from _inside(path)
            return


def _inside(path: Path) -> Iterator[Path]:
    """A file, or a folder's files and those of its folders, as Ansible finds them (find_vars_files)."""
    if not path.is_dir():
        yield path
        return
    for one in sorted(path.iterdir()):
        suffixes = ("",) if one.is_dir() else ("", *_YAML)
        if one.suffix in suffixes and not one.name.startswith(".") and not one.name.endswith("~"):
            yield from _inside(one)

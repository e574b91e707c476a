"""YAML with the line of everything in it, and without keys that silently replace one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.flavors.errors import BadCatalogue

if TYPE_CHECKING:
    from pathlib import Path

Place = tuple[str | int, ...]


def read_yaml(file: Path) -> tuple[Any, dict[Place, int]]:
    """Return a YAML file's content, and the line of each place in it.

    Raises:
        BadCatalogue: it cannot be read, is not YAML, or a key is in one mapping twice (PyYAML lets it pass).
    """
    import yaml

    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogue(f"{file}: cannot be read", details=str(error)) from error
    loader = loader_class(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadCatalogue(f"{file}: empty", resolution="a catalogue has at least `schema` and `flavors`")
        lines: dict[Place, int] = {}
        _walk(node, (), lines, file)
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        raise BadCatalogue(f"{file}: not YAML", details=str(error)) from error
    finally:
        loader.dispose()


def _walk(node: Any, place: Place, lines: dict[Place, int], file: Path) -> None:  # noqa: ANN401 - a yaml.Node
    """Note the line of a node and of all below it."""
    import yaml

    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadCatalogue(
                    f"{file}:{key.start_mark.line + 1}: {key.value} is there twice", resolution="remove one of the two"
                )
            seen.add(key.value)
            _walk(value, (*place, key.value), lines, file)
            lines[(*place, key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*place, index), lines, file)

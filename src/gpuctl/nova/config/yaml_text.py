"""YAML as deployment tools read it: every text quoted where it could be taken for a number, blocks left readable."""

from __future__ import annotations

from typing import Any


class Block(str):
    """Text that is written as a literal block (|)."""

    __slots__ = ()


def yaml_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return ``value`` as YAML; ids such as 0071 and 1e10 stay text, because PyYAML quotes what would read as a number.

    1e10 needs care: YAML 1.1 as PyYAML reads it says text, Go's and Ruby's parsers say a number. So every text value
    below a key that holds an id is quoted.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's own
            super().increase_indent(flow, indentless=False)

        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's own
            # The same list twice is written twice: anchors are hard on whoever edits the file.
            return True

    def block(dumper: yaml.SafeDumper, text: Block) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")

    def text(dumper: yaml.SafeDumper, word: str) -> yaml.Node:
        style = '"' if word[:1].isdigit() or word.startswith(("{", "[")) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", word, style="'" if style and '"' in word else style)

    Dumper.add_representer(Block, block)
    Dumper.add_representer(str, text)
    rendered: str = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=10_000, allow_unicode=True
    )
    return rendered

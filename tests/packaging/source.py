"""The sources as the import rules see them: which file imports what when it runs, and which calls it makes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST_HALF = ROOT / "host_prep" / "gpuctl_host"
OPERATOR_HALF = ROOT / "src" / "gpuctl"


@dataclass(frozen=True)
class Import:
    """One import that happens at run time (not below `if TYPE_CHECKING`)."""

    line: int
    module: str  # "gpuctl_host.facts.model"; for `from x import y` both x and, as `x.y`, what may be a module
    names: tuple[str, ...]
    guarded: bool  # inside a try that catches ImportError, or in a function: its absence is survived


class Source:
    """One file, parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = path.relative_to(ROOT).as_posix()
        self.tree = ast.parse(path.read_text("utf-8"), str(path))

    @property
    def room(self) -> str:
        """The folder below its half ("facts"), or the module's own name for a file beside them ("host.py")."""
        half = HOST_HALF if self.path.is_relative_to(HOST_HALF) else OPERATOR_HALF
        return self.path.relative_to(half).parts[0]

    def imports(self) -> Iterator[Import]:
        """Every import that runs."""
        yield from _imports(self.tree.body, guarded=False)

    def calls(self) -> Iterator[tuple[int, str, ast.Call]]:
        """Every call, as (line, "os.rename" or ".write_text" or "open", node)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node.lineno, _name(node.func), node


def sources(half: Path) -> list[Source]:
    """Every file of one half; what is bundled from elsewhere is not ours to judge."""
    return [
        Source(path) for path in sorted(half.rglob("*.py")) if "_vendor" not in path.parts and "_data" not in path.parts
    ]


def _imports(body: list[ast.stmt], *, guarded: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, (), guarded)
        elif isinstance(node, ast.ImportFrom):
            yield Import(
                node.lineno, "." * node.level + (node.module or ""), tuple(a.name for a in node.names), guarded
            )
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse, guarded=guarded)
        else:
            catches = isinstance(node, ast.Try) and any(_survives(handler) for handler in node.handlers)
            inner = guarded or catches or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for field in ("body", "handlers", "orelse", "finalbody"):
                yield from _imports(getattr(node, field, []), guarded=inner)


def _survives(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or any(
        name in ast.unparse(handler.type) for name in ("ImportError", "ModuleNotFoundError", "Exception")
    )


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else f".{node.attr}"
    return ""

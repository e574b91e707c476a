"""The generated pages are those of this code, and every command that a page names can be typed."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import click
import pytest

from gpuctl.cli.main import gpuctl
from tests.docs.pages import ROOT, Said, commands, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*(\.\.\.)?|\.\.\.|…|\[.*|.*\]|.*\|.*")


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("tree", ["checks", "nova-checks", "cli"])
def test_generated_pages_are_up_to_date(tree):
    assert generator().stale(tree)[1] == [], "run .venv/bin/python docs/generate.py"


def test_every_finding_of_a_host_has_its_page():
    from gpuctl_host.checks.registry import CHECKS

    made = generator().host_checks()
    assert all(PurePosixPath(check.doc).name in made for check in CHECKS)


def options_of(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Option]]:
    """Each option of a command and of those below it, with the command's words."""
    yield from ((context.command_path, one) for one in command.get_params(context) if isinstance(one, click.Option))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from options_of(below, click.Context(below, info_name=name, parent=context))


def test_every_option_says_what_it_is_for_and_is_on_its_page():
    found = [*options_of(gpuctl, click.Context(gpuctl, info_name="gpuctl", **gpuctl.context_settings))]
    assert len(found) > 400
    assert [(path, one.opts) for path, one in found if not one.help] == []
    for path, one in found:
        words = path.split()
        if len(words) > 1 and one.name not in generator().EVERYWHERE and "--help" not in one.opts:
            page = (ROOT / f"docs/reference/cli/{words[1]}.md").read_text("utf-8")
            section = page.partition(f"\n## {path}\n")[2].partition("\n## ")[0] if len(words) > 2 else page
            assert one.opts[-1] in section, f"{path} {one.opts[-1]} is not on its page"


def test_pages_are_found():
    assert len(pages()) > 100
    assert len([one for one in commands() if one.shown]) > 30


@pytest.mark.parametrize("said", commands(), ids=str)
def test_a_command_of_the_docs_exists(said: Said):
    """Groups, commands and options are real; in a block of its own, all of the line is taken."""
    context = click.Context(gpuctl, info_name="gpuctl", **gpuctl.context_settings)
    command: click.Command = gpuctl
    words = list(said.words[1:])
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if PLACEHOLDER.fullmatch(words[0]):
            return  # `gpuctl host ...` names a group
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no {' '.join(said.words)}"
        context = click.Context(found, info_name=words[0], parent=context)
        command = found
        words.pop(0)
    known = {name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)}
    for word in words:
        if word.startswith("-") and word != "-" and not re.fullmatch(r"-\d+", word):
            assert word.partition("=")[0].rstrip(",.;:)") in known, f"{word} is no option of {context.command_path}"
    if said.shown and not any(PLACEHOLDER.fullmatch(word) for word in words) and not isinstance(command, click.Group):
        try:
            # Parsed as it stands; a file that does not exist here is no fault of the page.
            command.make_context(context.info_name, list(words), parent=context.parent, resilient_parsing=False)
        except click.exceptions.Exit:
            pass  # --help
        except click.BadParameter as error:
            assert "does not exist" in error.format_message(), f"{said}: {error.format_message()}"

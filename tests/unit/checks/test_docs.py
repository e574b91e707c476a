"""The pages are generated, and up to date."""

from __future__ import annotations

import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]


def generator():
    spec = importlib.util.spec_from_file_location("generate_checks", ROOT / "docs" / "generate_checks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_up_to_date():
    assert generator().stale() == [], "run python docs/generate_checks.py"


def test_every_findings_doc_is_a_page():
    pages = generator().pages()
    assert all(pathlib.PurePosixPath(check.doc).name in pages for check in generator().CHECKS)

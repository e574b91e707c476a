"""docs/reference/audit.md is that of this code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parents[4] / "docs"


def test_the_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("generate_audit", DOCS / "generate_audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "reference" / "audit.md").read_text("utf-8") == module.page(), "run docs/generate_audit.py"

"""Documents for programs: JSON (the interface) and YAML (the same, for people who edit)."""

from __future__ import annotations

import json
from typing import Any


def render(document: Any, form: str) -> str:  # noqa: ANN401 - any JSON value
    """Return ``document`` as "json" or "yaml" text that ends with a newline."""
    if form == "yaml":
        import yaml  # slow to import, seldom asked for

        text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
        return text
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

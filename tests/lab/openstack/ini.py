"""Configuration files as data: sections of options; a list is an option given several times (oslo's MultiStrOpt)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Value = str | list[str]
Config = dict[str, dict[str, Value]]
# None takes an option away.
Overrides = Mapping[str, Mapping[str, Value | None]]


def merged(config: Config, overrides: Overrides) -> Config:
    """The configuration with the overrides laid over it: a list replaces the whole list."""
    result = {section: dict(options) for section, options in config.items()}
    for section, options in overrides.items():
        target = result.setdefault(section, {})
        for option, value in options.items():
            if value is None:
                target.pop(option, None)
            else:
                target[option] = value
    return result


def render(config: Config) -> str:
    """The file's text."""
    lines: list[str] = []
    for section, options in config.items():
        lines.append(f"[{section}]")
        for option, value in options.items():
            # A single `$` would be taken for a reference to another option.
            lines += [
                f"{option} = {item.replace('$', '$$')}" for item in ([value] if isinstance(value, str) else value)
            ]
        lines.append("")
    return "\n".join(lines)


def write(path: Path, config: Config) -> None:
    """The file holds the configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(config), encoding="utf-8")

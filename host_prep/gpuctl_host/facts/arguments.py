"""A kernel command line, split as the kernel splits it (lib/cmdline.c, next_arg)."""

from __future__ import annotations

_BLANK = " \t\n\v\f\r\xa0"  # isspace() of the kernel's ctype table


def split_arguments(text: str) -> tuple[str, ...]:
    """Return the arguments of a command line.

    Blanks inside double quotes do not end an argument; the quotes around a whole argument or around its value are
    taken away, all others stay.
    """
    found = []
    at, end = 0, len(text)
    while at < end:
        if text[at] in _BLANK:
            at += 1
            continue
        start, quoted = at, False
        while at < end and (quoted or text[at] not in _BLANK):
            if text[at] == '"':
                quoted = not quoted
            at += 1
        found.append(_unquoted(text[start:at]))
    return tuple(found)


def _unquoted(argument: str) -> str:
    if '"' not in argument:
        return argument
    if argument.startswith('"'):
        argument = argument[1:]
        return argument.removesuffix('"')
    name, equals, value = argument.partition("=")
    if equals and value.startswith('"'):
        value = value[1:]
        value = value.removesuffix('"')
    return name + equals + value

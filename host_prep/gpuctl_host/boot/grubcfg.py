"""The generated grub.cfg: what GRUB will start, read from where it counts."""

from __future__ import annotations

import re

from gpuctl_host.data import frozen

_RECOVERY = frozenset({"single", "recovery", "rescue", "emergency", "systemd.unit=rescue.target", "1", "S"})
_ID = re.compile(r"(?:\$menuentry_id_option|--id)\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))")
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+)")
_DEFAULT = re.compile(r"^[ \t]*set default=(?:\"([^\"\n]*)\"|'([^'\n]*)'|(\S*))", re.MULTILINE)
_RELEASE = re.compile(r"(?:vmlinuz|vmlinux|linux|kernel|Image|bzImage)-(.+?)(?:\.efi|\.gz|\.signed)?$")


@frozen
class MenuEntry:
    """One menuentry with a linux line."""

    number: str  # "0", or "1>2" inside a submenu
    titles: tuple[str, ...]  # the title, and the titles of the submenus around it
    ids: tuple[str, ...]  # likewise
    kernel: str  # path as GRUB has it
    cmdline: tuple[str, ...]
    initrds: tuple[str, ...]

    @property
    def release(self) -> str | None:
        """The kernel's release, from its file's name."""
        return release_of(self.kernel)

    @property
    def recovery(self) -> bool:
        """Whether it is a way out for when the normal entry does not boot."""
        return bool(_RECOVERY & set(self.cmdline)) or "recovery" in self.titles[0].lower()

    def is_default(self, default: str) -> bool:
        """Say whether ``default`` (GRUB's variable) names this entry: by number, title or id, submenus with `>`."""
        return default in (
            self.number,
            self.titles[0],
            self.ids[0],
            ">".join(reversed(self.titles)),
            ">".join(reversed(self.ids)),
        )


def release_of(kernel: str) -> str | None:
    """Return the release in a kernel file's name, or None ("/boot/vmlinuz-6.1.0-56-amd64" -> "6.1.0-56-amd64")."""
    found = _RELEASE.match(kernel.rpartition("/")[2])
    return found.group(1) if found else None


def words(line: str) -> tuple[str, ...]:
    """Return the words of a line as GRUB's script reader takes them; variables are empty, as unset ones are."""
    found: list[str] = []
    now: list[str] = []
    inside = False  # a word has begun, be it empty
    mark = ""
    index = 0
    while index < len(line):
        char = line[index]
        if char == "\\" and mark != "'" and index + 1 < len(line):
            index += 1
            now.append(line[index])
            inside = True
        elif mark and char == mark:
            mark = ""
        elif not mark and char in "'\"":
            mark = char
            inside = True
        elif char == "$" and mark != "'" and (variable := _VARIABLE.match(line, index)):
            index = variable.end() - 1
        elif not mark and char.isspace():
            if inside:
                found.append("".join(now))
            now, inside = [], False
        else:
            now.append(char)
            inside = True
        index += 1
    if inside:
        found.append("".join(now))
    return tuple(found)


def default_name(text: str, environment: dict[str, str]) -> str:
    """Return what the variable `default` will be; "0" if nothing says."""
    if environment.get("next_entry"):
        return environment["next_entry"]
    found = ""
    for match in _DEFAULT.finditer(text):
        found = match.group(1) or match.group(2) or match.group(3) or ""
        if "next_entry" in found:
            found = ""
    if "saved_entry" in found:
        found = environment.get("saved_entry", "")
    return found or "0"


def parse(text: str) -> tuple[MenuEntry, ...]:
    """Return the entries of a grub.cfg, in order."""
    found: list[MenuEntry] = []
    stack: list[tuple[str, str, str, int]] = []  # (title, id, number, depth of braces inside it)
    counts = [0]
    depth = 0
    kernel: tuple[str, ...] = ()
    initrds: tuple[str, ...] = ()
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith(("menuentry ", "submenu ")):
            parts = words(stripped)
            title = parts[1] if len(parts) > 1 else ""
            marked = _ID.search(stripped)
            name = next((group for group in marked.groups() if group), title) if marked else title
            number = ">".join([*(item[2] for item in stack[-1:]), str(counts[-1])])
            counts[-1] += 1
            depth += 1
            stack.append((title, name, number, depth))
            counts.append(0)
            kernel, initrds = (), ()
        elif stripped == "}" and stack and stack[-1][3] == depth:
            if kernel:
                titles = tuple(item[0] for item in reversed(stack))
                ids = tuple(item[1] for item in reversed(stack))
                found.append(MenuEntry(stack[-1][2], titles, ids, kernel[0], kernel[1:], initrds))
            stack.pop()
            counts.pop()
            depth -= 1
            kernel, initrds = (), ()
        elif stripped.endswith("{"):
            depth += 1
        elif stripped == "}":
            depth = max(depth - 1, 0)
        elif stack and (found_line := re.match(r"(linux|linuxefi|linux16|initrd|initrdefi|initrd16)\s+(.*)", stripped)):
            parts = words(found_line.group(2))
            if found_line.group(1).startswith("linux"):
                kernel = parts
            else:
                initrds = parts
    return tuple(found)

"""Udev: the rules below /etc/udev/rules.d, the subset that a PCI rule of ours can use. An unknown key is an error here."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Callable

from .bus import Device, Refusal
from .kernel import Kernel
from .react import Reacting

if TYPE_CHECKING:
    from .kmod import Kmod

TOKEN = re.compile(r'\s*([A-Z]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|:=|-=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
Token = tuple[str, str, str, str]


class RuleError(AssertionError):
    """A rule uses what is not simulated, or cannot be parsed: a test must not pass over it."""


def parse(text: str) -> list[list[Token]]:
    """Return the rules of one file, each a list of (key, attribute, operator, value)."""
    rules = []
    for line in map(str.strip, text.replace("\\\n", "").splitlines()):
        if not line or line.startswith("#"):
            continue
        at, tokens = 0, []
        while at < len(line):
            found = TOKEN.match(line, at)
            if not found:
                raise RuleError(f"cannot parse udev rule at {line[at:]!r}")
            tokens.append((found.group(1), found.group(2) or "", found.group(3), found.group(4).replace('\\"', '"')))
            at = found.end()
        rules.append(tokens)
    return rules


class Udev:
    """Works through the rules for one event, as systemd-udevd does: matches, assignments at once, RUN at the end.

    Args:
        rules: path -> content.
        run: what a RUN of a program does; by default only modprobe is known.
    """

    def __init__(
        self, kernel: Kernel, kmod: Kmod, rules: Mapping[str, bytes], run: Callable[[list[str]], None] | None = None
    ) -> None:
        self.kernel = kernel
        self.kmod = kmod
        self._run = run or self._program
        chosen: dict[str, bytes] = {}
        for path in sorted(rules, key=lambda item: (not item.startswith("/etc"), item)):
            chosen.setdefault(path.rpartition("/")[2], rules[path])
        self.files = [(name, parse(chosen[name].decode("utf-8", "replace"))) for name in sorted(chosen)]

    def event(self, action: str, device: Device, *, synthetic: bool = False) -> None:
        """The rules have had their say on ``action``; then the stock 80-drivers.rules loads by modalias on an add.

        Args:
            synthetic: the event was asked for (`udevadm trigger`), so that it has a SYNTH_UUID; the kernel's own have none.
        """
        late: list[str] = []
        self._env: dict[str, str] = {"SYNTH_UUID": "0"} if synthetic else {}
        for _, rules in self.files:
            self._file(rules, action, device, late)
        if self.kernel.devices.get(device.function.address) is not device:
            return
        event = dict(self._env)
        for command in late:  # in the order of the rules: ours before 80-drivers.rules
            self._env = dict(event)  # a bind on the way has had an event of its own
            self._run(shlex.split(command))
        if action == "add":  # 80-drivers.rules: ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load '$env{MODALIAS}'"
            self.kmod.by_alias(device.function.modalias)

    def _file(self, rules: list[list[Token]], action: str, device: Device, late: list[str]) -> None:
        skip_to = ""
        for tokens in rules:
            labels = [value for key, _, _, value in tokens if key == "LABEL"]
            if skip_to:
                if skip_to in labels:
                    skip_to = ""
                else:
                    continue
            if not all(
                self._matches(token, action, device)
                for token in tokens
                if token[2] in ("==", "!=") or token[0] == "TEST"
            ):
                continue
            for key, attribute, operator, value in tokens:
                if operator in ("==", "!=") or key in ("LABEL", "TEST"):
                    continue
                if key == "GOTO":
                    skip_to = value
                elif key == "ATTR":
                    self._assign(device, attribute, self._expand(value, device))
                elif key == "IMPORT" and attribute == "cmdline":
                    for word in self.kernel.cmdline.split():
                        name, _, said = word.partition("=")
                        if name == value:
                            self._env[name] = said or "1"
                elif key == "RUN":
                    late.append(("kmod-builtin " if attribute == "builtin" else "") + self._expand(value, device))
                elif key not in ("ENV", "TAG", "OPTIONS", "MODE", "OWNER", "GROUP"):
                    raise RuleError(f"udev key {key} is not simulated")

    def _matches(self, token: Token, action: str, device: Device) -> bool:
        key, attribute, operator, value = token
        function = device.function
        if key == "TEST":
            there = self.kernel.tree.exists(value if value.startswith("/") else f"{device.path}/{value}")
            return there == (operator != "!=")
        if key == "ACTION":
            have = action
        elif key in ("SUBSYSTEM", "SUBSYSTEMS"):
            have = "pci"
        elif key in ("KERNEL", "KERNELS"):
            have = function.address
        elif key in ("DRIVER", "DRIVERS"):
            have = device.driver or ""
        elif key == "DEVPATH":
            have = device.path[len("/sys") :]
        elif key in ("ATTR", "ATTRS"):
            raw = self.kernel.tree.read(f"{device.path}/{attribute}")
            if raw is None:
                return operator == "!="
            have = raw.decode().rstrip()
        elif key == "ENV":
            known = {
                "MODALIAS": function.modalias,
                "PCI_SLOT_NAME": function.address,
                "DRIVER": device.driver or "",
                "PCI_ID": f"{function.vendor}:{function.device}".upper(),
                "PCI_SUBSYS_ID": f"{function.subvendor}:{function.subdevice}".upper(),
            }
            have = self._env.get(attribute, known.get(attribute, ""))
        else:
            raise RuleError(f"udev match {key} is not simulated")
        return any(fnmatch.fnmatchcase(have, pattern) for pattern in value.split("|")) == (operator == "==")

    def _expand(self, value: str, device: Device) -> str:
        value = value.replace("$kernel", device.function.address).replace("%k", device.function.address)
        value = (
            value.replace("$sys", "/sys")
            .replace("%S", "/sys")
            .replace("$devpath", device.path[4:])
            .replace("%p", device.path[4:])
        )
        return re.sub(r"\$env\{MODALIAS\}", device.function.modalias, value).replace("$$", "$").replace("%%", "%")

    def _assign(self, device: Device, attribute: str, value: str) -> None:
        try:
            self.kernel.write(f"{device.path}/{attribute}", value)
        except Refusal as refusal:  # udevd logs it and goes on
            self.kernel.log.append(f"udev: {device.function.address} {attribute}: {refusal}")

    def _program(self, argv: list[str]) -> None:
        if argv[0] == "kmod-builtin":
            if argv[1:3] != ["kmod", "load"]:
                raise RuleError(f"udev builtin {argv[1:]} is not simulated")
            for name in argv[3:]:
                self.kmod.insert(name, obey_blacklist=True)
        elif argv[0].rpartition("/")[2] == "modprobe":
            for name in argv[1:]:
                if not name.startswith("-"):
                    self.kmod.insert(name, obey_blacklist="-b" in argv[1:])
        elif argv[0] == "/bin/sh" and argv[1] == "-c":
            Reacting(self.kernel, self.kmod).run(argv[2] + "\n", env=self._env, roots={})
        else:
            raise RuleError(f"udev RUN {argv} is not simulated")

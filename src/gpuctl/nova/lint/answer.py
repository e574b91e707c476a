"""What a check of a configuration is, and the four answers it can give: the grammar of `gpuctl host check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuctl.nova.lint.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PASS, WARN, FAIL, SKIP = "pass", "warn", "fail", "skip"


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding before the registry puts its check's id and page on it.

    Attributes:
        status: pass, warn, fail, or skip: it could not be known, or does not apply.
        subject: which service (nova, compute, compute.HOST, api, ...), or host/address.
        title: what is the case, in a line.
        evidence: the option, its value, its file and line.
        fix: one thing that a person can do now.
    """

    status: str
    subject: str
    title: str
    evidence: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a configuration, with what its page says.

    Attributes:
        id: stable name.
        run: asks; yields what is wrong, or cannot be known; nothing at all is a pass.
        title: the question, in a few words.
        answers: when it fails and when it warns.
        matters: what Nova does then.
        remedy: what to do about it.
        sources: where this is known from.
    """

    id: str
    run: Callable[[View], Iterable[Answer]]
    title: str
    answers: str
    matters: str
    remedy: str
    sources: tuple[str, ...]

    @property
    def doc(self) -> str:
        """The check's page, relative to docs/."""
        return f"reference/nova-checks/{self.id}.md"


def check(
    name: str, title: str, *, answers: str, matters: str, remedy: str, sources: tuple[str, ...]
) -> Callable[[Callable[[View], Iterable[Answer]]], Check]:
    """Make a function a Check."""

    def made(run: Callable[[View], Iterable[Answer]]) -> Check:
        return Check(name, run, title, answers, matters, remedy, sources)

    return made


def warned(subject: str, title: str, evidence: str, fix: str) -> Answer:
    """The answer that it works today, but not as somebody expects."""
    return Answer(WARN, subject, title, evidence, fix)


def failed(subject: str, title: str, evidence: str, fix: str) -> Answer:
    """The answer that it cannot work like this."""
    return Answer(FAIL, subject, title, evidence, fix)


def skipped(subject: str, title: str, evidence: str, fix: str = "") -> Answer:
    """The answer that it could not be known."""
    return Answer(SKIP, subject, title, evidence, fix)

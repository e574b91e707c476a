"""What a check is, and the four answers it can give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl_host.data import frozen
from gpuctl_host.finding import FAIL, PASS, SKIP, WARN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuctl_host.checks.view import View

HOST = "host"


@frozen
class Answer:
    """A finding before the registry puts its check's id and page on it."""

    status: str
    subject: str
    title: str
    evidence: str
    fix: str = ""


@frozen
class Check:
    """One question about a host, with what its page says.

    Attributes:
        id: stable name (CONTRACT: the table of ids).
        run: asks; yields one answer a subject.
        title: the question, in a few words.
        answers: when it fails and when it warns.
        looks_at: what is read.
        matters: why anybody should care.
        remedy: what to do about it.
        sources: where this is known from.
    """

    id: str
    run: Callable[[View], Iterable[Answer]]
    title: str
    answers: str
    looks_at: str
    matters: str
    remedy: str
    sources: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        """The check's page, relative to docs/."""
        return f"reference/checks/{self.id}.md"


def passed(subject: str, title: str, evidence: str) -> Answer:
    """The answer that all is well, with what was looked at."""
    return Answer(PASS, subject, title, evidence)


def warned(subject: str, title: str, evidence: str, fix: str) -> Answer:
    """The answer that it works today, but not safely."""
    return Answer(WARN, subject, title, evidence, fix)


def failed(subject: str, title: str, evidence: str, fix: str) -> Answer:
    """The answer that it cannot work like this."""
    return Answer(FAIL, subject, title, evidence, fix)


def skipped(subject: str, title: str, evidence: str, fix: str = "") -> Answer:
    """The answer that it could not be known, or does not apply here."""
    return Answer(SKIP, subject, title, evidence, fix)

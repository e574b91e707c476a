"""What is found, and what a person is to run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement for the operator to run; gpuctl never writes to a database.

    Attributes:
        sql: with every value in it, and a WHERE that does nothing once it is no longer right.
        guard: a SELECT that shows, beforehand, that the statement is (still) right, and what it must show.
        check: how to see afterwards that it took effect.
        why: in one sentence.
    """

    sql: str
    guard: str
    check: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The grammar of `host check`, for moves: what was found, shown by what, mended how.

    Attributes:
        id: stable, kebab-case.
        status: pass, warn, fail or skip.
        subject: a server's uuid, or host/address, or a host.
    """

    id: str
    status: str
    subject: str
    title: str
    evidence: str
    fix: str = ""
    doc: str = ""

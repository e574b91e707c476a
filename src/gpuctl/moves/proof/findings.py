"""The findings of a proof and of a check, about one server."""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.moves.model import Books, Finding


@dataclass(frozen=True)
class Say:
    """Makes the findings about one server; what fails sends to `instance recover`."""

    server: str

    def good(self, name: str, title: str, evidence: str) -> Finding:
        """It is as it must be."""
        return Finding(name, "pass", self.server, title, evidence)

    def fail(self, name: str, title: str, evidence: str) -> Finding:
        """It is not as it must be."""
        return Finding(name, "fail", self.server, title, evidence, f"gpuctl instance recover {self.server}")

    def skip(self, name: str, title: str, evidence: str) -> Finding:
        """It could not be seen."""
        return Finding(name, "skip", self.server, title, evidence)


def why_unseen(books: Books, view: str) -> str:
    """Return why a view was not had."""
    found = next((one for one in books.unseen if view in one.view or one.view == "hosts"), None)
    return found.why if found else "not read"

"""What a step of a move does to the world: looks, proofs, and the requests, each in the journal before it is sent."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuctl.cloud_errors import CloudError, NotAuthorised, Rejected, Uncertain, Unreachable
from gpuctl.moves.move import LOST, REFUSED, TAKEN, UNSENT, Sent
from gpuctl.moves.ways.steps import Ask, Check, Look, Prove, Right, Step
from gpuctl.moves.ways.traces import unended

if TYPE_CHECKING:
    from gpuctl.moves.engine import Reader
    from gpuctl.moves.nova_api import NovaApi
    from gpuctl.moves.placement_api import PlacementApi
    from gpuctl.moves.running import Running
    from gpuctl.moves.watch import Watch


@dataclass
class Conduct:
    """Does what a way says, for one move at a time; called from several threads, never twice for one move."""

    cloud: str
    api: NovaApi
    watch: Watch
    reader: Reader
    placement: PlacementApi | None

    def name(self, step: Step) -> str:
        """Return a step's name for people."""
        if isinstance(step, Ask):
            return step.name
        return {Look: "look", Prove: "proof", Check: "check", Right: "allocation"}.get(type(step), "wait")

    def do(self, one: Running, step: Step) -> None:
        """The step was done, and what it showed is in ``one``."""
        if isinstance(step, Look):
            self._look(one, step)
        elif isinstance(step, Prove):
            self._prove(one)
        elif isinstance(step, Check):
            self._check(one)
        elif isinstance(step, Right):
            self._right(one)
        elif isinstance(step, Ask):
            self._ask(one, step)

    # ------------------------------------------------------------ looking

    def _look(self, one: Running, step: Look) -> None:
        fresh = not one.track.sent and one.unseen
        sight = self.watch.closely(one.track, rows=step.rows, events=not fresh)
        if fresh:  # what the server's history is before the move: nothing of it will be taken for ours
            known = frozenset(record.id for record in sight.migrations)
            requests = frozenset(action.request for action in sight.actions or ())
            one.track = replace(one.track, known=known, requests=requests)
        if step.rows:
            one.track = replace(one.track, held=(one.track.held or sight.now) if sight.rows else 0.0)
        if sight.server is not None and sight.server.vm_state == "shelved_offloaded" and sight.server.host is not None:
            first = one.track.lingered[0] if one.track.lingered else sight.now
            one.track = replace(one.track, lingered=(first, sight.now))
        self.watch.learn(one.server, sight)
        one.saw(sight)

    def _prove(self, one: Running) -> None:
        from gpuctl.moves.proof import prove

        at = time.time()
        sight = self.watch.closely(one.track)
        if unended(one.track, sight, "migrate"):
            self.watch.learn(one.server, sight)
            one.saw(sight)  # the way waits for it: nothing is judged half way
            return
        books = self.reader(one.server, _hosts(one))
        proof = prove(one.track, sight, books)
        one.track = replace(one.track, proof=proof)
        one.add("proof", "done" if proof.good else "failed", at, proof.detail)
        self.watch.learn(one.server, sight)
        one.stumbles = 0
        if one.journal is not None:
            one.journal.note(one.track, "proof", proof.detail)

    def _check(self, one: Running) -> None:
        from gpuctl.moves.proof import check, right_allocation

        at = time.time()
        books = self.reader(one.server, _hosts(one))
        findings = check(one.track, books)
        right = right_allocation(one.track, books) if self.placement is not None else None
        one.track = replace(one.track, checked=findings, checks=one.track.checks + 1, right=right)
        bad = [each for each in findings if each.status == "fail"]
        one.add("check", "failed" if bad else "done", at, "; ".join(each.title for each in bad))
        if one.server in books.servers:
            # What was read for the check is newer than what the polls showed.
            self.watch.learn(
                one.server,
                replace(
                    self.watch.sight(one.server),
                    server=books.servers[one.server],
                    migrations=books.migrations_of(one.server),
                ),
            )
        one.stumbles = 0

    # ------------------------------------------------------------ asking

    def _ask(self, one: Running, step: Ask) -> None:
        sent = self._intend(one, step.name)
        try:
            _, request = self.api.act(one.server, step.body, step.what)
        except CloudError as error:
            self._answered(one, _outcome(sent, error))
        else:
            self._answered(one, replace(sent, outcome=TAKEN, request=request))

    def _right(self, one: Running) -> None:
        """The allocation is what the check found right; a generation that moved meanwhile refuses it."""
        right = one.track.right
        if right is None or self.placement is None:
            return
        sent = self._intend(one, "allocation")
        try:
            self.placement.put(right, what=f"put right what server {one.server} holds")
        except CloudError as error:
            self._answered(one, _outcome(sent, error))
        else:
            self._answered(one, replace(sent, outcome=TAKEN))

    def _intend(self, one: Running, name: str) -> Sent:
        journal = one.journal
        if journal is None:
            raise AssertionError("a move without its journal asks nobody")
        sent = Sent(name, time.time())
        if not one.track.sent:
            journal.begin(one.track)
        journal.intent(one.track, sent)
        one.track = one.track.with_sent(sent)
        return sent

    def _answered(self, one: Running, sent: Sent) -> None:
        one.track = one.track.with_answer(sent)
        state = {TAKEN: "done", LOST: "lost", REFUSED: "refused", UNSENT: "refused"}[sent.outcome]
        one.add(sent.name, state, sent.at, sent.detail)
        if one.journal is not None:
            one.journal.answer(one.track, sent)


def _hosts(one: Running) -> frozenset[str]:
    """Return the hosts that a move is about."""
    move = one.track.move
    return frozenset(host for host in (move.source, move.to) if host)


def _outcome(sent: Sent, error: CloudError) -> Sent:
    """Return what an error of the API says about a request: not taken for sure, or nobody knows."""
    said = error.text if isinstance(error, Rejected) else f"{error.brief}{': ' if error.details else ''}{error.details}"
    if isinstance(error, (Rejected, NotAuthorised)):
        return replace(sent, outcome=REFUSED, detail=said)
    if isinstance(error, Unreachable):
        return replace(sent, outcome=UNSENT, detail=said)
    if isinstance(error, Uncertain):
        return replace(sent, outcome=LOST)
    return replace(sent, outcome=LOST)

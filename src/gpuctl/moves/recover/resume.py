"""gpuctl's own move that did not end: taken up by the engine that began it, and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.moves.engine import Engine, Pace
from gpuctl.moves.journal import peek
from gpuctl.moves.migrate import Line
from gpuctl.moves.recover.perform import Outcome
from gpuctl.moves.result import DONE, INTERRUPTED, OPEN_ENDED, UNFINISHED

if TYPE_CHECKING:
    from gpuctl.moves.recover.reader import Reader


def resume(read: Reader, server: str, pace: Pace | None = None) -> Outcome:
    """Return done once the move is at its end, good or bad: what it left is then diagnosed. None is begun anew.

    Raises:
        KeyboardInterrupt: Ctrl-C; the move goes on in Nova, and is taken up by the next command.
    """
    track = peek(read.cloud.name, server)
    if track is None:
        return Outcome(DONE, "the journal has no move that did not end")
    engine = Engine.of(read.cloud, read.nova, hosts=read.hosts, database=read.database, pace=pace)
    (result,) = engine.run(Line([track], 1))
    if result.state == INTERRUPTED:
        raise KeyboardInterrupt  # the engine kept it to itself; nothing else is begun now
    said = f"the move by {result.strategy} is {result.state}: {result.detail}"
    return Outcome(UNFINISHED if result.state in OPEN_ENDED else DONE, said)

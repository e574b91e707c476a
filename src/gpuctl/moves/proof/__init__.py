"""Whether a guest is good where it is now (before a confirm), and whether all books agree (after the move)."""

from __future__ import annotations

from gpuctl.moves.proof.after_move import check
from gpuctl.moves.proof.allocation import cards_held, right_allocation
from gpuctl.moves.proof.before_confirm import RUNNING, Proof, prove
from gpuctl.moves.proof.guest import gpus_of

__all__ = ["RUNNING", "Proof", "cards_held", "check", "gpus_of", "prove", "right_allocation"]

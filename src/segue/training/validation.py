"""Scores during training: J&F on sequences that are not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from torch import nn

from segue.datasets.davis import Sequence
from segue.metrics import DavisAccumulator
from segue.models.base import MemoryNetwork
from segue.sessions import TrackSession
from segue.training.footage import VOID
from segue.types import Frame


class JAndF:
    """Mean J&F of a memory network over sequences, with its published schedule, by the DAVIS 2017 protocol.

    Args:
        sequences: labelled sequences; all frames are followed, the labelled ones scored.
    """

    def __init__(self, sequences: Iterable[Sequence]) -> None:
        self.sequences = list(sequences)

    def __call__(self, network: nn.Module) -> float:
        """Score a network in evaluation mode."""
        return float(np.mean([_score(cast(MemoryNetwork, network), item) for item in self.sequences]))


def _score(network: MemoryNetwork, sequence: Sequence) -> float:
    session, accumulator = TrackSession(network), DavisAccumulator(sequence.name)
    begin = next(iter(sequence.annotations))
    for i in range(begin, len(sequence)):
        truth = sequence.read_mask(i) if i in sequence.annotations else None
        given = np.where(truth == VOID, np.uint8(0), truth) if i == begin and truth is not None else None
        result = session.step(Frame(i, float(i), sequence.read_image(i)), given)
        if truth is not None:
            accumulator.update(result.mask, truth)
    return accumulator.score().j_and_f

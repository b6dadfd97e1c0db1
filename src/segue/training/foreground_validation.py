"""Scores of foreground networks during training: F on films that are not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from torch import nn

from segue.datasets.foreground import ForegroundSequence
from segue.metrics.foreground import ForegroundAccumulator
from segue.models.foreground import ForegroundNetwork
from segue.models.mustan import WindowNetwork
from segue.sessions.foreground import ForegroundSession
from segue.training.foreground_windows import read_depth
from segue.types import Frame


class FMeasure:
    """Mean over films of CDnet's F measure, in a session as users run it, cold from the first frame on.

    Args:
        films: all frames are segmented, the labelled ones scored.
    """

    def __init__(self, films: Iterable[ForegroundSequence]) -> None:
        self.films = list(films)

    def __call__(self, network: nn.Module) -> float:
        """Score a network in evaluation mode."""
        model = cast(ForegroundNetwork, network)
        return float(np.mean([score(model, film) for film in self.films]))


def score(network: ForegroundNetwork, film: ForegroundSequence) -> float:
    """F of one film.

    Raises:
        DatasetError: a picture or its labels cannot be read.
    """
    accumulator = ForegroundAccumulator(film.key, roi=film.read_roi(), threshold=1)
    session = ForegroundSession(network)
    takes_depth = isinstance(network, WindowNetwork) and network.takes_depth

    def results() -> Iterable[tuple[int, np.ndarray]]:
        for i in range(len(film)):
            depth = read_depth(film, i) if takes_depth else None
            result = session.step(Frame(i, float(i), film.read_image(i), depth))
            if result is not None:
                yield result.index, result.mask
        for result in session.finish():
            yield result.index, result.mask

    for index, mask in results():
        if index in film.labels:
            accumulator.update(mask, film.read_labels(index))
    return accumulator.counts.measures()["F"]

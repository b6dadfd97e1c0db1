"""The networks that can be loaded by name, a file for each task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from segue.registry import MODELS, Entry
from segue.weights.catalogue import detection, foreground, instances, prompts, tracking

ENTRIES = (
    *tracking.ENTRIES,
    *foreground.ENTRIES,
    *prompts.ENTRIES,
    *instances.ENTRIES,
    *detection.ENTRIES,
)


def recognise(tensors: Mapping[str, Tensor]) -> Entry | None:
    """The first entry whose files hold such tensors, or None.

    Args:
        tensors: tensors by name, as :func:`segue.weights.read_checkpoint` reads them. Names decide, and for
            some entries the shape of one tensor.

    Returns:
        An entry of the registry of networks, in its order; None if no entry fits.
    """
    return next((entry for entry in MODELS if entry.recognises(tensors)), None)

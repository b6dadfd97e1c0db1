"""Networks that can be loaded by name, a module per task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from segue.registry import MODELS, Entry
from segue.weights.catalogue import detection, foreground, instances, prompts, tracking

if TYPE_CHECKING:
    from torch import Tensor

ENTRIES = (
    *tracking.ENTRIES,
    *foreground.ENTRIES,
    *prompts.ENTRIES,
    *instances.ENTRIES,
    *detection.ENTRIES,
)


def recognise(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Entry | None:
    """Find the entry that a weight file belongs to, by tensors and metadata.

    Args:
        tensors: tensors by name, as :func:`segue.weights.read_checkpoint` reads them. Names decide, and for
            some entries the shape of one tensor.
        metadata: texts of the file by name. Several entries may have such tensors (stcn-lite and
            stcn-lite-free); ``network`` names the one that wrote the file.

    Returns:
        An entry of the registry of networks, the first of those that fit; None if none does.
    """
    network = (metadata or {}).get("network")
    if network is not None and network in MODELS and (entry := MODELS.find(network)).recognises(tensors):
        return entry
    return next((entry for entry in MODELS if entry.recognises(tensors)), None)

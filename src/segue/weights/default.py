"""Default networks by task and licence; imports PyTorch only for a weight file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segue.errors import CheckpointError
from segue.registry import DETECTORS, MODELS, DetectorEntry, Entry
from segue.weights.download import is_available

DEFAULT_INSTANCES = "msstsvis-lite"
"""The bundled network; the default for unrecognised weight files."""


def default_model(weights: str | Path | None = None, *, detectors: bool = True) -> str:
    """Default network for instances: by weight file, the best installed one, or segue's own."""
    classed = [entry for entry in DETECTORS if "classes" in entry.supported_options]
    by_network = {entry.network or entry.name: entry for entry in reversed(classed)}
    if weights is not None:
        from segue.weights.catalogue import recognise
        from segue.weights.checkpoint import read_checkpoint  # imports PyTorch

        checkpoint = read_checkpoint(weights)
        entry = recognise(checkpoint.tensors, checkpoint.metadata)
        name = DEFAULT_INSTANCES if entry is None else entry.name
        finds = by_network[name].name if name in by_network else None
    else:
        best = _best((entry, entry) for entry in MODELS if entry.task == "instances")
        if best is not None:
            return best
        name = DEFAULT_INSTANCES
        finds = _best((entry, MODELS.find(key)) for key, entry in by_network.items() if key in MODELS)
    if finds is None or not detectors:
        return name
    follows = _best((entry, entry) for entry in MODELS if entry.task == "track")
    return f"{finds}+{follows or 'stcn-lite'}"


def commercial_model(name: str) -> str:
    """Choose a network whose weights allow commercial use.

    Args:
        name: a network.

    Returns:
        The network itself, or one of the same class with other weights.

    Raises:
        CheckpointError: there are no such weights of this network; the message names others.
    """
    entry = MODELS.find(name)
    allowed = [other for other in MODELS if other.commercial and other.task == entry.task]
    twin = next((each.name for each in allowed if repr(each.build) == repr(entry.build)), None)
    if entry.commercial or twin is not None:
        return name if entry.commercial else twin or name
    names = ", ".join(each.name for each in allowed) or "none"
    raise CheckpointError(
        f"licence: no weights of {name} are known to allow commercial use ({entry.licence or 'not stated'}); "
        f"networks with such weights: {names}"
    )


def _best(entries: Iterable[tuple[Entry | DetectorEntry, Entry]]) -> str | None:
    """Name of the best-ranked entry whose weights are bundled or downloaded."""
    ranked = [
        (entry.rank, entry.name)
        for entry, network in entries
        if entry.rank is not None and is_available(network)
    ]
    return min(ranked, default=(0, None))[1]

"""Whether a network and its weight file are there; nothing is read, and PyTorch is not needed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from segue.errors import CheckpointError
from segue.registry import DETECTORS, MODELS, TASKS, DetectorEntry, Entry, NetworkTask
from segue.utils.inputs import check_file, exists, user_path
from segue.weights.download import cached, is_available

WEIGHT_FILE = "model.safetensors"
"""Name of the weights in a folder in the form of Hugging Face."""

DEFAULT_INSTANCES = "msstsvis-lite"
"""The network that comes with segue; what is taken for a weight file that nothing recognises."""


def check_available(task: NetworkTask, name: str, weights: str | os.PathLike[str] | None = None) -> None:
    """See that :func:`load_for` finds a network and its weight file, without reading the weights."""
    entry = entry_for(task, name)
    if takes_weights(entry, weights) and weights is not None:
        check_file(weight_file(weights), CheckpointError)
    elif entry.folder is not None:
        entry.folder()
    elif entry.signature is not None and entry.bundled is None:
        downloaded(entry)


def takes_weights(entry: Entry, weights: object) -> bool:
    """Whether a network has weights; those that are given to one without are refused."""
    if entry.signature is None and weights is not None:
        own = "no weights" if entry.folder is None else "its weights"
        raise CheckpointError(f"{entry.name} has {own}; leave them out")
    return entry.signature is not None


def entry_for(task: NetworkTask, name: str) -> Entry:
    """The entry of a network by its name, which must serve the task."""

    def fitting() -> list[str]:
        return [other.name for other in MODELS if other.task == task]

    entry = MODELS.find(name, fitting)
    if entry.task != task:
        names = ", ".join(fitting())
        raise CheckpointError(
            f"{name} is made to {TASKS[entry.task]}, not to {TASKS[task]}; choose one of {names}"
        )
    return entry


def downloaded(entry: Entry) -> Path:
    """The converted file of the cache folder, if it is there."""
    path = cached(entry)
    if not path.exists():
        raise CheckpointError(missing_weights(entry))
    return path


def missing_weights(entry: Entry) -> str:
    """What brings the weights of a network that are not there."""
    if entry.remote is not None:
        size = f" ({entry.remote.size / 1e6:.0f} MB)" if entry.remote.size else ""
        return (
            f"no weights of {entry.name} are available: `{entry.download_command}` downloads "
            f"{entry.remote.address}{size}, licence {entry.licence}"
        )
    if entry.source is None:
        return (
            f"nobody published weights of {entry.name}: train it with `{entry.training}`, and give "
            "the file as the weights"
        )
    return (
        f"no weights of {entry.name} come with segue: download {entry.source}, licence {entry.licence}; "
        "then `segue weights convert FILE --install`, or give FILE as the weights"
    )


def weight_file(path: str | os.PathLike[str]) -> Path:
    """The file of weights that a path leads to: the one in a folder of Hugging Face, else the path itself."""
    path = user_path(path)
    inside = path / WEIGHT_FILE
    return inside if exists(inside) else path


def default_model(weights: str | Path | None = None, *, detectors: bool = True) -> str:
    """Default finder of instances: that of the weight file, the best that is installed, or segue's own."""
    classed = [entry for entry in DETECTORS if "classes" in entry.supported_options]
    by_network = {entry.network or entry.name: entry for entry in reversed(classed)}
    if weights is not None:
        from segue.weights import read_checkpoint, recognise  # imports PyTorch

        checkpoint = read_checkpoint(weights)
        known = recognise(checkpoint.tensors, checkpoint.metadata)
        name = DEFAULT_INSTANCES if known is None else known.name
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


def _best(entries: Iterable[tuple[Entry | DetectorEntry, Entry]]) -> str | None:
    """The name of the lowest rank of those whose networks come with segue or are in the cache folder."""
    ranked = [
        (entry.rank, entry.name)
        for entry, network in entries
        if entry.rank is not None and is_available(network)
    ]
    return min(ranked, default=(0, None))[1]

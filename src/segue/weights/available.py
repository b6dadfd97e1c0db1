"""Check that a network and its weight file are available, without reading them or PyTorch."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from segue.errors import CheckpointError
from segue.registry import MODELS, TASKS, Entry, NetworkTask
from segue.utils.inputs import check_file, exists, user_path
from segue.utils.lazy import LazyCallable
from segue.weights.download import installed

WEIGHT_FILE = "model.safetensors"
"""Name of the weights in a folder in the form of Hugging Face."""


def check_available(task: NetworkTask, name: str, weights: str | os.PathLike[str] | None = None) -> None:
    """Raise an error unless :func:`load_for` would find the network and its weight file; reads no weights."""
    entry = entry_for(task, name)
    if takes_weights(entry, weights) and weights is not None:
        check_file(weight_file(weights), CheckpointError)
    elif entry.folder is not None:
        entry.folder()
    elif entry.signature is not None and entry.bundled is None:
        downloaded(entry)


def takes_weights(entry: Entry, weights: object) -> bool:
    """Whether a network has weights; an error if weights are given to one without."""
    if entry.signature is None and weights is not None:
        stated = "no weights" if entry.folder is None else "its weights"
        raise CheckpointError(f"{entry.name} has {stated}; leave them out")
    return entry.signature is not None


def entry_for(task: NetworkTask, name: str) -> Entry:
    """Entry of a network by its name; it must serve the task."""

    def fitting() -> list[str]:
        return [other.name for other in MODELS if other.task == task]

    entry = MODELS.find(name, fitting)
    if entry.task != task:
        names = ", ".join(fitting())
        raise CheckpointError(
            f"{name} is made to {TASKS[entry.task]}, not to {TASKS[task]}; choose one of {names}"
        )
    return entry


def name_of_class(network: type) -> str:
    """Name of the first network of a class in the registry."""
    place = f"{network.__module__}:{network.__qualname__}"
    for entry in MODELS:
        build = entry.build.func if isinstance(entry.build, partial) else entry.build
        if build is network or (isinstance(build, LazyCallable) and build.place == place):
            return entry.name
    raise CheckpointError(
        f"no network of the class {network.__name__} is registered; give a name, or add an entry with "
        "segue.register"
    )


def downloaded(entry: Entry) -> Path:
    """Path of the converted file in the cache folder, if it exists."""
    path = installed(entry)
    if path is None:
        raise CheckpointError(missing_weights(entry))
    return path


def missing_weights(entry: Entry) -> str:
    """Advice on how to get missing weights of a network."""
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
    """Weight file at a path: that of a Hugging Face folder, or the path itself."""
    path = user_path(path)
    inside = path / WEIGHT_FILE
    return inside if exists(inside) else path

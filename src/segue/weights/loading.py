"""Networks with weights, by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from segue.errors import CheckpointError
from segue.registry import MODELS, TASKS, Entry, Task
from segue.weights.checkpoint import match, read_checkpoint, read_options, sha256
from segue.weights.download import cached

_KEPT: ContextVar[dict[tuple[str, str | None], nn.Module] | None] = ContextVar("kept", default=None)


@contextmanager
def keep_networks(kept: dict[tuple[str, str | None], nn.Module]) -> Iterator[None]:
    """Inside the block :func:`load` gives a network that ``kept`` has from before, without reading it again.

    For workers that take one video after the other through the same network.
    """
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def load(name: str, weights: str | os.PathLike[str] | None = None) -> nn.Module:
    """A network in evaluation mode on the CPU.

    Args:
        name: its name, such as ``stcn-lite``; `segue weights list` shows all.
        weights: weight file, converted or official; by default the one that comes with segue or that
            `segue weights get` made.

    Raises:
        CheckpointError: the name is unknown, no weights are at hand, or the file does not fit.

    Example:
        >>> network = segue.load("stcn", weights="stcn.safetensors")  # doctest: +SKIP
    """
    kept = _KEPT.get()
    if kept is None:
        return _read(name, weights)
    key = name, None if weights is None else os.fspath(weights)
    if key not in kept:
        kept[key] = _read(name, weights)
    return kept[key]


def _read(name: str, weights: str | os.PathLike[str] | None) -> nn.Module:
    entry = MODELS.find(name)
    if entry.signature is None:
        if weights is not None:
            raise CheckpointError(f"{name} has no weights; leave them out")
        made: nn.Module = entry.build()
        return made
    if weights is not None:
        return _filled(entry, Path(weights))
    if entry.bundled is None:
        return _filled(entry, _downloaded(entry))
    with resources.as_file(resources.files("segue") / "assets" / entry.bundled) as path:
        if entry.sha256 is not None and path.exists() and sha256(path) != entry.sha256:
            raise CheckpointError(f"{path}: the weights that came with segue are damaged; reinstall segue")
        return _filled(entry, path)


def load_for(task: Task, name: str, weights: str | os.PathLike[str] | None = None) -> Any:
    """A network of one task, as :func:`load`; :class:`segue.registry.Entry` names the interface that it has.

    Raises:
        CheckpointError: as :func:`load`, or the network serves another task.
    """
    entry = MODELS.find(name)
    if entry.task != task:
        fitting = ", ".join(other.name for other in MODELS if other.task == task)
        raise CheckpointError(
            f"{name} is made to {TASKS[entry.task]}, not to {TASKS[task]}; choose one of {fitting}"
        )
    return load(name, weights)


def load_strict(network: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Fill ``network`` from a weight file, converted or official, and put it in evaluation mode.

    Every name and shape must fit; see :func:`segue.weights.checkpoint.match` for what is forgiven. When the
    file does not fit, the network is left as it was.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or of another network.
    """
    tensors = read_checkpoint(path).tensors
    network.load_state_dict(match(Path(path), tensors, network.state_dict()))
    return network.eval()


def _filled(entry: Entry, path: Path) -> nn.Module:
    """The network with the options that its training wrote into the file, and its weights."""
    checkpoint = read_checkpoint(path)
    options = read_options(path, checkpoint.metadata)
    try:
        network: nn.Module = entry.build(**options)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {entry.name} cannot be built as this file asks: {error}") from error
    network.load_state_dict(match(path, entry.renamed(checkpoint.tensors), network.state_dict()))
    return network.eval()


def _downloaded(entry: Entry) -> Path:
    """The converted file of the cache folder, if it is there."""
    path = cached(entry)
    if path.exists():
        return path
    if entry.remote is not None:
        raise CheckpointError(
            f"no weights of {entry.name} are at hand: `{entry.getting}` downloads "
            f"{entry.remote.address}, licence {entry.licence}"
        )
    if entry.source is None:
        raise CheckpointError(
            f"nobody published weights of {entry.name}: train it with `{entry.training}`, and give "
            "the file as the weights"
        )
    raise CheckpointError(
        f"no weights of {entry.name} come with segue: download {entry.source}, licence {entry.licence}; "
        "then `segue weights convert FILE --install`, or give FILE as the weights"
    )

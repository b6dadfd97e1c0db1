"""Networks with weights, by name."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from torch import nn

from segue.errors import CheckpointError
from segue.weights.catalogue import Entry, find
from segue.weights.checkpoint import read_checkpoint, sha256
from segue.weights.matching import match


def load(name: str, weights: str | os.PathLike[str] | None = None) -> nn.Module:
    """A network in evaluation mode on the CPU.

    Args:
        name: its name in the catalogue: ``stcn-lite``, ``stcn`` or ``stm``.
        weights: weight file, converted or official; by default the one that comes with segue.

    Raises:
        CheckpointError: the name is unknown, no weights come with segue, or the file does not fit.

    Example:
        >>> network = segue.load("stcn", weights="stcn.safetensors")  # doctest: +SKIP
    """
    entry = find(name)
    if weights is not None:
        return load_strict(entry.build(), weights)
    with resources.as_file(resources.files("segue") / "assets" / _bundled(entry)) as path:
        if entry.sha256 is not None and path.exists() and sha256(path) != entry.sha256:
            raise CheckpointError(f"{path}: the weights that came with segue are damaged; reinstall segue")
        return load_strict(entry.build(), path)


def load_strict(network: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Fill ``network`` from a weight file, converted or official, and put it in evaluation mode.

    Every name and shape must fit; see :func:`segue.weights.matching.match` for what is forgiven. When the
    file does not fit, the network is left as it was.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or of another network.
    """
    tensors = read_checkpoint(path).tensors
    network.load_state_dict(match(Path(path), tensors, network.state_dict()))
    return network.eval()


def _bundled(entry: Entry) -> str:
    if entry.bundled is None:
        raise CheckpointError(
            f"no weights of {entry.name} come with segue: download {entry.source}, licence {entry.licence}; "
            f"then `segue weights convert FILE {entry.name}.safetensors` and give that file as the weights"
        )
    return entry.bundled

"""Convert an official weight file to safetensors, once."""

from __future__ import annotations

import os
from pathlib import Path

from segue.errors import CheckpointError
from segue.registry import MODELS, Entry
from segue.weights.catalogue import recognise
from segue.weights.checkpoint import match, read_checkpoint, sha256, write_checkpoint


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Entry:
    """Convert a weight file of any network in the catalogue; the names in it tell which.

    Names stay those of the release, without the ``module.`` prefix of STM's file; those of detectors become
    the names of the network (``Entry.rename``). Weights of STCN's
    single-object stage get a zero channel for the masks of the other objects. All values become float32.

    Args:
        source: official file (state dict, or training checkpoint).
        target: the safetensors file to write; it appears only when complete.

    Returns:
        The catalogue entry of the network.

    Raises:
        CheckpointError: the file cannot be read without unpickling, is damaged, or is of another network.
    """
    tensors = read_checkpoint(source).tensors
    entry = recognise(tensors)
    if entry is None:
        known = ", ".join(entry.name for entry in MODELS if entry.signature)
        some = ", ".join(list(tensors)[:3])
        raise CheckpointError(f"{source}: weights of none of {known}; its names begin with {some}")
    matched = match(Path(source), entry.renamed(tensors), entry.build().state_dict())
    write_checkpoint(target, matched, {"network": entry.name, "source_sha256": sha256(source)})
    return entry

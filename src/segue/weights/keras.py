"""Weights of FgSegNet_v2 as its Keras code saves them, one ``.h5`` file for a scene."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from segue.errors import CheckpointError
from segue.weights.tensorflow import in_our_layout

MAGIC = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""

LARGEST = 1 << 26
"""Numbers that one array may have; the largest of the network has 2.4 million."""

CONVOLUTIONS = (
    "fpm.pool_proj",
    "fpm.d1",
    "fpm.d4",
    "fpm.d8",
    "fpm.d16",
    "decoder.skip_b",
    "decoder.conv1",
    "decoder.conv2",
    "decoder.conv3",
    "decoder.head",
)
NORMS = ("fpm.norm", "decoder.norm1", "decoder.norm2", "decoder.norm3")
"""Layers without a name of their own, in the order in which the code creates them."""

LEAVES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def read_keras(path: Path) -> dict[str, Tensor]:
    """Tensors by our names, in the layout of PyTorch.

    Layers of the backbone keep the names of VGG-16. Keras numbers the others as it creates them, on and on
    through all models of a process, so that only the order of the numbers counts.

    Raises:
        CheckpointError: h5py is missing, the file is damaged, or it is no FgSegNet_v2.
    """
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise CheckpointError(f'{path}: Keras weights need h5py: pip install "segue[keras]"') from error
    try:
        with h5py.File(path, "r") as file:
            arrays = dict(_arrays(file, path))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        raise CheckpointError(f"{path}: damaged or no weights of Keras ({error})") from error
    names = _names({layer for layer, _ in arrays}, path)
    return {f"{names[layer]}.{LEAVES[leaf]}": in_our_layout(array) for (layer, leaf), array in arrays.items()}


def _arrays(file: Any, path: Path) -> Iterator[tuple[tuple[str, str], Any]]:
    """Arrays by layer and kind."""
    root = file.get("model_weights", file)
    left = LARGEST
    for layer in map(_text, root.attrs["layer_names"]):
        for name in map(_text, root[layer].attrs["weight_names"]):
            owner, _, leaf = name.removesuffix(":0").rpartition("/")
            dataset = root[layer][name]
            foreign = dataset.external or dataset.is_virtual or dataset.file != file
            if leaf not in LEAVES or foreign or dataset.size > left or dataset.dtype.kind != "f":
                raise CheckpointError(f"{path}: {name} is nothing that FgSegNet_v2 has")
            left -= dataset.size
            yield (owner.rpartition("/")[2], leaf), dataset[...]


def _names(layers: set[str], path: Path) -> dict[str, str]:
    """Our names of the layers."""
    names = {layer: f"backbone.{layer}" for layer in layers if re.fullmatch(r"block\d_conv\d", layer)}
    for kind, ours in (("conv2d", CONVOLUTIONS), ("instance_normalization", NORMS)):
        numbered = {layer: re.fullmatch(rf"{kind}(?:_(\d+))?", layer) for layer in layers}
        found = sorted((int(match[1] or 0), layer) for layer, match in numbered.items() if match)
        if len(found) != len(ours):
            raise CheckpointError(f"{path}: {len(found)} layers {kind}; FgSegNet_v2 has {len(ours)}")
        names |= {layer: name for (_, layer), name in zip(found, ours, strict=True)}
    unknown = sorted(layers - names.keys())
    if unknown:
        raise CheckpointError(f"{path}: layer {unknown[0]} is not one of FgSegNet_v2")
    return names


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

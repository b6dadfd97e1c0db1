"""Weights of TensorFlow: HOFAM's variables in an ``.npz`` file, and FgSegNet_v2 as Keras saves it."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import CheckpointError
from segue.extras import install_command

LARGEST = 1 << 30
"""Largest total size of the variables in bytes; the published network has 0.7 billion."""

_DAMAGE = (
    *(OSError, ValueError, EOFError, RuntimeError, SyntaxError, TypeError, KeyError, MemoryError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)
"""Errors of the readers of archives and NumPy headers for damaged bytes; NotImplementedError and
RecursionError are RuntimeErrors."""

VARIABLE = re.compile(r"generator/(?:g_)?(bn_)?(e|op|d|attention|fusion)([0-8])(?:_conv)?/([a-z]+)(?::0)?")
OPTIMIZER = re.compile(r".*/Adam(_1)?|beta[12]_power(_\d+)?|global_step|Variable(_\d+)?")
"""Entries of a training checkpoint besides the network."""

PARTS = {"e": "enc_rgb", "op": "enc_flow", "d": "dec", "attention": "attn", "fusion": "fusion"}
LEAVES = {"w": "weight", "biases": "bias", "gamma": "weight", "beta": "bias"}


def read_npz(path: Path) -> dict[str, Tensor]:
    """Tensors by our names, in the layout of PyTorch; unknown variables keep their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name: info
                for info in archive.infolist()
                if not OPTIMIZER.fullmatch(name := info.filename.removesuffix(".npy"))
            }
            if sum(info.file_size for info in members.values()) > LARGEST:
                raise CheckpointError(f"{path}: holds more than {LARGEST >> 20} MiB; not weights of HOFAM")
            tensors = {}
            for name, info in members.items():
                with archive.open(info) as file:
                    tensors[hofam_name(name)] = in_our_layout(_read_array(file))
            return tensors
    except _DAMAGE as error:
        raise CheckpointError(f"{path}: damaged or no .npz file of weights ({error})") from error


def hofam_name(variable: str) -> str:
    """Our name of a variable of the release; one that it does not have stays as it is."""
    found = VARIABLE.fullmatch(variable)
    if found is None or found[4] not in LEAVES:
        return variable
    norm, part, level, leaf = found.groups()
    layer = "norm" if norm else "deconv" if part == "d" else "conv"
    return f"{PARTS[part]}.{level}.{layer}.{LEAVES[leaf]}"


def _read_array(file: IO[bytes]) -> npt.NDArray[np.floating]:
    array: npt.NDArray[np.floating] = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind != "f":
        raise ValueError(f"an array of type {array.dtype}")
    return array


def in_our_layout(array: npt.NDArray[np.floating]) -> Tensor:
    """Kernels as PyTorch has them.

    ``array``: kernel (kh, kw, cin, cout), or anything else; returns kernel (cout, cin, kh, kw), or the same
    values.
    """
    # Kernels: HWIO to OIHW for convolutions, HWOI to IOHW for transposed ones, which is one permutation.
    ordered = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return torch.from_numpy(np.array(ordered, np.float32, order="C"))


HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""

LARGEST_KERAS = 1 << 26
"""Numbers that all arrays may have together; the largest of the network has 2.4 million."""

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

KERAS_LEAVES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def read_keras(path: Path) -> dict[str, Tensor]:
    """Tensors by our names, in the layout of PyTorch."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise CheckpointError(f"{path}: Keras weights need h5py: {install_command('keras')}") from error
    try:
        with h5py.File(path, "r") as file:
            arrays = dict(_arrays(file, path))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        raise CheckpointError(f"{path}: damaged or no weights of Keras ({error})") from error
    names = _names({layer for layer, _ in arrays}, path)
    return {
        f"{names[layer]}.{KERAS_LEAVES[leaf]}": in_our_layout(array)
        for (layer, leaf), array in arrays.items()
    }


def _arrays(file: Any, path: Path) -> Iterator[tuple[tuple[str, str], Any]]:
    """Arrays by layer and kind."""
    root = file.get("model_weights", file)
    left = LARGEST_KERAS
    for layer in map(_text, root.attrs["layer_names"]):
        for name in map(_text, root[layer].attrs["weight_names"]):
            owner, _, leaf = name.removesuffix(":0").rpartition("/")
            dataset = root[layer][name]
            foreign = dataset.external or dataset.is_virtual or dataset.file != file
            if leaf not in KERAS_LEAVES or foreign or dataset.size > left or dataset.dtype.kind != "f":
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

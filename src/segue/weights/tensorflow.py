"""HOFAM's variables of TensorFlow in an ``.npz`` file."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import CheckpointError

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
    """Turn a kernel (kh, kw, cin, cout) into (cout, cin, kh, kw) of PyTorch; other arrays stay."""
    # Kernels: HWIO to OIHW for convolutions, HWOI to IOHW for transposed ones, which is one permutation.
    ordered = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return torch.from_numpy(np.array(ordered, np.float32, order="C"))

"""Read HOFAM's TensorFlow variables from an ``.npz`` file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import CheckpointError

MAX_TOTAL_BYTES = 1 << 30
"""Largest total size of the variables in bytes; the published network has 0.7 billion."""

VARIABLE = re.compile(r"generator/(?:g_)?(bn_)?(e|op|d|attention|fusion)([0-8])(?:_conv)?/([a-z]+)(?::0)?")
OPTIMIZER = re.compile(r".*/Adam(_1)?|beta[12]_power(_\d+)?|global_step|Variable(_\d+)?")
"""Entries of a training checkpoint besides the network."""

PARTS = {"e": "enc_rgb", "op": "enc_flow", "d": "dec", "attention": "attn", "fusion": "fusion"}
LEAVES = {"w": "weight", "biases": "bias", "gamma": "weight", "beta": "bias"}


def read_npz(path: Path) -> dict[str, Tensor]:
    """Read tensors by segue's names, in PyTorch's layout; unknown variables keep their names."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.zip.infolist()}
            names = [name for name in sizes if not OPTIMIZER.fullmatch(name)]
            if sum(sizes[name] for name in names) > MAX_TOTAL_BYTES:
                raise ValueError(f"more than {MAX_TOTAL_BYTES >> 20} MiB; not weights of HOFAM")
            return {hofam_name(name): in_our_layout(archive[name]) for name in names}
    except Exception as error:
        # The reader raises whatever its parsing of damaged bytes runs into, from EOFError to SyntaxError.
        raise CheckpointError(f"{path}: damaged or no .npz file of weights ({error})") from error


def hofam_name(variable: str) -> str:
    """Convert the name of a released variable; unknown names stay."""
    match = VARIABLE.fullmatch(variable)
    if match is None or match[4] not in LEAVES:
        return variable
    norm, part, level, leaf = match.groups()
    layer = "norm" if norm else "deconv" if part == "d" else "conv"
    return f"{PARTS[part]}.{level}.{layer}.{LEAVES[leaf]}"


def in_our_layout(array: npt.NDArray[np.floating]) -> Tensor:
    """Transpose a kernel (kh, kw, cin, cout) to (cout, cin, kh, kw); other arrays stay."""
    if array.dtype.kind != "f":
        raise ValueError(f"an array of type {array.dtype}")
    # Kernels: HWIO to OIHW for convolutions, HWOI to IOHW for transposed ones, which is one permutation.
    ordered = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return torch.from_numpy(np.array(ordered, np.float32, order="C"))

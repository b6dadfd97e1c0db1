"""Variables of HOFAM (TensorFlow) and FgSegNet_v2 (Keras) in an ``.npz`` file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import CheckpointError

MAX_TOTAL_BYTES = 1 << 30
"""Largest total size of the variables in bytes; HOFAM has 0.7 billion."""

VARIABLE = re.compile(r"generator/(?:g_)?(bn_)?(e|op|d|attention|fusion)([0-8])(?:_conv)?/([a-z]+)(?::0)?")
OPTIMIZER = re.compile(r".*/Adam(_1)?|beta[12]_power(_\d+)?|global_step|Variable(_\d+)?")
"""Entries of a training checkpoint besides the network."""

PARTS = {"e": "enc_rgb", "op": "enc_flow", "d": "dec", "attention": "attn", "fusion": "fusion"}
LEAVES = {
    "w": "weight",
    "kernel": "weight",
    "gamma": "weight",
    "biases": "bias",
    "bias": "bias",
    "beta": "bias",
}

KERAS = re.compile(
    r"(?:model_weights/)?(?:(block\d_conv\d)|(conv2d|instance_normalization)(?:_(\d+))?)/(?:.*/)?"
    r"(kernel|bias|gamma|beta)(?::0)?"
)
UNNAMED = {
    "conv2d": [
        *(f"fpm.{name}" for name in ("pool_proj", "d1", "d4", "d8", "d16")),
        *(f"decoder.{name}" for name in ("skip_b", "conv1", "conv2", "conv3", "head")),
    ],
    "instance_normalization": ["fpm.norm", *(f"decoder.norm{i}" for i in (1, 2, 3))],
}
"""Layers of FgSegNet_v2 that Keras numbers by kind, in the order of their creation in the release."""


def read_npz(path: Path) -> dict[str, Tensor]:
    """Read tensors by segue's names, in PyTorch's layout; unknown variables keep their names."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.zip.infolist()}
            names = [name for name in sizes if not OPTIMIZER.fullmatch(name)]
            if sum(sizes[name] for name in names) > MAX_TOTAL_BYTES:
                raise ValueError(f"more than {MAX_TOTAL_BYTES >> 20} MiB; not weights of HOFAM")
            ours = fgsegnet_names(names)
            return {ours.get(name) or hofam_name(name): in_our_layout(archive[name]) for name in names}
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


def fgsegnet_names(variables: Iterable[str]) -> dict[str, str]:
    """Map names of FgSegNet_v2's variables to segue's; the order of Keras's numbers identifies the layers."""
    names, unnamed = dict[str, str](), dict[tuple[str, int], list[tuple[str, str]]]()
    for variable in variables:
        if match := KERAS.fullmatch(variable):
            layer, kind, number, leaf = match.groups()
            if layer:
                names[variable] = f"backbone.{layer}.{LEAVES[leaf]}"
            else:
                unnamed.setdefault((kind, int(number or 0)), []).append((variable, LEAVES[leaf]))
    for kind, layers in UNNAMED.items():
        numbered = sorted(key for key in unnamed if key[0] == kind)
        for layer, key in zip(layers, numbered, strict=False):
            names |= {variable: f"{layer}.{leaf}" for variable, leaf in unnamed[key]}
    return names


def in_our_layout(array: npt.NDArray[np.floating]) -> Tensor:
    """Transpose a kernel (kh, kw, cin, cout) to (cout, cin, kh, kw); other arrays stay."""
    if array.dtype.kind != "f":
        raise ValueError(f"an array of type {array.dtype}")
    # Kernels: HWIO to OIHW for convolutions, HWOI to IOHW for transposed ones, which is one permutation.
    ordered = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return torch.from_numpy(np.array(ordered, np.float32, order="C"))

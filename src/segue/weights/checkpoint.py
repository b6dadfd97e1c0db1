"""Weight files as tensors by name: safetensors, and files of PyTorch, Keras, NumPy and Detectron 2.

Whatever the file, nothing in it is executed: a PyTorch file is read with ``weights_only=True`` only.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from segue.errors import CheckpointError
from segue.weights.detectron import read_detectron
from segue.weights.keras import MAGIC, read_keras
from segue.weights.tensorflow import read_npz

Option = bool | int | float | str

OPTIONS = "options"
"""Metadata of a trained file: options of its network as JSON."""

WRAPPERS = ("network", "model", "teacher")
"""Keys under which training checkpoints of STCN, of SeqFormer and of DINO keep the weights."""

# Beside the weights SeqFormer's checkpoints keep the arguments of the training and the milestones of its
# schedule. Both classes only hold values, and restoring them runs no code of the file.
torch.serialization.add_safe_globals([Namespace, Counter])

FORMAT_VERSION = 1
"""Version of our own files, in their metadata under ``segue_format``."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a weight file holds.

    Attributes:
        tensors: tensors by name, as stored, on the CPU.
        metadata: text by name; empty for PyTorch files and foreign safetensors.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a safetensors file, a PyTorch state dict, or what another program saved.

    These are FgSegNet_v2 of Keras, HOFAM's variables as ``.npz``, and Detectron 2's arrays as ``.pkl``.

    Training checkpoints (see ``WRAPPERS``) and the prefix ``module.`` of parallel training are unwrapped.

    Raises:
        CheckpointError: the file is missing, damaged, needs unpickling, or holds anything but tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)  # the first bytes tell the kinds apart
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the weights: {error.strerror}") from error
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_safetensors(path)
    if start.startswith(MAGIC):
        return Checkpoint(read_keras(path))
    if path.suffix == ".npz":
        return Checkpoint(read_npz(path))
    if path.suffix == ".pkl":
        return Checkpoint(read_detectron(path))
    return Checkpoint(_read_torch(path))


def write_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file that appears under its name only when it is complete.

    Args:
        path: the new file; an existing one is replaced.
        tensors: tensors by name.
        metadata: text to keep with them; the format version is added.

    Raises:
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    contiguous = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    described = {"format": "pt", "segue_format": str(FORMAT_VERSION), **metadata}
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(descriptor)
        try:
            save_file(contiguous, name, described)
            # mkstemp makes the file private; weights are as readable as any other file.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot write the weights: {error.strerror}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: cannot write the weights: {error}") from error


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors without shared memory, which the format does not know."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found


def read_options(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> dict[str, Option]:
    """Options of the network that a file was trained for, by name; none where it says nothing.

    Raises:
        CheckpointError: they are not plain values by name.
    """
    try:
        options = json.loads(metadata.get(OPTIONS, "{}"))
    except ValueError:
        options = None
    if not isinstance(options, dict) or not all(
        isinstance(x, (bool, int, float, str)) for x in options.values()
    ):
        raise CheckpointError(f"{path}: the options of its network are damaged")
    return options


def sha256(path: str | os.PathLike[str]) -> str:
    """Checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    version = metadata.get("segue_format", "1")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(f"{path}: format {version} is unknown to this version of segue; update segue")
    return Checkpoint(tensors, metadata)


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: not a plain file of weights: either damaged, or it holds objects that only unpickling "
            "restores, which can run foreign code and is never done here; get the plain state dict"
        ) from error
    except Exception as error:
        # The reader raises whatever its parsing of damaged bytes runs into, from EOFError to IndexError.
        raise CheckpointError(f"{path}: damaged or not a file of weights") from error
    if isinstance(content, Mapping):
        wrapped = (content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping))
        content = next(wrapped, content)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds no state dict (a mapping from names to tensors)")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: entry {name!r} of the state dict is not a tensor")
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return dict(content)

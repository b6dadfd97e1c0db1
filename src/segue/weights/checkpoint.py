"""Read weight files of PyTorch and other programs safely, as tensors by name."""

from __future__ import annotations

import os
import pickle
import zipfile
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from segue.errors import CheckpointError
from segue.utils.devices import is_finite
from segue.utils.files import PartialFile, reason_of
from segue.utils.inputs import check_file, parse_json, user_path
from segue.utils.naming import first_few
from segue.utils.system import replace_file
from segue.weights.available import weight_file
from segue.weights.detectron import read_detectron
from segue.weights.tensorflow import read_npz

Option = bool | int | float | str

OPTIONS = "options"
"""Metadata of a trained file: options of its network as JSON."""

WRAPPERS = ("network", "model", "teacher", "weights", "state_dict")
"""Keys under which checkpoints have the weights: STCN and XMem, SeqFormer, DINO, Cutie, Lightning, MMLab."""

PREFIXES = ("module.", "model.", "network.", "net.")
"""Prefixes of weights from trainings with the network as a submodule: DDP, Lightning, segue."""

SAFE: list[Any] = [Namespace, Counter]
"""Beside the weights SeqFormer's checkpoints keep the arguments of the training and the milestones of its
schedule. Both classes only hold values, and restoring them runs no code of the file."""

READERS = {".npz": read_npz, ".pkl": read_detectron}
"""Formats of other programs by the ending of the file."""

FORMAT_VERSION = 1
"""Version of our own files, in their metadata under ``segue_format``."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Content of a weight file.

    Attributes:
        tensors: tensors by name, as stored, on the CPU.
        metadata: text by name; empty for PyTorch files and foreign safetensors.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_checkpoint(path: str | os.PathLike[str], device: str = "cpu") -> Checkpoint:
    """Read a safetensors file, a PyTorch state dict, or a file of another program.

    These are variables of HOFAM and FgSegNet_v2 as ``.npz``, and Detectron 2's arrays as ``.pkl``.

    Checkpoints of trainings (see ``WRAPPERS`` and ``PREFIXES``) are unwrapped: of PyTorch, Lightning, MMLab.

    Args:
        path: the file, or a folder of :func:`segue.save_pretrained`. Content or ending decides its kind;
            other files are read as PyTorch files, without running code of theirs.
        device: where the tensors go; on ``meta`` they have shapes and no values, and those of the file are
            not read where its format allows that.

    Returns:
        Tensors by name; for safetensors files the metadata too. ``.npz`` files get the names and layout of
        segue's networks; other names stay those of the file.

    Raises:
        CheckpointError: the file is missing, damaged, needs unpickling, or holds anything but tensors.
    """
    path = weight_file(path)
    check_file(path, CheckpointError)
    try:
        with path.open("rb") as file:
            start = file.read(9)  # the first bytes tell the kinds apart
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the weights: {error.strerror}") from error
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_safetensors(path, device)
    if path.suffix not in READERS:
        return Checkpoint(_read_torch(path, device))
    return Checkpoint({name: tensor.to(device) for name, tensor in READERS[path.suffix](path).items()})


def write_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file, which appears when it is complete.

    Args:
        path: the new file; an existing one is replaced.
        tensors: tensors by name.
        metadata: text to keep with them; the format version is added.

    Raises:
        CheckpointError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    uses = Counter(tensor.untyped_storage().data_ptr() for tensor in plain.values())
    # The format knows no memory that tensors share.
    unshared = {n: x.clone() if uses[x.untyped_storage().data_ptr()] > 1 else x for n, x in plain.items()}
    described = {"format": "pt", "segue_format": str(FORMAT_VERSION), **metadata}
    path = user_path(path)
    partial = PartialFile(path)
    try:
        partial.path.touch()
        save_file(unshared, partial.path, described)
        # safetensors makes the file private; weights are as readable as any other file.
        partial.path.chmod(0o644)
        replace_file(partial.path, path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot write the weights ({reason_of(error)})") from error
    finally:
        partial.discard()


def read_options(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> dict[str, Option]:
    """Network options stored in a weight file; empty without them."""
    try:
        options = parse_json(metadata.get(OPTIONS, "{}"))
    except ValueError:
        options = None
    if not are_options(options):
        raise CheckpointError(f"{path}: the options of its network are damaged")
    return options


def are_options(values: object) -> TypeGuard[dict[str, Option]]:
    """Whether JSON values are valid options of a network."""
    return isinstance(values, dict) and all(isinstance(x, (bool, int, float, str)) for x in values.values())


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than its size; PyTorch never compresses."""
    if not zipfile.is_zipfile(path):
        return
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        declared = sum(info.file_size for info in archive.infolist())
    if declared > size:
        raise CheckpointError(f"{path}: an archive of {size} bytes that unpacks to {declared}; refused")


def _read_safetensors(path: Path, device: str) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # The file is mapped into memory: of tensors that leave their values behind, these are not read.
            tensors = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    version = metadata.get("segue_format", "1")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(f"{path}: format {version} is unknown to this version of segue; update segue")
    return Checkpoint(tensors, metadata)


def _read_torch(path: Path, device: str) -> dict[str, Tensor]:
    try:
        _check_archive(path)
        with torch.serialization.safe_globals(SAFE):
            content = torch.load(path, map_location=device, weights_only=True)
    except CheckpointError:
        raise
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
    # A stretch of the file may stand for many numbers and under many names; copies of it know no bound.
    numbers = sum(value.numel() * value.element_size() for value in content.values())
    if numbers > 4 * path.stat().st_size + 2**30:
        raise CheckpointError(f"{path}: holds more numbers than its size allows; refused")
    while prefix := next((part for part in PREFIXES if all(name.startswith(part) for name in content)), None):
        content = {name.removeprefix(prefix): value for name, value in content.items()}
    return dict(content)


LISTED = 10
"""Names that an error lists of each kind."""

COUNTER = "num_batches_tracked"
"""Buffer of batch norms that old files lack and that inference does not use."""

VALUE_STEM = "value_encoder.conv1.weight"
"""First convolution of STCN's value encoder, which in weights for single objects sees no other masks."""


def match(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors of ``expected``; counters may be missing, STCN's :data:`VALUE_STEM` grows."""
    matched = dict(tensors)
    for name, target in expected.items():
        if name.endswith(COUNTER):
            matched.setdefault(name, torch.zeros_like(target))
    stem, grown = (weights.get(VALUE_STEM, torch.empty(0, 0)) for weights in (matched, expected))
    if stem.dim() == 4 and (stem.shape[1], grown.shape[1]) == (4, 5):
        matched[VALUE_STEM] = F.pad(stem, (0, 0, 0, 0, 0, 1))
    _require_equal_layout(path, matched, expected)
    for name, target in expected.items():
        matched[name] = matched[name].to(target.dtype)
        if not is_finite(matched[name]):
            raise CheckpointError(f"{path}: tensor {name} holds NaN or infinite values; get the file anew")
    return matched


def _require_equal_layout(path: Path, actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    problems = {
        "missing": [name for name in expected if name not in actual],
        "unexpected": [name for name in actual if name not in expected],
        "different": [
            f"{name} is {_layout(actual[name])}, not {_layout(target)}"
            for name, target in expected.items()
            if name in actual and _layout(actual[name]) != _layout(target)
        ],
    }
    listed = [
        f"{len(names)} {kind} ({first_few(names, LISTED)})" for kind, names in problems.items() if names
    ]
    if listed:
        raise CheckpointError(f"{path}: weights of another network or version: {'; '.join(listed)}")


def _layout(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else " integer"
    return f"{list(tensor.shape)}{kind}"

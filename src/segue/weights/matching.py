"""Hold the tensors of a file against what a network expects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import CheckpointError

LISTED = 10
"""Names that an error lists of each kind."""

COUNTER = "num_batches_tracked"
"""Buffer of batch norms that old files lack and that inference does not use."""

VALUE_STEM = "value_encoder.conv1.weight"


def match(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file, complete and in the types and shapes of ``expected``.

    Accepted differences: floating-point types; missing ``num_batches_tracked``, which become 0; a value
    stem of STCN's single-object stage, to which a zero channel is appended for the masks of the others.

    Args:
        path: the file, for messages.
        tensors: what it holds.
        expected: state dict of the network.

    Raises:
        CheckpointError: names are missing or unexpected, shapes or kinds of numbers differ, or a tensor
            holds NaN or infinity.
    """
    found = dict(tensors)
    for name, wanted in expected.items():
        if name.endswith(COUNTER):
            found.setdefault(name, torch.zeros_like(wanted))
    if VALUE_STEM in found and VALUE_STEM in expected:
        found[VALUE_STEM] = _with_others_channel(found[VALUE_STEM], expected[VALUE_STEM])
    _require_equal_layout(path, found, expected)
    for name, wanted in expected.items():
        found[name] = found[name].to(wanted.dtype)
        if wanted.is_floating_point() and not torch.isfinite(found[name]).all():
            raise CheckpointError(f"{path}: tensor {name} holds NaN or infinite values; get the file anew")
    return found


def _with_others_channel(stem: Tensor, wanted: Tensor) -> Tensor:
    if stem.dim() == 4 and stem.shape[1] == 4 and wanted.shape[1] == 5:
        return F.pad(stem, (0, 0, 0, 0, 0, 1))
    return stem


def _require_equal_layout(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    different = [
        f"{name} is {_layout(found[name])}, not {_layout(wanted)}"
        for name, wanted in expected.items()
        if name in found and _layout(found[name]) != _layout(wanted)
    ]
    problems = [
        f"{len(names)} {kind} ({_listed(names)})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("different", different))
        if names
    ]
    if problems:
        raise CheckpointError(f"{path}: weights of another network or version: {'; '.join(problems)}")


def _layout(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else " integer"
    return f"{list(tensor.shape)}{kind}"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")

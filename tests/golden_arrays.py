"""Golden numbers of the official implementations: small copies beside the tests, or the full arrays.

A small copy keeps label maps, indices, losses and means in full and of every large float array each n-th
value, so that ``make test`` holds all outputs against the published networks without the full files.
`Golden.check` compares in either case, with the tolerance that belongs to the type of the array:

    golden = load_golden("stcn_modules")
    golden.check("k16", query.key)

The small copies are written by ``python -m tests.golden.make_golden``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

SMALL = Path(__file__).resolve().parent / "golden"

SAMPLES = 600
"""Values that a small copy keeps of a large float array."""

FLOAT_TOLERANCE = 1e-4
"""Largest difference, as a share of the largest golden value."""

HALF_TOLERANCE = 1e-3
"""Largest absolute difference to probabilities that were stored as float16."""

LABEL_TOLERANCE = 2e-4
"""Share of the pixels of a file that may differ in a label map."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Golden:
    """The arrays of one golden file.

    Attributes:
        name: file name without suffix.
        arrays: golden arrays by key; in a small copy the large ones are one-dimensional samples.
    """

    name: str
    arrays: dict[str, Array]

    def __getitem__(self, key: str) -> Array:
        """Array ``key``; a test that needs one that only the full file has is skipped."""
        if key not in self.arrays:
            pytest.skip(f"{self.name}: {key} is only in the full file, in SEGUE_SHARED")
        return self.arrays[key]

    def like(self, key: str, measured: Array | torch.Tensor) -> Array:
        """``measured``, in the shape of the full array up to axes of length 1, as array ``key`` is kept."""
        expected = self[key]
        value = measured.detach().cpu().numpy() if isinstance(measured, torch.Tensor) else measured
        if expected.ndim == 1 and value.size != expected.size:
            value = sample(value)
        return value.reshape(expected.shape)

    def check(self, key: str, measured: Array | torch.Tensor, *, relative: bool = False) -> None:
        """Assert that ``measured``, in the shape of the full array up to axes of length 1, is array ``key``.

        Label maps (uint8) may differ in 0.02 % of the pixels; float32 by 1e-4 of the largest value and
        float16 by 1e-3 absolute, or with ``relative`` by 1e-3 of the largest value; float64 as float32.
        """
        value, expected = self.like(key, measured), self[key]
        where = f"{self.name}: {key}"
        if expected.dtype == np.uint8:
            share = float((value != expected).mean())
            assert share <= LABEL_TOLERANCE, f"{where}: {share:.3%} of the labels differ"
            return
        difference = float(np.abs(value.astype(np.float64) - expected.astype(np.float64)).max())
        half = expected.dtype == np.float16
        largest = float(np.abs(expected).max())
        limit = HALF_TOLERANCE * (largest if relative else 1) if half else FLOAT_TOLERANCE * largest
        assert difference <= limit, f"{where}: differs by {difference:.3g}, allowed {limit:.3g}"


def load_golden(name: str, folder: Path = SMALL) -> Golden:
    """Read ``<folder>/<name>.npz``; the default folder holds the small copies."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return Golden(name, {key: file[key] for key in file.files})


def best_golden(name: str) -> Golden:
    """The full file where ``SEGUE_SHARED`` has it, else the small copy."""
    folder = Path(os.environ.get("SEGUE_SHARED", SMALL.parents[2] / "shared")) / "golden"
    return load_golden(name, folder if (folder / f"{name}.npz").is_file() else SMALL)


def sample(array: Array) -> Array:
    """At most `SAMPLES` values, evenly spaced over the flattened array with an odd step."""
    flat = array.reshape(-1)
    step = max(1, -(-flat.size // SAMPLES)) | 1
    return flat[::step]

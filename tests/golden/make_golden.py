"""Derive the small golden copies from the full files.

``python -m tests.golden.make_golden SHARED/golden``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.golden_arrays import SAMPLES, SMALL, Array, load_golden, sample

FILES = (
    "stcn_modules",
    "stcn_clip2",
    "stcn_late",
    "stcn_single",
    "stcn_train_mo",
    "stcn_train_so",
    "stm_modules",
    "stm_clip2",
    "stm_single",
    "seqformer_losses",
    "seqformer_preprocess",
    "seqformer_r50_forward",
    "seqformer_r50_train",
    "msstsvis_release_r50_forward",
    "mustan_forward",
    "hofam_loss",
    "fgsegnet_v2",
)

WHOLE = {"seqformer_losses", "seqformer_preprocess"}
"""Files whose inputs do not follow from a rule and which are small anyway."""

REGENERATED = {"frames", "masks", "masks_all", "mask0", "memory1_masks", "mem1_masks"}
"""Inputs that follow from the rule in ``tests/clips.py``."""

INPUTS = {"loss.gt", "small.gt", "small.pred", "good.gt", "good.pred"}
"""Float inputs, which small copies keep in full."""

FULL_ONLY = ("big.", "large_area.", "odd_tramCrossroad_1fps.", "odd_bridgeEntry.")
"""Beginnings of keys that small copies leave out: further cases with large inputs."""


def shrink(key: str, array: Array) -> Array:
    """What the small copy keeps of an array."""
    if array.dtype.kind == "f" and array.size > SAMPLES and key not in INPUTS | {"grad_norms"}:
        return sample(array)
    return array


def main(folder: Path) -> None:
    """Write one small copy for each file of ``folder`` that is listed in `FILES`."""
    for name in FILES:
        arrays = load_golden(name, folder).arrays
        small = {
            key: array if name in WHOLE else shrink(key, array)
            for key, array in arrays.items()
            if key not in REGENERATED and not key.startswith(FULL_ONLY)
        }
        target = SMALL / f"{name}.npz"
        np.savez_compressed(target, **small)
        print(f"{target.name}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

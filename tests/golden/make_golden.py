"""Derive the small golden copies from the full files.

``python -m tests.golden.make_golden SHARED/golden``
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
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
    "nanodet_plus_m",
    *(f"xmem_{part}" for part in ("modules", "single", "late", "longterm", "resize", "train")),
    *(
        f"cutie_{part}"
        for part in ("modules", "modules_small", "single", "late", "longterm", "resize", "train")
    ),
    "sam2_modules",
)

WHOLE = {"seqformer_losses", "seqformer_preprocess"}
"""Files whose inputs do not follow from a rule and which are small anyway."""

REGENERATED = {"frames", "masks", "masks_all", "mask0", "memory1_masks", "mem1_masks"}
"""Inputs that follow from the rule in ``tests/clips.py``."""

INPUTS = {"loss.gt", "small.gt", "small.pred", "good.gt", "good.pred", "unit_logits", "unit_points"}
"""Float inputs, which small copies keep in full."""

WHOLE_KEYS = {"report.permutohedral", "paste.masks", "paste.out", "fine.out"}
"""Arrays that such copies keep whole in one case only."""

LEFT_OUT = (
    "small/",
    "base_plus/",
    "large/",
    "vit224.",
    "vit_pad.",
    "two.",
    "train.",
    "head.",
    "uncertainty.",
    "uncertain_all.",
)
"""Cases that such copies leave out."""

FULL_ONLY = ("big.", "large_area.", "odd_tramCrossroad_1fps.", "odd_bridgeEntry.")
"""Beginnings of keys that small copies leave out: further cases with large inputs."""


PARTS = {
    "crf_cases": ("image|labels|unary|params|iters", "permutohedral"),
    "hofam_forward": ("image_u8|flow_u8", ".*"),
    "lost_cases": (
        "feats|dims|image_size|k|degree|seed|similar|mask|box|image|(raw|centred)[.](degree|mask)",
        "M|pos_embed_sum|cls|keys",
    ),
    "msstsvis_units": ("ta_in", "ta_out.*"),
    "pointrend_cases": (
        "boxes|classes|size|deltas|feature|points|input|map|indices|init_steps|image_bgr|scale|pasted|box_image|"
        "mask_classes|e2e[.](boxes|classes)",
        ".*",
    ),
    "seqformer_deform_attn": ("shapes|core_(value|loc|weight)|pos_mask", "core_out|pos_out"),
    "seqformer_mask_head": ("mask_feats|params|ref_points_px|up_in", "masks_0|up_x2|up_x4"),
    "sam2_sizes": ("(info|frame|ids|low|iou|obj|ptr|mask|stage._last)", "-"),
    "seqformer_swin_l_backbone": ("x", "out."),
}
"""Of further files: what small copies keep whole and what is sampled, by the key behind the case."""


def parts(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The small copy of a file of `PARTS`."""
    whole, sampled = PARTS[name]
    kept = {}
    for key, array in arrays.items():
        rest = key.partition("." if "." in key else "/")[2] or key
        if key.startswith(LEFT_OUT):
            continue
        if key in WHOLE_KEYS or re.fullmatch(whole, rest):
            kept[key] = array
        elif re.fullmatch(sampled, rest):
            kept[key] = sample(array) if array.dtype.kind == "f" and array.size > SAMPLES else array
    return kept


def shrink(key: str, array: Array) -> Array:
    """What the small copy keeps of an array."""
    if array.dtype.kind == "f" and array.size > SAMPLES and key not in INPUTS | {"grad_norms"}:
        return sample(array)
    return array


def main(folder: Path) -> None:
    """Write one small copy for each file of ``folder`` that is listed in `FILES`."""
    for name in (*FILES, *PARTS):
        arrays = load_golden(name, folder).arrays
        small = (
            parts(name, arrays)
            if name in PARTS
            else {
                key: array if name in WHOLE else shrink(key, array)
                for key, array in arrays.items()
                if key not in REGENERATED and not key.startswith(FULL_ONLY)
            }
        )
        target = SMALL / f"{name}.npz"
        np.savez_compressed(target, **small)
        print(f"{target.name}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

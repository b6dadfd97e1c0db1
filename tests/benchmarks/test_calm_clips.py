"""The calm clips: a ground that stands still, masks that fit, and the bundled pond among them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

from calm_clips import NOISE, CutOut, Painted
from segue.datasets.davis import DavisFolder
from segue.masks import read_index_mask
from tests.clips import clip
from tests.segue_train.making import write_video
from tools.sample.clip import BUNDLED


def test_the_object_moves_and_the_ground_stands_still(tmp_path: Path) -> None:
    frames, masks = clip(3, 5, 120, 160, 1)
    sequence = DavisFolder(write_video(tmp_path, "a", frames, masks))["a"]
    backdrop = tmp_path / "JPEGImages" / "a"
    made = CutOut(sequence, backdrop, 0.3, (0.2, 0.3), (0.8, 0.7))
    pictures, shown = zip(*((frame.image, made.mask(frame.index)) for frame in made.frames()), strict=True)
    assert len(pictures) == len(made)
    x = [np.flatnonzero(mask.any(0)).mean() / mask.shape[1] for mask in (shown[0], shown[-1])]
    assert np.allclose(x, (0.2, 0.8), atol=0.02)
    far = ~np.any(shown, axis=0)
    far[:, 1:-1] &= far[:, :-2] & far[:, 2:]
    difference = pictures[0].astype(float) - pictures[-1]
    assert abs(difference[far].std() / (NOISE * 2**0.5) - 1) < 0.3


def test_the_pond_of_the_package_is_one_of_the_painted_ones() -> None:
    first = Painted(7).mask(0)
    assert np.array_equal(first, read_index_mask(BUNDLED / "first.png"))
    ponds = [next(Painted(seed).frames()).image for seed in (7, 11)]
    assert np.abs(ponds[0].astype(float) - ponds[1]).mean() > 5, "another seed paints other stones"

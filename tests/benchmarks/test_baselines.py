"""The baselines of the score benchmark on clips where the right answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import vos_scores
from segue.datasets.davis import DavisFolder
from vos_baselines import CopyFirst, FlowWarp, Tracker
from vos_clips import Clip

SHIFT = 2
SIZE = 96


def write_clip(root: Path, *, shift: int, frames: int = 6) -> Path:
    """A textured square that moves ``shift`` pixels per frame to the right over a grey ground."""
    images, masks = root / "JPEGImages" / "square", root / "Annotations" / "square"
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(60, 256, (SIZE // 2, SIZE // 2, 3)).astype(np.uint8)
    texture = cv2.GaussianBlur(noise, (5, 5), 0)
    for t in range(frames):
        picture, mask = np.full((SIZE, SIZE, 3), 40, np.uint8), np.zeros((SIZE, SIZE), np.uint8)
        place = slice(20, 20 + SIZE // 2), slice(16 + t * shift, 16 + t * shift + SIZE // 2)
        picture[place], mask[place] = texture, 255
        Image.fromarray(picture).save(images / f"{t:05}.png")
        Image.fromarray(mask).save(masks / f"{t:05}.png")
    return root


def j_and_f(root: Path, tracker: Tracker) -> float:
    clip = Clip(DavisFolder(root)["square"])
    return vos_scores.follow(clip, tracker, "2016").score.j_and_f


def test_copying_is_perfect_while_nothing_moves(tmp_path: Path) -> None:
    assert j_and_f(write_clip(tmp_path, shift=0), CopyFirst()) == 1


def test_flow_follows_what_copying_loses(tmp_path: Path) -> None:
    root = write_clip(tmp_path, shift=SHIFT)
    assert j_and_f(root, FlowWarp()) > 0.9 > j_and_f(root, CopyFirst())


def test_a_halved_clip_has_half_the_size(tmp_path: Path) -> None:
    clip = Clip(DavisFolder(write_clip(tmp_path, shift=0, frames=1))["square"], halved=True)
    frame = next(clip.frames())
    assert frame.size == clip.mask(0).shape == (SIZE // 2, SIZE // 2)


def test_missing_data_are_an_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = vos_scores.main(["--data", str(tmp_path), "--sets", "composites", "--methods", "copy"])
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1

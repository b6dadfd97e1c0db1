"""How SAM 2 on a whole video is called, and what wrong calls say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segue.errors import ArgumentError, PromptError, SegueError, SourceError
from segue.models.sam2 import SAM2, VideoPredictor
from tests.clips import clip

FRAMES, MASKS = clip(5, 3, 48, 64, 2)
INSIDE = MASKS[0] == 1
SIDE = 64


@pytest.fixture(scope="module")
def network() -> SAM2:
    torch.manual_seed(0)
    return SAM2("tiny").eval()


@pytest.mark.parametrize(
    "frames",
    [
        list(FRAMES),
        FRAMES,
        torch.from_numpy(FRAMES),
        [Image.fromarray(frame) for frame in FRAMES],
    ],
    ids=["list", "array", "tensor", "images"],
)
def test_frames_are_images_in_any_form(network: SAM2, frames: Any) -> None:
    wanted = VideoPredictor(network, FRAMES.__getitem__, 3, side=SIDE).mask(0, 1, INSIDE)
    found = VideoPredictor(network, frames, side=SIDE).mask(0, 1, torch.from_numpy(INSIDE))
    assert torch.equal(found.logits, wanted.logits)


def test_points_and_boxes_are_tuples_arrays_or_tensors(network: SAM2) -> None:
    video = VideoPredictor(network, FRAMES, side=SIDE)
    wanted = video.click(0, 1, [(20, 20)], box=(8, 8, 40, 40)).logits
    for points, box in (((20, 20), [8, 8, 40, 40]), (np.array([[20, 20]]), torch.tensor([8, 8, 40, 40]))):
        video.reset()
        assert torch.equal(video.click(0, 1, points, box=box).logits, wanted)  # type: ignore[arg-type]


WRONG: dict[str, tuple[Callable[[Any], Any], type[SegueError], str]] = {
    "network": (lambda _: VideoPredictor("sam2-tiny", FRAMES), ArgumentError, "network"),  # type: ignore[arg-type]
    "frames": (lambda n: VideoPredictor(n, 3), ArgumentError, "frames"),  # type: ignore[arg-type]
    "count": (lambda n: VideoPredictor(n, FRAMES.__getitem__), ArgumentError, "count"),
    "no frame": (lambda n: VideoPredictor(n, [], side=SIDE), ArgumentError, "count"),
    "side": (lambda n: VideoPredictor(n, FRAMES, side=50), ArgumentError, "side 50"),
    "image": (
        lambda n: VideoPredictor(n, [None], side=SIDE).click(0, 1, [(5, 5)]),
        SourceError,
        "frame 0",
    ),
    "name of a frame": (
        lambda n: VideoPredictor(n, FRAMES, side=SIDE).click("0", 1, [(5, 5)]),  # type: ignore[arg-type]
        PromptError,
        "frame",
    ),
    "label": (
        lambda n: VideoPredictor(n, FRAMES, side=SIDE).click(0, 1, [(5, 5)], [7]),
        PromptError,
        "labels",
    ),
    "box": (
        lambda n: VideoPredictor(n, FRAMES, side=SIDE).click(0, 1, box=(30, 30, 5, 5)),
        PromptError,
        "box",
    ),
    "mask": (
        lambda n: VideoPredictor(n, FRAMES, side=SIDE).mask(0, 1, INSIDE / 2.0),
        PromptError,
        "mask",
    ),
    "object": (
        lambda n: VideoPredictor(n, FRAMES, side=SIDE).unprompt(0, 5),
        PromptError,
        "object 5",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_names_the_argument(case: str, network: SAM2) -> None:
    call, kind, name = WRONG[case]
    with pytest.raises(kind, match=name):
        call(network)

"""Clips of YouTube-VIS and COCO: frames, changes, batches, targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.errors import DatasetError
from segue.utils.arrays import BoolArray, Float32Array
from segue_train.data.instance_augment import InstanceClip
from segue_train.data.ytvis_clips import ClipBatches, valid_places
from segue_train.losses.instances import tight_boxes
from tests.segue_train.instance_sets import BRIGHT, DARK, drawn_image

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = {BRIGHT: "lamp", DARK: "coal"}


def boxes_around(masks: BoolArray) -> Float32Array:
    return tight_boxes(torch.from_numpy(np.ascontiguousarray(masks))).numpy()


def small_clip(frames: int = 2) -> InstanceClip:
    """The bright and the dark square, moving apart."""
    pairs = [drawn_image(t, 2 * t) for t in range(frames)]
    masks = np.stack([masks for _, masks in pairs], axis=1)
    labels = np.array([BRIGHT, DARK], np.int64)
    return InstanceClip([image for image, _ in pairs], labels, masks, boxes_around(masks))


class Places:
    """A source that shows which of its places is drawn, as the class of a single pixel; some are empty."""

    def __init__(self, count: int, empty: tuple[int, ...] = ()) -> None:
        self.count, self.empty = count, empty

    def __len__(self) -> int:
        return self.count

    def draw(self, rng: np.random.Generator, place: int) -> InstanceClip | None:
        if place in self.empty:
            return None
        shape = (1, 1, 2, 2)
        masks = np.ones(shape, np.bool_)
        frame = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        return InstanceClip([frame], np.array([place]), masks, boxes_around(masks))


def test_every_epoch_has_every_clip_once() -> None:
    batches = ClipBatches(7, 0, [Places(4), Places(3)], batch=2)
    drawn = torch.cat([batches[number]["labels"] for number in range(7)]).tolist()
    whole = sorted([*range(4), *range(3)])
    assert sorted(drawn[:7]) == sorted(drawn[7:]) == whole
    assert drawn[:7] != drawn[7:]


def test_another_clip_is_taken_where_one_shows_nothing() -> None:
    batches = ClipBatches(1, 0, [Places(4, empty=(0, 1, 2))], batch=4)
    assert batches[0]["labels"].tolist() == [3] * 4
    with pytest.raises(DatasetError):
        _ = ClipBatches(1, 0, [Places(2, empty=(0, 1))], batch=1)[0]
    with pytest.raises(DatasetError):
        ClipBatches(1, 0, [], batch=1)


def test_padding_is_not_valid() -> None:
    inside = valid_places(torch.tensor([[2, 3], [4, 1]]), 4, 5)
    expected = torch.zeros(2, 4, 5, dtype=torch.bool)
    expected[0, :2, :3] = expected[1, :4, :1] = True
    assert torch.equal(inside, expected)

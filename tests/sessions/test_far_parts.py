"""Objects at another place than their windows show: on both sides of a post, or a step away."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.masks.measure import iou

Images = npt.NDArray[np.uint8]


def wall(size: tuple[int, int], seed: int, low: int, high: int) -> Images:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(low, high, (size[0] // 16 + 2, size[1] // 16 + 2, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def film(
    size: tuple[int, int], side: int, count: int, place: Callable[[int], tuple[float, float]]
) -> tuple[Images, npt.NDArray[np.bool_]]:
    """Frames (T, H, W, 3) and true masks (T, H, W) of a round thing on a wall."""
    rng = np.random.default_rng(2)
    back = wall(size, 11, 60, 190).astype(np.int16)
    texture = wall((side, side), 12, 150, 230).astype(np.int16) * (1.0, 0.3, 0.25)
    rows, columns = np.mgrid[: size[0], : size[1]]
    frames, masks = [], []
    for time in range(count):
        left, top = (round(value) for value in place(time))
        middle = (side - 1) / 2
        shape = (columns - left - middle) ** 2 + (rows - top - middle) ** 2 <= (side / 2) ** 2
        image = back + rng.integers(-3, 4, back.shape)
        image[shape] = texture[rows[shape] - top, columns[shape] - left]
        frames.append(image.clip(0, 255).astype(np.uint8))
        masks.append(shape)
    return np.stack(frames), np.stack(masks)


def to_and_fro(value: float, last: float) -> float:
    value %= 2 * last
    return value if value <= last else 2 * last - value


def ious(frames: Images, truth: npt.NDArray[np.bool_]) -> list[float]:
    results = segue.track(frames, masks=truth[0])
    return [iou(result.mask > 0, mask) for result, mask in zip(results, truth, strict=True)]


def test_an_object_that_comes_out_on_the_other_side_of_a_post_is_found_in_both_parts() -> None:
    frames, truth = film((160, 224), 70, 60, lambda time: (10 + 2.2 * time, 45))
    frames[:, :, 100:126] = wall((160, 26), 91, 20, 60)
    truth[:, :, 100:126] = False
    both = [mask[:, :100].sum() > 200 < mask[:, 126:].sum() for mask in truth]
    found = ious(frames, truth)
    assert sum(both) > 10
    assert np.mean([each for each, in_two in zip(found, both, strict=True) if in_two]) > 0.85


@pytest.mark.parametrize("step", [60, 90, 120])
def test_an_object_of_a_time_lapse_is_found_on_the_frame_on_which_it_is_out_of_its_window(step: int) -> None:
    frames, truth = film(
        (200, 320),
        48,
        25,
        lambda time: (to_and_fro(20 + 0.85 * step * time, 272), to_and_fro(20 + 0.5 * step * time, 152)),
    )
    found = ious(frames, truth)
    assert min(found) > 0.6
    assert np.mean(found) > 0.9

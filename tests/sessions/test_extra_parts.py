"""Depth and flow beside images: their range, their size, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import PromptError
from segue.sessions.extra_inputs import (
    DepthScale,
    check_extra,
    compute_flow,
)
from segue.types import Frame


def picture(**extra: Any) -> Frame:
    return Frame(4, 0.2, np.zeros((6, 8, 3), np.uint8), **extra)


def test_depth_goes_from_the_first_to_the_last_hundredth_of_the_first_map() -> None:
    scale, depth = DepthScale(), np.arange(1, 102, dtype=np.float32)[None]
    found = scale(depth)
    assert (found.dtype, found.shape) == (np.uint8, (1, 101))
    # The first and the last percentile are 2 and 100.
    assert found[0, [0, 1, 50, 99, 100]].tolist() == [0, 0, 128, 255, 255]
    assert scale(np.array([[2.0, 51.0, 100.0, 7000.0]]))[0].tolist() == [0, 128, 255, 255]
    scale.restart()
    assert scale(np.array([[51.0, 51.0]]))[0].tolist() == [0, 0], "another scene, without any depth"
    later = DepthScale()
    assert not later(np.array([[0.0, np.nan]])).any()
    assert later(np.array([[1.0, 2.0, 3.0]]))[0, [0, 2]].tolist() == [0, 255], "the first map that is known"


@pytest.mark.parametrize(
    ("extra", "taken", "message"),
    [
        ({}, None, None),
        ({}, "flow", None),
        ({"depth": np.ones((6, 8))}, "depth", None),
        ({"depth": np.ones((6, 8))}, "flow", "frame 4 brings depth, but net takes none"),
        ({"flow": np.ones((6, 8, 1), np.uint8)}, None, "frame 4 brings flow, but net takes none"),
        ({"depth": np.ones((12, 16))}, "depth", "the depth map is 16x12, but the frame is 8x6"),
        ({"flow": np.ones((12, 16, 1), np.uint8)}, "flow", None),
        ({"flow": np.ones((8, 6, 1), np.uint8)}, "flow", "the flow is 6x8, but the frame is 8x6"),
    ],
)
def test_what_a_frame_brings_must_be_taken_and_fit(extra: Any, taken: Any, message: str | None) -> None:
    frame = picture(**extra)
    if message is None:
        check_extra(frame, taken, "net")
        return
    with pytest.raises(PromptError, match=message):
        check_extra(frame, taken, "net")


class Flows:
    """Flow whose length is the distance of two images, and its images."""

    def flows(self, now: Any, before: list[Any]) -> list[Any]:
        assert now.dtype == np.uint8
        apart = [float(now[0, 0, 0]) - float(each[0, 0, 0]) for each in before]
        return [np.full((*now.shape[:2], 2), (distance, 0), np.float32) for distance in apart]

    def picture(self, flows: list[Any]) -> Any:
        return np.stack([flow[..., 0] for flow in flows], -1).astype(np.uint8)


def test_flow_is_that_of_each_sample_to_its_earlier_frames() -> None:
    def shown(*levels: int) -> torch.Tensor:
        return torch.stack([torch.full((3, 4, 6), level / 255) for level in levels])

    planes, motion = compute_flow(Flows(), shown(100, 200), [shown(90, 180), shown(49, 100)])  # type: ignore[arg-type]
    assert planes.shape == (2, 2, 4, 6)
    assert (planes[:, :, 0, 0] * 255).round().tolist() == [[10, 51], [20, 100]]
    assert [tuple(each.shape) for each in motion] == [(2, 2, 4, 6)] * 2
    assert motion[0][:, 0, 0, 0].tolist() == [10, 20]
    assert motion[1][:, 0, 0, 0].tolist() == [51, 100]
    assert not motion[0][:, 1].any()

"""Images of an encoder: which map stands where, in which colours, under which words."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.seqformer.observing import EncoderAttention
from segue.sessions import encoder_pictures
from segue.sessions.encoder_pictures import draw_encoder, draw_frames, draw_scales
from segue.types import Image

SHAPES = ((4, 6), (2, 3))
IMAGE = np.full((32, 48, 3), 90, np.uint8)
FRAMES = [np.full((32, 48, 3), 10 * t, np.uint8) for t in range(3)]


def attention(frames: int = 3, kinds: int = 2) -> EncoderAttention:
    """Of frame 1 each scale reads itself, evenly from place to place; of frames other shares."""
    found = EncoderAttention(shapes=SHAPES)
    for height, width in SHAPES:
        places = height * width
        within = torch.full((1, frames, places, frames), 0.25)
        within[..., 0] = 0.5
        within[0, :, 0, :] = 0.1  # the first place sees less
        found.within.append(within)
        between = torch.full((1, frames, places, kinds, frames), 0.1)
        between[..., -1, :] = 0.2
        found.between.append(between)
    return found


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Image, Any, float | None, str]]:
    """Images, their maps, the value of full colour, and the words above them."""
    seen: list[Any] = []

    def heated(image: Image, plane: Any, most: float | None = None) -> Image:
        seen.append([image, plane, most])
        return image

    real = encoder_pictures._captioned

    def captioned(image: Image, text: str) -> Image:
        seen[-1].append(text)
        return real(image, text)

    monkeypatch.setattr(encoder_pictures, "heated", heated)
    monkeypatch.setattr(encoder_pictures, "_captioned", captioned)
    return seen


def test_each_frame_of_the_window_is_read_with_its_own_share(drawn: list[Any]) -> None:
    table = draw_frames(attention(), 1, FRAMES)
    assert table.shape == (6 * (32 + 14), 3 * 48, 3)
    assert [words for *_, words in drawn[:3]] == [
        "in 1/8 -1: 0.483",  # 23 places of 0.5 and one of 0.1
        "in 1/8 +0: 0.244",
        "in 1/8 +1: 0.244",
    ]
    assert [words.rpartition(" ")[0] for *_, words in drawn[3::3]] == [
        "in 1/16 -1:",
        "1/8 own -1:",
        "1/8 next -1:",
        "1/16 own -1:",
        "1/16 next -1:",
    ]
    for t, (picture, plane, most, _) in enumerate(drawn[:3]):
        assert picture[0, 0, 0] == 10 * t
        assert plane.shape == SHAPES[0]
        assert plane.dtype == np.float32
        assert plane[0, 0] == pytest.approx(0.1)
        assert plane[0, 1] == pytest.approx(0.5 if t == 0 else 0.25)
        assert most == pytest.approx(2 / 3), "twice what each counts if all count alike"
    own, following = drawn[6], drawn[9]
    assert (own[1] == np.float32(0.1)).all()
    assert (following[1] == np.float32(0.2)).all()
    assert own[2] == following[2] == pytest.approx(2 / 6)
    column = table[:, 48:96]
    assert (column[14:46] == 10).all()
    assert (column[60:92] == 10).all()


class Watched(EncoderAttention):
    """Is asked for maps of tokens."""

    def __init__(self) -> None:
        super().__init__(shapes=SHAPES)
        self.asked: list[tuple[int, Tensor | None]] = []

    def spatial_maps(self, frame: int, tokens: Tensor | None = None) -> list[Tensor]:
        self.asked.append((frame, tokens))
        maps = [torch.zeros(shape) for shape in SHAPES]
        maps[0][1, 2], maps[1][0, 0] = 0.75, 0.25
        return maps


def test_scales_are_drawn_for_the_frame_and_for_each_object_that_is_seen(drawn: list[Any]) -> None:
    found, mask = Watched(), np.zeros((8, 12), np.uint16)
    mask[:4, :6] = 7
    mask[6:, 9:] = 3
    table = draw_scales(found, 2, IMAGE, mask, [9, 7, 3])
    assert table.shape == (2 * 46, 3 * 48, 3)
    assert [words for *_, words in drawn] == [
        "all, 1/8: 0.75",
        "all, 1/16: 0.25",
        "3, 1/8: 0.75",
        "3, 1/16: 0.25",
        "7, 1/8: 0.75",
        "7, 1/16: 0.25",
    ]
    (_, everything), (_, three), (frame, seven) = found.asked
    assert frame == 2
    assert everything is None
    assert three is not None
    assert seven is not None
    # Tokens of every scale, each by the part of it that the object covers.
    fine, coarse = seven[:24].reshape(4, 6), seven[24:].reshape(2, 3)
    assert fine[:2, :3].eq(1).all()
    assert fine.sum() == 6
    assert coarse[0].tolist() == [1, 0.5, 0]
    assert coarse[1].tolist() == [0, 0, 0]
    assert three[:24].reshape(4, 6)[3, 4:].tolist() == [0.5, 1]
    spot = np.zeros(SHAPES[0], np.float32)
    spot[1, 2] = 0.75
    np.testing.assert_allclose(drawn[0][1], cv2.GaussianBlur(spot, (0, 0), 1))
    assert drawn[0][2] is None


@pytest.mark.parametrize(("within", "between"), [(True, True), (True, False), (False, True), (False, False)])
def test_frames_are_drawn_where_they_see_each_other(within: bool, between: bool) -> None:
    class Both(Watched):
        pass

    found, known = Both(), attention()
    found.within = known.within if within else []
    found.between = known.between if between else []
    pictures = draw_encoder(found, 1, IMAGE, FRAMES, np.zeros((8, 12), np.uint8), [])
    assert set(pictures) == ({"-scales", "-frames"} if within or between else {"-scales"})
    assert pictures["-scales"].shape == (92, 48, 3)

"""The published inference over a film."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.masks import decode_rle, encode_rle
from segue.models.seqformer import SeqFormer, Size
from segue.sessions.official import sure_results, whole_clip
from segue.types import Frame

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_a_clip_has_at_most_ten_entries_of_its_length_at_the_size_of_the_film() -> None:
    torch.manual_seed(0)
    size = Size(width=64, hidden=32, encoder_layers=1, decoder_layers=1, heads=4, queries=6, classes=3)
    network = SeqFormer("mobilenet-v2", size).eval()
    pictures = [np.random.default_rng(t).integers(0, 256, (72, 96, 3)).astype(np.uint8) for t in range(2)]
    records = whole_clip(network, iter(pictures), (144, 192), short_side=72, device="cpu")
    assert 0 < len(records) <= 10  # queries without a pixel have none
    assert {record["video_id"] for record in records} == {1}
    for record in records:
        assert [tuple(mask["size"]) for mask in record["segmentations"]] == [(144, 192)] * 2


def test_the_surest_entry_is_shown_on_top() -> None:
    left, top = np.zeros((2, 4, 6), np.bool_)
    left[:, :3], top[:2] = True, True

    def record(mask: Any, score: float) -> dict[str, Any]:
        return {"score": score, "segmentations": [dict(encode_rle(mask)), None]}

    frames = [Frame(t, t / 25, np.zeros((4, 6, 3), np.uint8)) for t in range(2)]
    records = [record(left, 0.9), record(top, 0.4), record(~left, 0.2)]
    first, second = (result.mask for result in sure_results(records, frames, 0.3))
    np.testing.assert_array_equal(first == 2, left)
    np.testing.assert_array_equal(first == 1, top & ~left)
    assert not second.any()
    assert decode_rle(records[0]["segmentations"][0]).any()

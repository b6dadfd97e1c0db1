"""The published inference over a video."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segue.masks import decode_rle, encode_rle
from segue.models.seqformer import SeqFormer, Size
from segue.sessions.official import sure_result, whole_clip
from segue.types import Frame

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_a_clip_has_at_most_ten_entries_of_its_length_at_the_size_of_the_video() -> None:
    torch.manual_seed(0)
    size = Size(width=64, hidden=32, encoder_layers=1, decoder_layers=1, heads=4, queries=6, classes=3)
    network = SeqFormer("r18", size).eval()
    images = [np.random.default_rng(t).integers(0, 256, (72, 96, 3)).astype(np.uint8) for t in range(2)]
    records = whole_clip(network, iter(images), (144, 192), short_side=72, device="cpu")
    assert 0 < len(records) <= 10  # queries without a pixel have none
    assert {record["video_id"] for record in records} == {1}
    for record in records:
        assert [tuple(mask["size"]) for mask in record["segmentations"]] == [(144, 192)] * 2


def test_the_surest_entry_is_shown_on_top() -> None:
    left, top = np.zeros((2, 4, 6), np.bool_)
    left[:, :3], top[:2] = True, True

    def record(mask: Any, score: float) -> dict[str, Any]:
        return {"score": score, "category_id": 5, "segmentations": [dict(encode_rle(mask)), None]}

    frames = [Frame(t, t / 25, np.zeros((4, 6, 3), np.uint8)) for t in range(2)]
    records = [record(left, 0.9), record(top, 0.4), record(~left, 0.2)]
    results = [sure_result(records, t, frame, 0.3, {5: "dog"}) for t, frame in enumerate(frames)]
    first, second = (result.mask for result in results)
    np.testing.assert_array_equal(first == 2, left)
    np.testing.assert_array_equal(first == 1, top & ~left)
    assert not second.any()
    assert [result.masks.sum((1, 2)).tolist() for result in results] == [[12, 12], [0, 0]]
    np.testing.assert_array_equal(results[0].masks, [top, left])
    assert [(item.label, item.score, item.area) for item in results[0].objects] == [
        ("dog", 0.4, 6),
        ("dog", 0.9, 12),
    ]
    assert [item.area for item in results[1].objects] == [0, 0]
    assert decode_rle(records[0]["segmentations"][0]).any()


class Answers(nn.Module):
    """A network whose answers are given: masks by query and frame, (Q, T, h, w), and logits of classes."""

    relates_frames = False

    def __init__(self, masks: Any, logits: Any) -> None:
        super().__init__()
        self.masks, self.logits = torch.as_tensor(masks).float(), torch.as_tensor(logits)[None]

    def encode(self, frames: Any) -> list[Any]:
        return [frames]

    def join(self, memories: list[Any]) -> Any:
        return torch.cat([frame for memory in memories for frame in memory], 1)

    def decode(self, memory: Any) -> Any:
        assert memory.shape[:2] == (1, 2)
        return "decoded"

    def class_logits(self, decoded: Any) -> Any:
        return self.logits

    def mask_logits(self, memory: Any, decoded: Any, begin: int, queries: Any) -> Any:
        assert (decoded, begin) == ("decoded", 0)
        return self.masks[queries]


def test_entries_of_one_query_stand_together_without_those_that_show_nothing() -> None:
    masks = np.full((3, 2, 2, 2), -9.0)
    masks[0, 0, 0], masks[1, 1, :, 1] = 9, 9  # the third query never shows anything
    network: Any = Answers(masks, [[3.0, 1.0], [2.0, -9.0], [2.5, 2.4]])
    images = [np.zeros((4, 4, 3), np.uint8)] * 2
    how: Any = {"device": "cpu", "short_side": 4}
    records = whole_clip(network, images, (4, 4), **how)
    assert [(item["video_id"], item["category_id"]) for item in records] == [(1, 0), (1, 1), (1, 0), (1, 1)]
    assert [item["score"] for item in records] == pytest.approx(
        torch.tensor([3.0, 1.0, 2.0, -9.0]).sigmoid().tolist()
    )
    first, _, second, unsure = (item["segmentations"] for item in records)
    assert decode_rle(first[0]).sum() == 8
    assert not decode_rle(first[1]).any()
    assert decode_rle(second[1])[:, 2:].all()
    assert unsure == [None, None], "its score is below a thousandth"
    related: Any = Answers(masks, [[3.0, 1.0], [2.0, -9.0], [2.5, 2.4]])
    related.relates_frames, related.encode = True, lambda clip: clip
    assert whole_clip(related, images, (4, 4), **how) == records

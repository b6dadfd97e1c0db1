"""What the tokens of ``msstsvis-lite`` should tell, and what they start from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segue.models.msstsvis.lite import Proposed, anchors
from segue.models.seqformer.encoder import Levels
from segue.training.instance_losses import PROPOSAL_WEIGHTS, ClipTargets, proposal_losses, wanted

SHAPES = ((8, 16), (4, 8), (2, 4))
"""Levels of a picture of 64x128."""


def layout(clips: int = 1) -> Levels:
    return Levels(SHAPES, None, torch.ones(clips, len(SHAPES), 2))


def clip_of(*boxes: tuple[float, float, float, float], labels: tuple[int, ...]) -> ClipTargets:
    """One frame with boxes in pixels: centre, width, height."""
    size = torch.tensor([128.0, 64.0, 128.0, 64.0])
    stacked = torch.tensor(boxes).reshape(-1, 1, 4) / size
    masks = torch.zeros(len(stacked), 1, 64, 128, dtype=torch.bool)
    return ClipTargets(torch.tensor(labels, dtype=torch.int64), stacked, masks)


def told_on(level: int, classes: Tensor) -> Tensor:
    """Classes (h, w) of the tokens of a level of the first frame."""
    return torch.split(classes[0, 0], [h * w for h, w in SHAPES])[level].view(SHAPES[level])


def test_anchors_lie_on_their_tokens() -> None:
    boxes = anchors(layout())[0]
    assert torch.allclose(boxes[0], torch.tensor([4 / 128, 4 / 64, 5 / 16, 5 / 8]))
    assert torch.allclose(boxes[-1], torch.tensor([112 / 128, 48 / 64, 0.9, 0.9]))


def test_a_small_object_is_told_by_the_tokens_around_its_middle_on_the_fine_level() -> None:
    classes, boxes = wanted(layout(), [clip_of((60.0, 28.0, 24.0, 24.0), labels=(3,))])
    fine = told_on(0, classes)
    assert fine[2:5, 6:9].eq(3).all()
    assert fine.count_nonzero() == 9
    assert told_on(2, classes).count_nonzero() == 0
    assert torch.equal(boxes[0, 0, 3 * 16 + 7], torch.tensor([60 / 128, 28 / 64, 24 / 128, 24 / 64]))


def test_a_large_object_is_told_on_the_coarse_level() -> None:
    classes, _ = wanted(layout(), [clip_of((64.0, 32.0, 120.0, 60.0), labels=(1,))])
    assert told_on(0, classes).count_nonzero() == 0
    assert told_on(2, classes).count_nonzero() > 0


def test_the_smaller_of_two_has_the_token() -> None:
    large, small = (60.0, 28.0, 44.0, 44.0), (60.0, 28.0, 12.0, 12.0)
    for boxes, labels in (((large, small), (1, 2)), ((small, large), (2, 1))):
        classes, _ = wanted(layout(), [clip_of(*boxes, labels=labels)])
        assert told_on(0, classes)[3, 7] == 2


def test_where_nothing_is_to_be_seen_nothing_is_told() -> None:
    absent = clip_of((0.0, 0.0, 0.0, 0.0), labels=(2,))
    nothing = clip_of(labels=())
    for clip in (absent, nothing):
        assert not wanted(layout(), [clip])[0].any()


def test_tokens_that_are_right_cost_nothing() -> None:
    levels = layout()
    clip = clip_of((60.0, 28.0, 24.0, 24.0), labels=(3,))
    classes, boxes = wanted(levels, [clip])
    logits = torch.full((*classes.shape, 5), -30.0)
    logits.scatter_(
        -1, classes[..., None], 30.0 * (classes[..., None] > 0) - 30.0 * (classes[..., None] == 0)
    )
    predicted = torch.where((classes > 0)[..., None], boxes, anchors(levels)[:, None])
    losses = proposal_losses(Proposed(logits, predicted), levels, [clip])
    assert losses.keys() == PROPOSAL_WEIGHTS.keys()
    assert all(value.item() == pytest.approx(0, abs=1e-5) for value in losses.values())
    wrong = proposal_losses(Proposed(-logits, predicted + 0.05), levels, [clip])
    assert all(wrong[name] > losses[name] + 0.1 for name in PROPOSAL_WEIGHTS)

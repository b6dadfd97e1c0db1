"""Classed clips, their targets, and the adversarial loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.masks import encode_rle
from segue.models.msstsvis import Discriminator
from segue.models.seqformer import SeqFormer, Size
from segue_train.clips import ClipShape
from segue_train.instance_clips import (
    UNKNOWN,
    ClassedFootage,
    InstanceBatches,
    InstanceClipSampler,
    annotated_footage,
    coco_number,
    targets,
)
from segue_train.instance_losses import centred, separability_losses, soft_union, tight_boxes
from tests.segue_train.instance_sets import SIZE, save_coco, save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = ClipShape(batch=2, frames=3, side=64, objects=0)


@pytest.fixture
def stills(tmp_path: Path) -> list[ClassedFootage]:
    """Two pictures with a bright square, a person, and a dark one, a bicycle."""
    return annotated_footage(f"coco={save_coco(tmp_path, {1: 'person', 2: 'bicycle'})}")


def tiny() -> SeqFormer:
    size = Size(width=64, hidden=64, encoder_layers=1, decoder_layers=2, heads=4, queries=14, classes=3)
    return SeqFormer("mobilenet-v2", size)


def test_masks_and_classes_belong_together(stills: list[ClassedFootage]) -> None:
    batches = InstanceBatches(4, 3, InstanceClipSampler([(1.0, stills)]), SHAPE)
    for number in range(4):
        batch = batches[number]
        assert batch["frames"].shape == (2, 3, 64, 64, 3)
        for masks, labels, pictures in zip(batch["masks"], batch["labels"], batch["frames"], strict=True):
            assert int(masks.max()) <= int((labels > 0).sum())
            for index, label in enumerate(labels[labels > 0].tolist(), start=1):
                values = pictures.float().mean(-1)[masks == index]
                if len(values) > 100:
                    assert (values.median() > 128) == (label == 1)


def test_footage_has_classes_of_coco(tmp_path: Path) -> None:
    first, second = annotated_footage(f"ytvis={save_ytvis(tmp_path, {1: 'lamp', 2: 'Flying_Disc'})}")
    assert (len(first), first.complete) == (6, True)
    assert [second.label(i) for i in (1, 2)] == [UNKNOWN, coco_number("frisbee")]
    picture, mask = first.read(2)
    assert picture.shape == (*SIZE, 3)
    assert (picture[mask == 2] == 10).all()
    assert (mask == 2).sum() == 24 * 30
    assert not (first.read(1)[1] == 2).any()


@pytest.mark.parametrize(
    ("name", "number"), [("Person", 1), ("sedan", 3), ("fire hydrant", 11), ("tennis_racket", 43)]
)
def test_categories_are_known_by_their_other_names(name: str, number: int) -> None:
    assert coco_number(name) == number
    assert coco_number("giant_panda") == UNKNOWN


def test_the_smaller_of_two_that_overlap_is_in_front(tmp_path: Path) -> None:
    planes = np.zeros((2, *SIZE), np.bool_)
    planes[0, 10:20, 10:20] = planes[1, 5:40, 5:40] = True
    masks = [encode_rle(plane) for plane in planes]
    objects = [
        {"id": i, "image_id": 1, "category_id": i, "iscrowd": 0, "area": 1.0, "segmentation": mask}
        for i, mask in enumerate(masks, start=1)
    ]
    coco = save_coco(tmp_path, {1: "lamp", 2: "coal"})
    content = json.loads((coco / "train2017.json").read_text())
    (coco / "train2017.json").write_text(json.dumps(content | {"annotations": objects}))
    (footage,) = annotated_footage(f"coco={coco}")
    _, mask = footage.read(0)
    assert np.array_equal(mask == 1, planes[0])
    assert np.array_equal(mask == 2, planes[1] & ~planes[0])


def test_the_first_clips_have_one_frame(stills: list[ClassedFootage]) -> None:
    batches = InstanceBatches(4, 1, InstanceClipSampler([(1.0, stills)]), SHAPE, single_share=0.5)
    shapes = [tuple(batches[number]["frames"].shape[:2]) for number in range(4)]
    assert shapes == [(6, 1), (6, 1), (2, 3), (2, 3)]


def test_a_batch_depends_on_its_number_alone(stills: list[ClassedFootage]) -> None:
    one, other = (InstanceBatches(9, 1, InstanceClipSampler([(1.0, stills)]), SHAPE) for _ in range(2))
    _ = one[0]
    for key, value in one[5].items():
        assert torch.equal(value, other[5][key])
    assert not torch.equal(one[5]["frames"], one[6]["frames"])


def test_boxes_are_tight_around_masks() -> None:
    planes = torch.zeros(2, 10, 20, dtype=torch.bool)
    planes[0, 2:6, 4:9] = True
    boxes = centred(tight_boxes(planes), (10, 20))
    assert torch.allclose(boxes[0], torch.tensor([0.325, 0.4, 0.25, 0.4]))
    assert boxes[1].tolist() == [0, 0, 0, 0]


def test_objects_that_are_hardly_seen_are_not_asked_for() -> None:
    masks = torch.zeros(1, 2, 32, 32, dtype=torch.uint8)
    masks[0, 0, :9, :9], masks[0, 1, 10:17, 10:17] = 1, 2
    (clip,) = targets(masks, torch.tensor([[2, 1, 0]]))
    assert clip.labels.tolist() == [2]
    assert clip.masks.sum() == 81


def test_the_soft_union_holds_for_logits_of_thousands() -> None:
    logits = torch.tensor([[[[0.0, -3000.0]]], [[[0.0, 3000.0]]]])
    union = soft_union([logits, logits[:0]], torch.zeros(2, 1, 1, 2))
    assert torch.allclose(union[0], torch.tensor([[[0.75, 1.0]]]))
    assert union[1].sum() == 0


def test_the_adversaries_do_not_train_each_other() -> None:
    network, judge = tiny(), Discriminator(64)
    frames = torch.rand(1, 2, 3, 64, 64)
    memory = network.encode(frames)
    predicted = torch.rand(1, 2, 16, 16, requires_grad=True)
    true = torch.rand(1, 2, 16, 16) > 0.5
    deceive, recognise = separability_losses(judge, memory, frames, true, predicted)
    deceive.backward(retain_graph=True)
    assert predicted.grad is not None
    assert all(parameter.grad is None for parameter in judge.parameters())
    predicted.grad = None
    recognise.backward()
    assert predicted.grad is None
    assert all(parameter.grad is not None for parameter in judge.parameters())

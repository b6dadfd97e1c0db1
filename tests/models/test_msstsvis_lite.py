"""``msstsvis-lite``: queries from what the encoder finds, on a trunk that is not trained."""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path

import pytest
import torch

from segue.api.instances import instances
from segue.models.deeplab import DeepLabTrunk, DeepLabV3
from segue.models.msstsvis.lite import LITE_NAMES, LITE_SIZE, MSSTSVISLite, best, overlaps, waves
from segue.video import open_source
from segue.weights import load
from tests.fill import fill_plainly


def test_the_surest_tokens_that_are_apart_come_first() -> None:
    boxes = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]]])
    boxes = torch.cat((boxes, boxes + 0.001))
    logits = torch.tensor([[[3.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [[2.5, 0.0], [4.0, 0.0], [0.0, 0.5]]])
    assert best(logits, boxes, 6).tolist() == [4, 2, 0, 3, 1, 5]


def test_overlap_of_boxes_is_what_geometry_says() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.6, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    expected = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.allclose(overlaps(boxes), expected, atol=1e-6)


def test_boxes_are_told_by_waves() -> None:
    told = waves(torch.tensor([[0.5, 0.0, 0.0, 0.0]]))[0]
    assert told.shape == (32,)
    assert torch.allclose(told[:4], torch.tensor([1.0, 0.0, 0.0, 0.0]), atol=1e-5)
    assert torch.allclose(told[16:20], torch.tensor([0.0, -1.0, 1.0, 1.0]), atol=1e-5)


def test_the_trunk_is_that_of_deeplab_and_stays() -> None:
    network = MSSTSVISLite()
    trunk = network.backbone.body
    assert isinstance(trunk, DeepLabTrunk)
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    teacher = fill_plainly(DeepLabV3())
    assert isinstance(teacher, DeepLabV3)
    trunk.load_state_dict(
        {name: value for name, value in teacher.state_dict().items() if "logits" not in name}
    )
    picture = torch.rand(1, 3, 48, 64) * 2 - 1
    fine, coarse = trunk(picture)
    assert (fine.shape, coarse.shape) == ((1, 32, 6, 8), (1, 96 + 256, 3, 4))
    assert torch.equal(coarse[:, 96:], teacher.maps(picture)[-1])


def test_a_clip_of_any_length_has_queries_on_all_frames() -> None:
    network = fill_plainly(MSSTSVISLite()).eval()
    assert isinstance(network, MSSTSVISLite)
    for frames in (1, 3):
        with torch.inference_mode():
            memory = network.encode(torch.rand(2, frames, 3, 64, 96))
            decoded = network.decode(memory)
            masks = network.mask_logits(memory, decoded, 1, torch.tensor([0, 3]))
        assert decoded.refined[-1].shape == (2, frames, LITE_SIZE.queries, 4)
        assert decoded.references[0].shape[-1] == 4
        assert masks.shape == (2, frames, 16, 24)
        assert decoded.proposed.logits.shape == (2, frames, 8 * 12 + 4 * 6 + 2 * 3, LITE_SIZE.classes)


def test_the_weights_that_come_with_segue_load_and_are_small() -> None:
    network = load("msstsvis-lite")
    assert isinstance(network, MSSTSVISLite)
    assert network.class_names == LITE_NAMES
    with resources.as_file(resources.files("segue") / "assets" / "msstsvis-lite.safetensors") as path:
        assert path.stat().st_size < 12e6


@pytest.mark.shared
def test_the_woman_and_the_dog_of_a_film_are_found(shared: Path) -> None:
    with open_source(shared / "data" / "clips" / "dog_1280x720.mp4") as source:
        frames = [frame.image for frame in itertools.islice(source, 6)]
    results = list(instances(frames, model="msstsvis-lite", score=0.3, device="cpu"))
    assert {"person", "animal"} <= {item.label for item in results[3].objects}

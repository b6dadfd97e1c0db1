"""``msstsvis-lite``: queries from linked detections, on a detector that is not trained."""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path

import pytest
import torch

from segue.api.instances import instances
from segue.models.msstsvis import Parts
from segue.models.msstsvis.lite import PER_FRAME, MSSTSVISLite
from segue.models.seqformer import Memory
from segue.video import open_source
from segue.weights import load
from tests.lite import lively_instances

PLAIN = Parts("none", "none", False).text()


def test_a_clip_of_any_size_has_queries_and_masks_on_all_frames() -> None:
    network = lively_instances()
    for frames, size in ((1, (64, 96)), (3, (50, 70))):
        with torch.inference_mode():
            memory = network.encode(torch.rand(2, frames, 3, *size))
            decoded = network.decode(memory)
            masks = network.mask_logits(memory, decoded, 1, torch.tensor([0, 3]))
            logits = network.class_logits(decoded)
        assert memory.detections is not None
        assert memory.detections.shape == (2, frames, PER_FRAME, 180)
        assert decoded.refined[-1].shape == (2, frames, network.size.queries, 4)
        assert masks.shape == (2, frames, 16, 24)
        assert logits.shape == (2, network.size.queries, 91)
    with pytest.raises(ValueError, match="without padding"):
        network.encode(torch.rand(1, 1, 3, 64, 64), torch.ones(1, 64, 64, dtype=torch.bool))


def test_without_the_split_attention_frames_can_be_encoded_one_by_one() -> None:
    network = lively_instances(PLAIN)
    assert not network.relates_frames
    assert lively_instances().relates_frames
    frames = torch.rand(1, 3, 3, 64, 64)
    with torch.inference_mode():
        one = network.join([network.encode(frame) for frame in frames.split(1, 1)])
        whole = network.encode(frames)
    assert isinstance(one, Memory)
    assert one.detections is not None
    assert whole.detections is not None
    assert torch.allclose(one.detections, whole.detections, atol=1e-4)
    assert torch.allclose(one.features, whole.features, atol=1e-4)


def test_the_weights_that_come_with_segue_load_and_are_small() -> None:
    network = load("msstsvis-lite")
    assert isinstance(network, MSSTSVISLite)
    with resources.as_file(resources.files("segue") / "assets" / "msstsvis-lite.safetensors") as path:
        assert path.stat().st_size < 12e6
    detector = load("nanodet").state_dict()
    for name, value in network.detector.state_dict().items():
        assert torch.equal(value, detector[name])


@pytest.mark.shared
def test_the_woman_and_the_dog_of_a_video_are_found(shared: Path) -> None:
    with open_source(shared / "data" / "clips" / "dog_1280x720.mp4") as source:
        frames = [frame.image for frame in itertools.islice(source, 6)]
    results = list(instances(frames, model="msstsvis-lite", device="cpu"))
    assert {"person", "dog"} <= {item.label for item in results[3].objects}

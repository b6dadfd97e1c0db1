"""``msstsvis-lite``: queries from linked detections, on a detector that is not trained."""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.api.instances import instances
from segue.models.detection.boxes import COCO_NAMES
from segue.models.msstsvis import Parts
from segue.models.msstsvis.lite import NEVER, PER_FRAME, MSSTSVISLite, link, tubes, waves
from segue.models.seqformer import Memory
from segue.sessions.official import encode_frames
from segue.video import open_source
from segue.weights import load
from tests.lite import lively_instances

PLAIN = Parts("none", "none", False).text()


def squares(*lefts: float) -> np.ndarray:
    """Boxes (n, 4) of side 10."""
    return np.array([[x, 0, x + 10, 10] for x in lefts], np.float32)


def alike(frames: int, found: int) -> np.ndarray:
    return np.ones((frames, found, 1), np.float32)


def test_of_two_that_overlap_the_one_that_looks_alike_is_the_same() -> None:
    boxes = np.array([[[0, 0, 10, 10], [60, 0, 70, 10]], [[2, 0, 12, 10], [4, 0, 14, 10]]], np.float32)
    scores, labels = np.array([[0.9, 0.2], [0.8, 0.7]], np.float32), np.zeros((2, 2), np.int64)
    red, blue = (1.0, 0.0), (0.0, 1.0)
    looks = np.array([[red, blue], [blue, red]], np.float32)
    assert link(boxes, scores, labels, looks, 1)[1].T.tolist() == [[0, 1]]
    assert link(boxes, scores, labels, alike(2, 2), 1)[1].T.tolist() == [[0, 0]]


def test_detections_are_linked_to_the_neighbours_that_overlap_them_most() -> None:
    boxes = np.stack([squares(0, 50), squares(52, 3), squares(6, 54)])
    scores = np.array([[0.9, 0.5], [0.6, 0.8], [0.7, 0.1]], np.float32)
    linked, picks = link(boxes, scores, np.zeros((3, 2), np.int64), alike(3, 2), 2)
    assert picks.T.tolist() == [[0, 1, 0], [1, 0, 1]]
    assert linked[:, 0, 0].tolist() == [0, 3, 6]


def test_where_nothing_was_found_the_box_moves_evenly() -> None:
    boxes = np.stack([squares(0), squares(90), squares(4)])
    linked, picks = link(
        boxes, np.array([[0.9], [0.1], [0.8]], np.float32), np.zeros((3, 1), np.int64), alike(3, 1), 2
    )
    assert picks.T.tolist() == [[0, -1, 0], [-1, 0, -1]]
    assert linked[:, 0, 0].tolist() == [0, 2, 4]
    assert linked[:, 1, 0].tolist() == [90, 90, 90]


def test_another_class_must_overlap_more() -> None:
    boxes = np.stack([squares(0), squares(5)])
    scores, same = np.array([[0.9], [0.8]], np.float32), np.zeros((2, 1), np.int64)
    assert link(boxes, scores, same, alike(2, 1), 1)[1].T.tolist() == [[0, 0]]
    assert link(boxes, scores, np.array([[0], [1]]), alike(2, 1), 1)[1].T.tolist() == [[0, -1]]


def test_a_tube_says_what_was_seen_where_it_was_seen() -> None:
    found = torch.zeros(3, 1, 4 + 80 + 96)
    found[:, 0, :4] = torch.tensor([[0.1, 0.1, 0.3, 0.5], [0.7, 0.7, 0.9, 0.9], [0.1, 0.1, 0.3, 0.5]])
    found[:, 0, 4 + 7] = torch.tensor([2.0, 1.0, 5.0])
    boxes, share, seen = tubes(found, 2)
    assert torch.allclose(boxes[:, 0], torch.tensor([0.2, 0.3, 0.2, 0.4]).expand(3, 4))
    assert share.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert seen[:, 7].tolist() == [3.5, 1.0]


def test_boxes_are_told_by_waves() -> None:
    encoded = waves(torch.tensor([[0.5, 0.0, 0.0, 0.0]]))[0]
    assert encoded.shape == (32,)
    assert torch.allclose(encoded[:4], torch.tensor([1.0, 0.0, 0.0, 0.0]), atol=1e-5)
    assert torch.allclose(encoded[16:20], torch.tensor([0.0, -1.0, 1.0, 1.0]), atol=1e-5)


def test_a_clip_of_any_size_has_queries_and_masks_on_all_frames() -> None:
    network = lively_instances()
    for frames, size in ((1, (64, 96)), (3, (50, 70))):
        with torch.inference_mode():
            memory = network.encode(torch.rand(2, frames, 3, *size))
            decoded = network.decode(memory)
            masks = network.mask_logits(memory, decoded, 1, torch.tensor([0, 3]))
            logits = network.class_logits(decoded)
        assert memory.found is not None
        assert memory.found.shape == (2, frames, PER_FRAME, 180)
        assert decoded.refined[-1].shape == (2, frames, network.size.queries, 4)
        assert masks.shape == (2, frames, 16, 24)
        assert logits.shape == (2, network.size.queries, 91)
    with pytest.raises(ValueError, match="without padding"):
        network.encode(torch.rand(1, 1, 3, 64, 64), torch.ones(1, 64, 64, dtype=torch.bool))


def test_it_starts_from_what_the_detector_says() -> None:
    network = lively_instances()
    with torch.inference_mode():
        memory = network.encode(torch.rand(1, 2, 3, 96, 128))
        decoded = network.decode(memory)
        logits = network.class_logits(decoded)
    assert torch.equal(logits[..., list(COCO_NAMES)], decoded.begun)
    assert (logits[..., 0] == NEVER).all()
    assert torch.allclose(decoded.refined[-1], decoded.references[0], atol=1e-4)
    assert not any(p.requires_grad for p in network.detector.parameters())


def test_without_the_split_attention_frames_can_be_encoded_one_by_one() -> None:
    network = lively_instances(PLAIN)
    assert not network.relates_frames
    assert lively_instances().relates_frames
    frames = torch.rand(1, 3, 3, 64, 64)
    with torch.inference_mode():
        one = encode_frames(network, list(frames.split(1, 1)))
        whole = network.encode(frames)
    assert isinstance(one, Memory)
    assert one.found is not None
    assert whole.found is not None
    assert torch.allclose(one.found, whole.found, atol=1e-4)
    assert torch.allclose(one.features, whole.features, atol=1e-4)


def test_which_parts_it_has_is_kept_for_its_file() -> None:
    assert MSSTSVISLite(PLAIN).options == {"parts": PLAIN}
    with pytest.raises(ValueError, match="damaged"):
        MSSTSVISLite("x")


def test_the_weights_that_come_with_segue_load_and_are_small() -> None:
    network = load("msstsvis-lite")
    assert isinstance(network, MSSTSVISLite)
    with resources.as_file(resources.files("segue") / "assets" / "msstsvis-lite.safetensors") as path:
        assert path.stat().st_size < 12e6
    detector = load("nanodet").state_dict()
    for name, value in network.detector.state_dict().items():
        assert torch.equal(value, detector[name])


@pytest.mark.shared
def test_the_woman_and_the_dog_of_a_film_are_found(shared: Path) -> None:
    with open_source(shared / "data" / "clips" / "dog_1280x720.mp4") as source:
        frames = [frame.image for frame in itertools.islice(source, 6)]
    results = list(instances(frames, model="msstsvis-lite", device="cpu"))
    assert {"person", "dog"} <= {item.label for item in results[3].objects}

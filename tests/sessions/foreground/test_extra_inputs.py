"""Flow networks behind the face of foreground networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.api.foreground import foreground
from segue.errors import FlowError, PromptError
from segue.flow import FlowFiles, FlowImages
from segue.models.hofam import HOFAM
from segue.models.mustan_lite import MustanLite
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.segmenters.extra_inputs import FlowNetwork, computing_flow
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.session import ForegroundSession
from segue.types import Frame, Image
from segue.weights import write_checkpoint
from segue.weights.checkpoint import OPTIONS
from tests.flow.files import save_flo


class Difference:
    """A flow that is quick and tells the order of its images."""

    def __call__(self, first: Image, second: Image) -> np.ndarray:
        return (first[..., :2].astype(np.float32) - second[..., 1:]) / 20


@pytest.fixture(params=["hierarchical", "single"])
def network(request: pytest.FixtureRequest) -> HOFAM:
    torch.manual_seed(0)
    return HOFAM(2, flow_mode=request.param, levels=6).eval()


def gaps_of(network: HOFAM) -> tuple[int, ...]:
    return (1,) if network.flow_mode == "single" else (1, 3, 5)


def probability(network: HOFAM, image: Image, flow: Image) -> np.ndarray:
    planes = (torch.from_numpy(x).movedim(-1, 0)[None] / 255 for x in (image, flow))
    return network.probability(*planes)[0, 0].numpy()


def test_flow_is_computed_of_the_frames_before(network: HOFAM) -> None:
    gaps = gaps_of(network)
    face = computing_flow(FlowNetwork(network), Difference())
    assert not face.context
    still = np.random.default_rng(0).integers(0, 250, (64, 128, 3))
    images = [(still + t).astype(np.uint8) for t in range(7)]
    session = ForegroundSession(face, without=["align"], device="cpu")
    for t, image in enumerate(images):
        result = session.step(Frame(t, float(t), image))
        assert result is not None
        flow = FlowImages(Difference(), gaps)(image, [images[max(t - gap, 0)] for gap in gaps])
        np.testing.assert_allclose(result.probabilities[1], probability(network, image, flow), atol=1e-5)
    with pytest.raises(PromptError):
        session.step(Frame(7, 7.0, images[0], flow=flow))


def test_a_network_of_load_is_run_as_its_name_is(network: HOFAM, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.safetensors", network.state_dict(), {OPTIONS: json.dumps(network.options)})
    images = [np.random.default_rng(t).integers(0, 255, (64, 64, 3), np.uint8) for t in range(3)]
    loaded = segue.load("hofam", tmp_path / "a.safetensors")
    options: dict[str, Any] = {"flow": "farneback", "threshold": 0.5, "device": "cpu"}
    named = segue.foreground(images, model="hofam", weights=tmp_path / "a.safetensors", **options)
    for one, other in zip(named, segue.foreground(images, model=loaded, **options), strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)


def test_logits_have_the_size_of_the_frames(network: HOFAM) -> None:
    face = FlowNetwork(network)
    with torch.inference_mode():
        current = face.encode(
            torch.rand(1, 3, 50, 99), "current", torch.rand(1, len(gaps_of(network)), 50, 99)
        )
        assert face.decode(current, [], None, (50, 99)).shape == (1, 1, 50, 99)


def test_the_published_network_sees_256_by_256() -> None:
    assert FlowNetwork(HOFAM(1)).resized(torch.rand(1, 3, 300, 700)).shape[-2:] == (256, 256)


def test_flow_of_another_program_stands_for_what_is_computed(network: HOFAM) -> None:
    gaps = gaps_of(network)
    rng = np.random.default_rng(0)
    frames = [Frame(t, float(t), rng.integers(0, 256, (64, 128, 3)).astype(np.uint8)) for t in range(3)]
    flows = [rng.integers(0, 256, (64, 128, len(gaps))).astype(np.uint8) for _ in frames]
    session = ForegroundSession(FlowNetwork(network), without=["align"], device="cpu")
    for frame, flow in zip(frames, flows, strict=True):
        result = session.step(replace(frame, flow=flow))
        assert result is not None
        expected = probability(network, frame.image, flow)
        np.testing.assert_allclose(result.probabilities[1], expected, atol=1e-5)


def test_frames_and_flow_that_do_not_fit_are_refused(network: HOFAM) -> None:
    frame = Frame(0, 0.0, np.zeros((64, 128, 3), np.uint8))
    session = ForegroundSession(FlowNetwork(network), without=["align"], device="cpu")
    with pytest.raises(FlowError):
        session.step(frame)
    with pytest.raises(PromptError, match="frame 0: the flow is 64x64, but the frame is 128x64"):
        session.step(replace(frame, flow=np.zeros((64, 64, 3), np.uint8)))
    with pytest.raises(PromptError):
        ForegroundSession(BackgroundDifference()).step(replace(frame, flow=np.zeros((64, 128, 3), np.uint8)))


def test_a_folder_of_flow_files_belongs_to_the_frames_in_order(network: HOFAM, tmp_path: Path) -> None:
    gaps = gaps_of(network)
    images = [np.full((64, 128, 3), 20 * t, np.uint8) for t in range(7)]
    for gap in gaps:
        for t in range(gap, 7):
            save_flo(tmp_path / str(gap) / f"{t}.flo", np.full((64, 128, 2), t + gap))
    wrapped = FlowNetwork(network)
    found = list(foreground(images, model=wrapped, flow=tmp_path, without=["align"], device="cpu"))
    files = FlowFiles(tmp_path, gaps, 7)
    for t, result in enumerate(found):
        expected = probability(network, images[t], files(t))
        np.testing.assert_allclose(result.probabilities[1], expected, atol=1e-5)
    with pytest.raises(FlowError):
        foreground(images, model="median", flow=tmp_path)
    with pytest.raises(FlowError):
        foreground(images[:4], model=wrapped, flow=tmp_path)


def test_flow_is_computed_for_a_network_that_takes_it() -> None:
    torch.manual_seed(0)
    plain = MustanLite("dis").eval()
    for values in plain.flow_attention.fusion.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(values, std=0.2)
    told = foreground_segmenter(plain, device="cpu")
    segmenter = foreground_segmenter(computing_flow(plain, Difference()), device="cpu")
    assert (told.extra, segmenter.extra, segmenter.offsets) == ("flow", None, (-6, -3))
    rng = np.random.default_rng(0)
    six, three, now = rng.integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)
    scene = Scene(rng.integers(0, 256, (21, 32, 48)).astype(np.uint8))
    context = {-6: SegmenterInput(six), -3: SegmenterInput(three)}
    flow = FlowImages(Difference(), (3, 6))(now, [three, six])
    expected = told.step(SegmenterInput(now, flow), context, scene)
    assert np.array_equal(segmenter.step(SegmenterInput(now), context, scene), expected)
    _, lengths, filtered, attention = segmenter.explanation()
    assert np.array_equal(lengths[0][..., 0], flow[..., 0])
    assert [each.shape[1] for each in filtered] == [24, 12, 6, 3]
    assert [each.shape[1] for each in attention] == [24, 12, 6]
    with pytest.raises(ValueError, match="each frame must bring its flow"):
        plain.encode(torch.rand(1, 3, 32, 48), "current")


def test_flow_and_its_attention_are_shown() -> None:
    torch.manual_seed(0)
    session = ForegroundSession(
        computing_flow(FlowNetwork(HOFAM(1, levels=6).eval()), Difference()), without=["align"]
    )
    session.explain()
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    for i, image in enumerate(images):
        session.step(Frame(i, float(i), image))
    shown = session.explanation
    assert shown is not None
    assert shown.shape == (4 * 64, 5 * 64, 3)  # frame and result, three flows, five scales, their attention
    np.testing.assert_array_equal(shown[:64, :64], images[-1])
    assert (shown[:64, 128:] == 0).all()
    for row, columns in ((1, 3), (2, 5), (3, 5)):
        assert shown[64 * row : 64 * (row + 1), : 64 * columns].std() > 1
        assert (shown[64 * row : 64 * (row + 1), 64 * columns :] == 0).all()

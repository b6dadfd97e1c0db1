"""Flow networks behind the face of foreground networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.api.foreground import foreground
from segue.errors import FlowError, PromptError
from segue.flow import FlowFiles, FlowImages
from segue.models.base import ForegroundNetwork
from segue.models.hofam import HOFAM
from segue.models.mustan_lite import MustanLite
from segue.sessions.extra_inputs import ComputedFlow, FlowNetwork
from segue.sessions.foreground import ForegroundSession
from segue.sessions.subtractors import BackgroundDifference
from segue.types import Frame, Image
from tests.flow.files import save_flo


class Difference:
    """A flow that is quick and tells the order of its images."""

    def __call__(self, first: Image, second: Image) -> np.ndarray:
        return (first[..., :2].astype(np.float32) - second[..., 1:]) / 20


@pytest.fixture(params=["hierarchical", "single"])
def network(request: pytest.FixtureRequest) -> HOFAM:
    torch.manual_seed(0)
    return HOFAM(2, flow_mode=request.param, levels=6).eval()


def test_frames_of_the_network_s_size_pass_as_they_are(network: HOFAM) -> None:
    wrapped = ComputedFlow(FlowNetwork(network), Difference())
    face: ForegroundNetwork = wrapped
    gaps = (1,) if network.flow_mode == "single" else (1, 3, 5)
    assert face.context == tuple((-gap, "image") for gap in gaps)
    bytes_ = torch.randint(0, 256, (1 + len(gaps), 2, 3, 64, 128), generator=torch.Generator().manual_seed(0))
    now, *earlier = bytes_.float() / 255
    with torch.inference_mode():
        context = [face.encode(frames, "image") for frames in earlier]
        logits = face.decode(face.encode(now, "current"), context, None, (64, 128))
    for i in range(2):
        first, *others = (x[i].movedim(0, -1).numpy().astype(np.uint8) for x in bytes_)
        image = FlowImages(Difference(), gaps)(first, others)
        with torch.inference_mode():
            flow = torch.from_numpy(image).movedim(-1, 0)[None].float() / 255
            expected = network(now[i : i + 1], flow)
        torch.testing.assert_close(logits[i : i + 1], expected, rtol=1e-4, atol=1e-5)


def test_other_sizes_come_back(network: HOFAM) -> None:
    face = ComputedFlow(FlowNetwork(network), Difference())
    frames = torch.rand(1, 3, 50, 99)
    with torch.inference_mode():
        current = face.encode(frames, "current")
        assert current[0].shape[-2:] == (64, 128)
        context = [face.encode(frames, "image")] * len(face.context)
        assert face.decode(current, context, None, (50, 99)).shape == (1, 1, 50, 99)


def test_the_published_network_sees_256_by_256() -> None:
    face = ComputedFlow(FlowNetwork(HOFAM(1)), Difference())
    assert face.encode(torch.rand(1, 3, 300, 700), "image")[0].shape[-2:] == (256, 256)


def test_flow_of_another_program_stands_for_what_is_computed(network: HOFAM) -> None:
    gaps = (1,) if network.flow_mode == "single" else (1, 3, 5)
    rng = np.random.default_rng(0)
    frames = [Frame(t, float(t), rng.integers(0, 256, (64, 128, 3)).astype(np.uint8)) for t in range(3)]
    flows = [rng.integers(0, 256, (64, 128, len(gaps))).astype(np.uint8) for _ in frames]
    session = ForegroundSession(FlowNetwork(network), without=["align"], device="cpu")
    for frame, flow in zip(frames, flows, strict=True):
        result = session.step(replace(frame, flow=flow))
        assert result is not None
        given = (torch.from_numpy(x).movedim(-1, 0)[None] / 255 for x in (frame.image, flow))
        expected = network.probability(*given)[0, 0].numpy()
        np.testing.assert_allclose(result.probabilities[1], expected, atol=1e-5)


def test_frames_and_flow_that_do_not_fit_are_refused(network: HOFAM) -> None:
    frame = Frame(0, 0.0, np.zeros((64, 128, 3), np.uint8))
    session = ForegroundSession(FlowNetwork(network), without=["align"], device="cpu")
    with pytest.raises(FlowError, match="each frame must bring a flow image"):
        session.step(frame)
    with pytest.raises(PromptError, match="frame 0: the flow is 64x64, but the frame is 128x64"):
        session.step(replace(frame, flow=np.zeros((64, 64, 3), np.uint8)))
    with pytest.raises(PromptError, match="frame 0 brings flow, but median takes none"):
        ForegroundSession(BackgroundDifference()).step(replace(frame, flow=np.zeros((64, 128, 3), np.uint8)))


def test_a_folder_of_flow_files_belongs_to_the_frames_in_order(network: HOFAM, tmp_path: Path) -> None:
    gaps = (1,) if network.flow_mode == "single" else (1, 3, 5)
    images = [np.full((64, 128, 3), 20 * t, np.uint8) for t in range(7)]
    for gap in gaps:
        for t in range(gap, 7):
            save_flo(tmp_path / str(gap) / f"{t}.flo", np.full((64, 128, 2), t + gap))
    wrapped = FlowNetwork(network)
    found = list(foreground(images, model=wrapped, flow=tmp_path, without=["align"], device="cpu"))
    files = FlowFiles(tmp_path, gaps, 7)
    for t, result in enumerate(found):
        given = (torch.from_numpy(x).movedim(-1, 0)[None] / 255 for x in (images[t], files(t)))
        expected = network.probability(*given)[0, 0].numpy()
        np.testing.assert_allclose(result.probabilities[1], expected, atol=1e-5)
    with pytest.raises(FlowError, match="only hofam, stam and networks trained with --flow look at flow"):
        foreground(images, model="median", flow=tmp_path)
    with pytest.raises(FlowError, match="flow files for 4 frames"):
        foreground(images[:4], model=wrapped, flow=tmp_path)


def test_flow_is_computed_for_a_network_that_takes_it() -> None:
    torch.manual_seed(0)
    plain = MustanLite("dis").eval()
    for values in plain.flow_attention.fusion.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(values, std=0.2)
    face = ComputedFlow(plain, Difference())
    assert face.context[len(plain.context) :] == ((-3, "image"), (-6, "image"))
    assert not face.capabilities.flow
    six, three, now = torch.randint(0, 256, (3, 1, 3, 32, 48)).float() / 255
    scene = torch.rand(1, 21, 32, 48)
    roles = [(six, "context"), (three, "context"), (three, "image"), (six, "image")]
    shown = [(255 * x[0]).round().byte().movedim(0, -1).numpy() for x in (now, three, six)]
    image = FlowImages(Difference(), (3, 6))(shown[0], shown[1:])
    flow = torch.from_numpy(image).movedim(-1, 0)[None].float() / 255
    with torch.inference_mode():
        context = [face.encode(x, role) for x, role in roles]
        found = face.decode(face.encode(now, "current"), context, face.encode(scene, "scene"), (32, 48))
        expected = plain(torch.stack([six, three, now], 1), scene, flow)
        motion, scales = face.explain_flow(face.encode(now, "current"), context, face.encode(scene, "scene"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert [each.shape for each in motion] == [(1, 2, 32, 48)] * 2
    np.testing.assert_allclose(motion[0][0].movedim(0, -1), Difference()(shown[0], shown[2]))
    assert [each.filtered.shape[-1] for each in scales] == [24, 12, 6, 3]
    assert [each.attention is None for each in scales] == [False, False, False, True]
    with pytest.raises(ValueError, match="each frame must bring its flow"):
        plain.encode(now, "current")


def test_flow_and_its_attention_are_shown() -> None:
    torch.manual_seed(0)
    session = ForegroundSession(
        ComputedFlow(FlowNetwork(HOFAM(1, levels=6).eval()), Difference()), without=["align"]
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

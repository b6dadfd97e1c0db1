"""Every kind of network on a device that is not the processor: where tensors are, and what waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import segue
from segue.flow.providers import Farneback
from segue.inference.running import inference_copy
from segue.models.deeplab import DeepLabV3
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.models.detection.nanodet import NanoDetPlus
from segue.models.detection.pointrend import PointRend
from segue.models.dino import DINO
from segue.models.fgsegnet import FgSegNetV2
from segue.models.hofam import HOFAM, FlowMode
from segue.models.memory.components import label_components, suppress_distant_components
from segue.models.msstsvis import MSSTSVIS
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.models.sam2.images import video_image
from segue.models.sam2.network import SAM2
from segue.models.seqformer import SeqFormer, Size
from segue.prompt_types import BoxPrompt, PointPrompt
from segue.prompts.detectors import DiscoveryDetector, NetworkDetector, SemanticDetector
from segue.prompts.prompter import Prompter
from segue.prompts.proposals import Rules
from segue.sessions import ForegroundSession, InstanceSession, TrackSession
from segue.sessions.foreground.segmenters.extra_inputs import FlowNetwork, computing_flow
from segue.sessions.instances import WindowOptions
from segue.utils.devices import to_device
from tests.clips import clip
from tests.fill import fill_plainly
from tests.lite import lively_instances, lively_lite
from tests.logical_device import DEVICE, LogicalDevice, count

FRAMES, MASKS = clip(11, 8, 64, 96, 2)

TRACKERS = {
    "lite": 1,
    "stcn_network": 1,
    "stm_network": 1,
    "xmem_network": 1,
    "cutie_small_network": 1,
    "sam2_network": 1,
}
"""How often each waits for the device on a frame with one object: once in the session."""

FOREGROUND: dict[str, Callable[[], Any] | None] = {
    "mustan-lite": None,
    "mustan1": partial(MUSTAN1, width=0.25),
    "mustan2": partial(MUSTAN2, width=0.25),
    "fgsegnet": FgSegNetV2,
}

SHALLOW = Size(encoder_layers=2, decoder_layers=2, queries=20)

INSTANCES: dict[str, Callable[[], Any]] = {
    "msstsvis-lite": lively_instances,
    "msstsvis": partial(MSSTSVIS, "r18", SHALLOW),
    "seqformer": partial(SeqFormer, "r18", SHALLOW),
}


def tracker(name: str, request: pytest.FixtureRequest) -> Any:
    return lively_lite() if name == "lite" else request.getfixturevalue(name)


SLOW = {"sam2_network", "stcn_network", "stm_network", "xmem_network"}
SLOW |= {"mustan1", "fgsegnet", "msstsvis", "deeplab", "pointrend"}
"""The others prove the steps that these share with them; ``make test-slow`` runs all."""


def names(*known: str) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in known]


@pytest.mark.parametrize("name", names(*TRACKERS))
def test_trackers_follow_on_a_device(name: str, request: pytest.FixtureRequest) -> None:
    network = tracker(name, request)
    how = {"short_side": 64} if name == "sam2_network" else {"mem_every": 2}
    schedule = replace(network.schedule, **how)
    frames = FRAMES[:6]
    there = partial(TrackSession, network, schedule, device=str(DEVICE))
    if name == "lite":
        schedule = replace(schedule, window=None)  # a device has no windows
    here = TrackSession(network, schedule, device="cpu")
    with LogicalDevice():
        session = there()
        found = [session.step(frames[0], MASKS[0].astype(np.int32))]
        found += [session.step(frame) for frame in frames[1:-2]]
        session.remove([1])
        found.append(session.step(frames[-2]))
        state = session.state()
        waits = count(lambda: found.append(session.step(frames[-1])))
        other = there()
        other.restore(state)
        again = other.step(frames[-1])
    expected = [here.step(frames[0], MASKS[0].astype(np.int32))]
    expected += [here.step(frame) for frame in frames[1:-2]]
    here.remove([1])
    expected += [here.step(frame) for frame in frames[-2:]]
    np.testing.assert_array_equal(again.mask, found[-1].mask)
    for one, two in zip(found, expected, strict=True):
        assert (one.mask == two.mask).mean() > 0.99
    assert waits.total() == TRACKERS[name], waits


@pytest.mark.parametrize("name", names(*FOREGROUND))
def test_foreground_on_a_device(name: str) -> None:
    torch.manual_seed(0)
    make = FOREGROUND[name]
    network: Any = segue.load(name) if make is None else make().eval()
    with LogicalDevice():
        session = ForegroundSession(network, device=str(DEVICE))
        for frame in FRAMES[:7]:
            session.step(frame)
        waits = count(lambda: session.step(FRAMES[7]))
    assert waits.total() == 1, waits


@pytest.mark.slow  # two of them also go through the next test
@pytest.mark.parametrize("name", INSTANCES)
def test_instances_on_a_device(name: str) -> None:
    torch.manual_seed(0)
    with LogicalDevice():
        session = InstanceSession(INSTANCES[name]().eval(), WindowOptions(short_side=64), device=str(DEVICE))
        found = [session.step(frame) for frame in FRAMES]
        rest = list(session.finish())
    assert sum(result is not None for result in found) + len(rest) == len(FRAMES)


@pytest.mark.parametrize(("name", "by_network"), [("msstsvis-lite", 2), ("seqformer", 0)])
def test_a_window_of_instances_waits_once_for_each_frame(name: str, by_network: int) -> None:
    torch.manual_seed(0)
    frames, _ = clip(11, 10, 64, 96, 4)
    with LogicalDevice():
        options = WindowOptions(window=6, overlap=2, short_side=64, top=4, score=0.0)
        session = InstanceSession(INSTANCES[name]().eval(), options, device=str(DEVICE))
        found = [session.step(frame) for frame in frames[:6]]
        waits = count(lambda: found.extend(session.step(frame) for frame in frames[6:]))
        found += session.finish()
    assert [result.index for result in found if result is not None] == list(range(len(frames)))
    # Which queries are likely, their overlap, their vectors, and the known objects.
    assert waits.total() == 4 + 4 + by_network, waits


def test_an_upload_that_does_not_wait_needs_pinned_memory() -> None:
    values = torch.arange(3)
    with LogicalDevice():
        waits = count(lambda: values.to(DEVICE))
        with pytest.raises(RuntimeError):
            values.to(DEVICE, non_blocking=True)
    assert waits.total() == 1
    with LogicalDevice():
        assert torch.equal(to_device(values, DEVICE).cpu(), values)
        assert not count(lambda: to_device(values, DEVICE))


def test_frames_of_sam2_are_resized_on_a_device_as_by_pillow() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (90, 150, 3), dtype=np.uint8)
    for image in (noise, FRAMES[0], np.full((40, 30, 3), 255, np.uint8)):
        for side in (64, 128, 256):
            expected = video_image(image, side, torch.device("cpu"))
            with LogicalDevice():
                found = video_image(image, side, DEVICE).cpu()
            steps = (found - expected).abs() * 255 * 0.227  # deviations are .224 to .229
            assert steps.max() < 2.1
            assert steps.mean() < 0.5


def test_the_small_instance_network_waits_twice_for_a_clip() -> None:
    clips = torch.from_numpy(FRAMES[None, :5]).permute(0, 1, 4, 2, 3) / 255
    with LogicalDevice():
        network = inference_copy(lively_instances().eval(), DEVICE, torch.float32)
        with torch.inference_mode():
            moved = clips.to(DEVICE)
            waits = count(lambda: network.decode(network.encode(moved)))
    assert waits.total() == 2, waits


def test_detectors_and_prompters_on_a_device() -> None:
    plain: Any = segue.load("nanodet")
    with LogicalDevice():
        network: NanoDetPlus = inference_copy(plain, DEVICE, torch.float32)
        with torch.inference_mode():
            boxes = network.detect(FRAMES[0])
        answer = Prompter(FRAMES[0], device=str(DEVICE))(box=(20, 10, 60, 50))
    expected = inference_copy(plain, torch.device("cpu"), torch.float32).detect(FRAMES[0])
    torch.testing.assert_close(boxes.boxes.cpu(), expected.boxes, rtol=1e-3, atol=1e-2)
    here = Prompter(FRAMES[0], device="cpu")(box=(20, 10, 60, 50))
    assert (answer.mask == here.mask).mean() > 0.99


def detectors(name: str) -> Callable[[torch.device], Any]:
    """A detector with random weights, by the device that it runs on."""
    torch.manual_seed(1)
    if name == "deeplab":
        return partial(SemanticDetector, fill_plainly(DeepLabV3), Rules(0.0, max_objects=3))
    if name == "dino":
        network: Any = fill_plainly(lambda: DINO(64, depth=2))
        return lambda device: DiscoveryDetector(network, refine="none", device=device)
    network = PointRend(0.001, 64) if name == "pointrend" else MaskRCNN(1, 0.5, short_side=32)
    if name == "maskrcnn":  # random weights find nothing: each proposal becomes an object that fills its box
        heads = network.roi_heads
        for layer in (heads.box_predictor.cls_score, heads.mask_predictor.mask_fcn_logits):
            layer.weight.data.zero_()
            layer.bias.data.zero_()[3] = 6.0
    return partial(NetworkDetector, network.eval(), {}, Rules(0.0, max_objects=3))


@pytest.mark.parametrize("name", names("maskrcnn", "pointrend", "deeplab", "dino"))
def test_published_detectors_on_a_device(name: str) -> None:
    made = detectors(name)
    here = made(torch.device("cpu"))(FRAMES[0])
    with LogicalDevice():
        there = made(DEVICE)(FRAMES[0])
    assert len(here.objects) == len(there.objects) > 0
    assert (here.mask == there.mask).mean() > 0.99


@pytest.mark.parametrize("kind", [partial(NetworkDetector, names={}), SemanticDetector, DiscoveryDetector])
def test_a_detector_computes_on_the_device_that_it_is_given(kind: Any) -> None:
    class Network(nn.Module):
        """Notes the device of what it is given."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, planes: Tensor) -> Tensor:
            raise LookupError(str(planes.device), str(self.layer.weight.device))

        def dense(self, planes: Tensor, which: str) -> Tensor:
            return self(planes)

    with LogicalDevice(), pytest.raises(LookupError) as caught:
        kind(Network(), device=DEVICE)(FRAMES[0])
    assert caught.value.args == (str(DEVICE), str(DEVICE))


@pytest.mark.parametrize("mode", ["hierarchical", "single"])
def test_flow_networks_on_a_device(mode: FlowMode) -> None:
    torch.manual_seed(0)
    network = computing_flow(FlowNetwork(HOFAM(1, flow_mode=mode, levels=6).eval()), Farneback())
    here = ForegroundSession(network, device="cpu")
    expected = [here.step(frame) for frame in FRAMES[:4]]
    with LogicalDevice():
        there = ForegroundSession(network, device=str(DEVICE))
        found = [there.step(frame) for frame in FRAMES[:4]]
    assert sum(result is not None for result in found) == sum(result is not None for result in expected)


def test_clicks_of_sam2_on_a_device(sam2_network: SAM2) -> None:
    schedule = replace(sam2_network.schedule, short_side=64)
    clicks = [PointPrompt(1, positive=((30.0, 30.0),)), BoxPrompt(2, (40, 10, 80, 50))]
    correction = [PointPrompt(1, positive=((35.0, 30.0),), negative=((5.0, 5.0),))]
    results = []
    for device in ("cpu", str(DEVICE)):
        with LogicalDevice():
            session = TrackSession(sam2_network, schedule, device=device)
            steps = [session.step(FRAMES[0], clicks), session.step(FRAMES[1], correction)]
            steps.append(session.step(FRAMES[2]))
        results.append([step.mask for step in steps])
    for here, there in zip(*results, strict=True):
        assert (here == there).mean() > 0.99


def test_components_on_a_device_are_those_on_the_processor() -> None:
    rng = np.random.default_rng(4)
    for size in range(1, 8):
        noise = [cv2.GaussianBlur(rng.standard_normal((60, 80)), (0, 0), size) for _ in range(6)]
        planes = torch.from_numpy(np.stack(noise) / np.std(noise)).float()
        logits, before = 3 * planes[:3] - 5, planes[3:] > 1.5
        before[size % 3] &= bool(size % 2)
        with LogicalDevice():
            there = suppress_distant_components(logits.to(DEVICE), before.to(DEVICE), size / 100).cpu()
        assert torch.equal(there, suppress_distant_components(logits.clone(), before, size / 100))


def test_components_of_small_objects_are_those_of_the_whole_plane() -> None:
    logits = torch.full((4, 40, 60), -9.0)
    logits[0, :3, :4] = logits[0, -1:, -3:] = logits[0, 20, 30] = 3  # in corners, and a dot
    logits[1, 10:14, 10:14] = 3  # alone
    logits[3, 5:9, 50:] = logits[3, 30:31, 2:4] = 3
    before = torch.zeros(4, 40, 60, dtype=torch.bool)
    before[0, :2, :2] = before[1, 30:, 30:] = before[2, 4, 4] = before[3, 6, 59] = True
    with LogicalDevice():
        there = suppress_distant_components(logits.to(DEVICE), before.to(DEVICE), 0.05).cpu()
    found = suppress_distant_components(logits.clone(), before, 0.05)
    assert torch.equal(there, found)
    assert [int((plane > 0).sum()) for plane in found] == [12, 16, 0, 40]


def test_components_of_a_long_path_are_one() -> None:
    path = np.zeros((121, 121), bool)
    path[::2], path[1::4, -1], path[3::4, 0] = True, True, True
    assert len(torch.unique(label_components(torch.from_numpy(path)[None])[0, path])) == 1


def test_a_tensor_on_the_wrong_device_is_found() -> None:
    class Misplaced(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.arange(x.shape[-1])

    with LogicalDevice(), pytest.raises(RuntimeError, match="lazy and cpu"):
        Misplaced()(torch.ones(3, device=DEVICE))
    with LogicalDevice(), pytest.raises(TypeError):
        torch.ones(3, device=DEVICE).numpy()

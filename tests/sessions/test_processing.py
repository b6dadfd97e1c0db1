"""Processors give networks what the sessions give them, and make the masks that sessions make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor

import segue
from segue.errors import ArgumentError, SourceError
from segue.models.base import FramePrompts, Setup
from segue.models.cutie import Cutie
from segue.models.stcn import STCN
from segue.models.stm import STM
from segue.models.xmem import XMem
from segue.sessions.empty_scene import Scene
from segue.sessions.instances import WindowOptions
from segue.sessions.processing import ImageProcessor, VideoProcessor
from segue.sessions.segmenters import NetworkSegmenter, SegmenterInput
from segue.types import Image
from segue.weights import load

RNG = np.random.default_rng(0)


def images(count: int, height: int, width: int) -> list[Image]:
    """Smooth images, so that resizing leaves something of them."""
    small = RNG.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return [
        np.asarray(PillowImage.fromarray(each).resize((width, height), PillowImage.Resampling.BICUBIC))
        for each in small
    ]


@pytest.mark.parametrize("size", [(70, 90), (420, 500)])
@pytest.mark.parametrize("build", [lambda: load("stcn-lite"), STCN, STM, XMem, Cutie])
def test_tracking_networks_see_what_their_tracker_shows_them(build: Any, size: tuple[int, int]) -> None:
    network, (image,) = build().eval(), images(1, *size)
    seen: list[Tensor] = []
    tracker = network.tracker(
        network, Setup(network.schedule, torch.device("cpu"), torch.float32, memory_limit=1 << 30)
    )
    network.encode_query = seen.append
    tracker.encode(tracker.resized(image, tracker.geometry(size)))
    inputs = ImageProcessor(network)(image)
    assert inputs.original_size == size
    assert torch.equal(inputs.pixel_values, seen[0])


def test_log_odds_of_a_tracker_become_the_masks_of_its_session() -> None:
    network, (first, second) = load("stcn-lite"), images(2, 420, 500)
    given = torch.zeros(420, 500, dtype=torch.int32)
    given[100:260, 40:200], given[50:300, 300:450] = 1, 2
    setup = Setup(network.schedule, torch.device("cpu"), torch.float32, memory_limit=1 << 30)
    tracker = network.tracker(network, setup)
    kept: list[Tensor] = []
    decode = tracker.decode
    tracker.decode = lambda *args: kept.append(decode(*args)) or kept[-1]  # type: ignore[func-returns-value]
    with torch.inference_mode():
        tracker.step(first, FramePrompts(given, (1, 2)))
        output = tracker.peek(second)
    mask = ImageProcessor(network).post_process(torch.cat(kept), (420, 500))
    assert mask.shape == (420, 500)
    assert np.array_equal(mask, output.probabilities.argmax(0).numpy())
    assert {1, 2} <= set(np.unique(mask).tolist())


def test_foreground_goes_in_and_out_as_in_a_session() -> None:
    network, size = load("mustan-lite"), (300, 411)
    shots = images(8, *size)
    processor = ImageProcessor(network)
    inputs = processor(shots)
    assert inputs.pixel_values.shape[1] == 3
    assert not any(side % network.size_multiple for side in inputs.pixel_values.shape[2:])
    segmenter = NetworkSegmenter(network, device="cpu")
    seen: list[Tensor] = []
    shown = segmenter._network.encode
    segmenter._network.encode = lambda frames, role, **more: (
        seen.append(frames) or shown(frames, role, **more)
    )
    small = [
        np.asarray(each) for each in (segue.ForegroundSession(network)._reduced(as_frame(s)) for s in shots)
    ]
    context = {offset: SegmenterInput(small[offset % 8]) for offset, _ in network.context}
    maps = segmenter.step(SegmenterInput(small[0]), context, Scene.of(small[7], 1))
    assert torch.equal(seen[0], inputs.pixel_values[:1])
    logits = torch.special.logit(torch.from_numpy(maps))[None]
    height, width = inputs.pixel_values.shape[2:]
    padded = torch.full((1, len(maps), height, width), 9.0)  # the padding must not count
    padded[..., : maps.shape[1], : maps.shape[2]] = logits
    mask = processor.post_process(padded, size)
    assert mask.shape == (1, *size)
    enlarged = np.asarray(
        PillowImage.fromarray(mask[0]).resize(maps.shape[:0:-1], PillowImage.Resampling.BOX)
    )
    inside = maps[0] >= network.threshold
    assert (enlarged == inside).mean() > 0.97


def as_frame(image: Image) -> segue.Frame:
    return segue.Frame(0, 0.0, image)


def test_instances_go_in_and_out_as_in_a_session() -> None:
    network, size = load("msstsvis-lite"), (200, 260)
    shots = images(3, *size)
    session = segue.InstanceSession(network, WindowOptions(short_side=network.short_side), device="cpu")
    seen: list[Tensor] = []
    shown = session._network.encode
    session._network.encode = lambda frames: seen.append(frames) or shown(frames)  # type: ignore[func-returns-value]
    for shot in shots:
        session.step(shot)
    list(session.finish())
    inputs = VideoProcessor(network)(np.stack(shots))
    fed = torch.cat([frames[0] for frames in seen])
    assert inputs.pixel_values.shape == (1, 3, 3, 320, 416)
    assert torch.equal(inputs.pixel_values[0], fed[:3])
    with torch.inference_mode():
        memory = network.encode(inputs.pixel_values)
        decoded = network.decode(memory)
        logits = network.mask_logits(memory, decoded, 0, torch.arange(4))
    masks = VideoProcessor(network).post_process(logits, inputs.original_size)
    assert masks.shape == (3, *size)
    inside = torch.nn.functional.interpolate(logits[None, :, 1], size, mode="bilinear")[0]
    expected = np.where(inside.max(0).values > 0, inside.argmax(0) + 1, 0)
    assert np.array_equal(masks[1], expected)


def test_a_short_side_of_ones_own() -> None:
    network = load("stcn-lite")
    assert ImageProcessor(network, short_side=128)(images(1, 256, 512)).pixel_values.shape == (
        1,
        3,
        128,
        256,
    )
    assert ImageProcessor(network)(images(1, 256, 512)).pixel_values.shape == (1, 3, 256, 512)
    with pytest.raises(ArgumentError, match="short_side is 0"):
        ImageProcessor(network, short_side=0)


def test_images_of_all_kinds_are_taken_and_others_refused() -> None:
    processor, (image, other) = ImageProcessor(load("stcn-lite")), images(2, 64, 80)
    ways: list[Any] = [
        image,
        [image],
        image[None],
        torch.from_numpy(image.copy()),
        PillowImage.fromarray(image),
        segue.Frame(0, 0.0, image),
        iter([segue.Frame(0, 0.0, image)]),
    ]
    values = [processor(way).pixel_values for way in ways]
    assert all(torch.equal(value, values[0]) for value in values)
    with pytest.raises(ArgumentError, match="70x64, 80x64"):
        processor([image, other[:, :70]])
    with pytest.raises(ArgumentError, match="there are none"):
        processor([])
    with pytest.raises(SourceError, match="expected uint8"):
        processor(image.astype(np.float32))


def test_networks_that_take_their_images_otherwise_are_named() -> None:
    for network in (load("segue-prompt"), object()):
        with pytest.raises(ArgumentError, match=r"segue\.Prompter"):
            ImageProcessor(network)


@pytest.mark.parametrize("name", ["stcn-lite", "mustan-lite"])
def test_a_processor_of_a_folder_needs_no_weights(name: str, tmp_path: Any) -> None:
    folder, (image,) = segue.save_pretrained(name, tmp_path / "it"), images(1, 100, 120)
    (folder / "model.safetensors").unlink()
    found = ImageProcessor.from_pretrained(folder)(image).pixel_values
    assert torch.equal(found, ImageProcessor(load(name))(image).pixel_values)

"""Between memory frames stcn-lite reads and decodes only a window around the objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import segue
from segue.models.lite_tracker import LiteTracker
from segue.models.memory import FramePlan, MemoryTracker
from segue.models.memory.window import Boxes, Window
from segue.models.stcn import STCNLite
from segue.prompt_types import BoxPrompt
from segue.sessions import SessionState, TrackSession
from segue.sessions.videos import corrections
from segue.sessions.videos.corrections import ConditioningFrame, Layer, propagate
from segue.types import Image, Segmentation
from segue.utils.arrays import UInt8Array
from segue.utils.cache import ASSETS
from segue.weights import load

SAMPLE = ASSETS / "sample" / "video.mp4"
HEIGHT, WIDTH, SIDE = 160, 288, 24
MARGIN = 0.2
STARTS = [20, 23, 26, 29, 220, 223, 226, 229]
"""Columns of the left side of the object: it jumps on frame 4."""


@pytest.fixture(scope="module")
def network() -> STCNLite:
    found = load("stcn-lite")
    assert isinstance(found, STCNLite)
    return found


@pytest.fixture(scope="module")
def video() -> list[Image]:
    """A bright square with stripes over a dark noise."""
    rng = np.random.default_rng(3)
    ground = rng.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = []
    for left in STARTS:
        image = ground.copy()
        image[60 : 60 + SIDE, left : left + SIDE] = (240, 200, 40)
        image[60 : 60 + SIDE : 6, left : left + SIDE] = (40, 40, 220)
        images.append(image)
    return images


def square(t: int) -> UInt8Array:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[60 : 60 + SIDE, STARTS[t] : STARTS[t] + SIDE] = 1
    return mask


def overlap(result: Segmentation, t: int) -> float:
    found, true = result.mask > 0, square(t) > 0
    return float((found & true).sum() / (found | true).sum())


def test_nothing_is_decoded_outside_the_window(network: STCNLite, video: list[Image]) -> None:
    corners = {}
    for window in (None, MARGIN):
        session = TrackSession(network, replace(network.schedule, window=window), device="cpu")
        results = [session.step(image, square(0) if t == 0 else None) for t, image in enumerate(video[:4])]
        corners[window] = results[1].probabilities[1, -40:, -40:]
        assert overlap(results[3], 3) > 0.8
    assert np.ptp(corners[MARGIN]) == 0
    assert corners[MARGIN].max() < 1e-6
    assert np.ptp(corners[None]) > 0


def test_an_object_that_jumps_out_of_the_window_is_found_again(network: STCNLite, video: list[Image]) -> None:
    session = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
    results = [session.step(image, square(0) if t == 0 else None) for t, image in enumerate(video)]
    assert min(overlap(results[t], t) for t in (6, 7)) > 0.8


@contextmanager
def decodings(session: TrackSession) -> Iterator[list[tuple[int, ...]]]:
    """Shapes (K, C, h, w) of all readouts that are decoded inside."""
    shapes: list[tuple[int, ...]] = []
    decoder = session.tracker.network.decoder  # type: ignore[attr-defined]
    watch = decoder.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    try:
        yield shapes
    finally:
        watch.remove()


def test_frames_of_the_sample_that_stay_in_memory_are_decoded_once() -> None:
    first, *images = [frame.image for frame in segue.open_source(SAMPLE, end=11)]
    session = TrackSession("stcn-lite", device="cpu")
    session.step(first, [BoxPrompt(1, (160.0, 60.0, 280.0, 180.0))])
    counts, shares = [], []
    for image in images:
        with decodings(session) as shapes:
            session.step(image)
        counts.append(len(shapes))
        shares += [height * width / (30 * 54) for *_, height, width in shapes]
    assert counts[4] == counts[9] == 1  # frames 5 and 10 are kept
    assert max(shares) < 0.6


@pytest.mark.parametrize("second", ["stays", "vanishes"])
def test_each_of_two_objects_has_a_window_of_its_own(
    network: STCNLite, video: list[Image], second: str
) -> None:
    images = [image.copy() for image in video]
    for image in images[: None if second == "stays" else 2]:
        image[110:140, 150:180] = (220, 30, 220)
    first = square(0)
    first[110:140, 150:180] = 2
    session = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
    results = [session.step(images[0], first)]
    with decodings(session) as decoded:
        results += [session.step(image) for image in images[1:]]
    whole = (1, network.value_channels, HEIGHT // 8, WIDTH // 8)
    assert len(decoded) > decoded.count(whole) > 0
    for t in (3, 6, 7):  # it jumps out of its window on frame 4
        found = (results[t].mask == 1) & (square(t) > 0)
        assert found.sum() > 0.8 * square(t).sum(), t
    assert (results[7].mask == 2).sum() > 700 if second == "stays" else (results[7].mask == 2).sum() < 200


def test_an_object_that_leaves_its_window_is_sought_in_one_that_is_wider_on_that_side(
    network: STCNLite,
) -> None:
    ground = np.random.default_rng(3).integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = [ground.copy() for _ in range(4)]
    for image, left in zip(images, (20, 22, 24, 90), strict=True):
        image[40:120, left : left + 80] = (240, 200, 40)
        image[40:120:6, left : left + 80] = (40, 40, 220)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:120, 20:100] = 1
    session = TrackSession(network, device="cpu")
    for t, image in enumerate(images[:3]):
        session.step(image, None if t else mask)
    with decodings(session) as shapes:
        found = session.step(images[3]).mask > 0
    window, *after = [shape[2:] for shape in shapes]
    assert window[0] * window[1] < 0.5 * HEIGHT * WIDTH / 64
    (height, width), *whole = after
    assert height == window[0]
    assert window[1] < width < WIDTH // 8, "it leaves by the right side alone"
    assert whole in ([], [(HEIGHT // 8, WIDTH // 8)])
    assert found[44:116, 94:166].mean() > 0.9


def test_a_session_that_is_restored_goes_on_identically(
    network: STCNLite, video: list[Image], tmp_path: Path
) -> None:
    session = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
    for t in range(3):
        session.step(video[t], square(0) if t == 0 else None)
    session.state().save(tmp_path / "session.safetensors")
    restored = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
    restored.restore(SessionState.load(tmp_path / "session.safetensors"))
    for t in range(3, 5):
        ours, theirs = session.step(video[t]), restored.step(video[t])
        assert np.array_equal(ours.probabilities, theirs.probabilities)


def test_a_window_holds_all_objects_and_the_margin() -> None:
    masks = torch.zeros(2, 240, 432, dtype=torch.bool)
    masks[0, 100:120, 90:100] = True
    masks[1, 90:110, 200:230] = True
    (window,) = Window.around(Boxes.of(masks).union(), 20)
    assert window is not None
    assert window.top <= 78
    assert window.top + window.height >= 132
    assert window.left <= 78
    assert window.left + window.width >= 242
    assert (window.top % 16, window.left % 16) == (0, 0)
    assert window.height < 240
    assert window.width < 432
    (coarse,) = Window.around(Boxes.of(masks).union(), 20, 48)
    assert coarse is not None
    assert (coarse.height % 48, coarse.width % 48) == (0, 0), "few sizes, for which few kernels are made"
    assert window.height <= coarse.height < window.height + 48
    masks[1] = False
    assert Window.around(Boxes.of(masks), 20)[1] is None


def test_the_whole_image_is_seen_while_an_object_is_out_of_sight(
    network: STCNLite, video: list[Image]
) -> None:
    session = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
    both = square(0)
    both[20:40, 60:80] = 2
    session.step(video[0], both)
    tracker, plan = session.tracker, FramePlan(None, (1, 2), keep=False)
    assert isinstance(tracker, LiteTracker)
    masks = tracker._previous_masks
    assert masks is not None
    assert tracker.choose_window(plan)
    tracker._previous_masks = masks & torch.tensor([True, False])[:, None, None]
    assert not tracker.choose_window(plan), "it may come back anywhere"


def test_objects_at_an_inner_side_leave_the_window() -> None:
    window = Window(0, 64, 128, 128, (240, 432))
    logits = torch.full((1, 64, 64), -9.0)
    logits[0, 0, 30] = 3.0  # at the border of the image
    assert window.left_sides(logits, -2.0) == (False, False, False, False)
    logits[0, 30, 1] = 3.0
    assert window.left_sides(logits, -2.0) == (False, True, False, False)
    wider = window.widened((False, True, False, False), 30)
    assert wider == Window(0, 32, 128, 160, (240, 432))
    assert window.widened((True, True, True, True), 200) is None, "little would be saved"
    assert window.paste(logits).shape == (1, 120, 216)
    assert window.paste(logits)[0, 30, 33] == 3.0


def test_an_object_leaves_its_own_window_only_where_no_other_one_wins(network: STCNLite) -> None:
    """Objects side by side: the window of each has another one at its side."""
    image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, left in enumerate((60, 120, 180), start=1):
        image[60:120, left : left + 60] = (200, 60 * number, 40)
        mask[60:120, left : left + 60] = number
    session = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
    session.step(image, mask)
    runs: list[int] = []
    decoder = session.prepared.network.decoder  # type: ignore[attr-defined]
    hook = decoder.register_forward_hook(lambda _, inputs, __: runs.append(len(inputs[0])))
    try:
        found = session.step(image).mask
    finally:
        hook.remove()
    assert runs == [3], "each once, and together, for their windows have the same size"
    assert (found == mask)[mask > 0].mean() > 0.95


def test_many_objects_are_encoded_in_windows_on_frames_that_are_kept_with_the_same_masks(
    network: STCNLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(row, column) for row in (10, 60, 110) for column in (20, 90, 160, 225)]

    def scene(moved: int) -> tuple[np.ndarray, np.ndarray]:
        image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for number, (row, column) in enumerate(places, start=1):
            own = slice(row, row + 36), slice(column + moved, column + moved + 36)
            image[own] = (200, 20 * number, 40 + 10 * number)
            mask[own] = number
        return image, mask

    def masks() -> list[np.ndarray]:
        session = TrackSession(network, replace(network.schedule, window=MARGIN), device="cpu")
        encoder = session.prepared.network.value_encoder  # type: ignore[attr-defined]
        sizes: list[int] = []
        hook = encoder.register_forward_hook(
            lambda _, inputs, __: sizes.append(inputs[2].shape[0] * inputs[2][0, 0].numel())
        )
        session.step(*scene(0))
        found = [session.step(scene(step)[0]).mask for step in range(1, 7)]
        hook.remove()
        pixels.append(sum(sizes))
        return found

    pixels: list[int] = []
    windowed = masks()
    monkeypatch.setattr("segue.models.lite_tracker.MANY", 1000)
    whole = masks()
    assert pixels[0] < 0.7 * pixels[1]
    for step, (one, other) in enumerate(zip(windowed, whole, strict=True), start=1):
        truth = scene(step)[1]
        assert (one == other)[(truth > 0) | (other > 0)].mean() > 0.999
        assert (one == truth).mean() > (other == truth).mean() - 0.002


def test_a_window_ends_at_the_next_multiple_of_the_stride() -> None:
    masks = torch.zeros(1, 240, 432, dtype=torch.bool)
    masks[0, 100:120, 100:120] = True
    (window,) = Window.around(Boxes.of(masks), 10)
    assert window is not None
    assert (window.height, window.width) == (48, 48)


def test_sessions_that_take_one_image_encode_it_once(
    network: STCNLite, video: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def results() -> list[Segmentation]:
        sessions = [
            TrackSession(network, replace(network.schedule, window=None), device="cpu") for _ in (0, 1)
        ]
        given = [{0: ConditioningFrame(square(0), frozenset({1}))} for _ in sessions]
        frames = [segue.Frame(t, t / 25, image) for t, image in enumerate(video[:3])]
        pairs = list(zip(sessions, given, strict=True))
        times = {frame.index: frame.time for frame in frames}
        steps = propagate([Layer(*pair) for pair in pairs], frames, times, 0)
        return [result for step in steps for result in step]

    encoded: list[int] = []
    encode = MemoryTracker.encode
    monkeypatch.setattr(
        MemoryTracker, "encode", lambda *given: encoded.append(len(encoded)) or encode(*given)
    )
    shared = results()
    assert len(encoded) == 3
    monkeypatch.setattr(corrections, "one_image", lambda _: nullcontext())
    alone = results()
    assert len(encoded) == 3 + 6
    assert shared == alone

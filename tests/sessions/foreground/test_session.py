"""Laws of a foreground session, on small videos."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import segue
from segue.errors import ArgumentError, CheckpointError, PromptError, SegueError
from segue.models.mustan import MUSTAN2
from segue.sessions import SessionState
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.masks import SHADOW, ForegroundMasks
from segue.sessions.foreground.segmenters.base import FAINTEST, SegmenterInput, differing
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.segmenters.subtractors import (
    BackgroundDifference,
    FrameDifference,
    Subtractor,
)
from segue.sessions.foreground.session import ForegroundSession, ForegroundWarning
from segue.types import Frame, Segmentation
from segue.weights import prepare
from tests.sessions.foreground.scenes import Bytes, overlap, square_mask, video, wall, with_squares
from tests.sessions.foreground.tiny_foreground import MovesByItself, TinyForeground

SIZE = (96, 128)
PATH = [(10 + t, 6 * t - 60) for t in range(36)]
WALK = video([with_squares(wall(), [place]) for place in PATH])
"""A square comes in at the left and goes out at the right."""

LOOK_AHEAD = ((-2, "past"), (-1, "now"), (2, "future"))


def new_session(model: Any = None, **options: Any) -> ForegroundSession:
    masks = {name: options.pop(name) for name in list(options) if name in MASKS}
    return ForegroundSession(
        model or BackgroundDifference(), masks=ForegroundMasks(**masks), device="cpu", **options
    )


MASKS = ("threshold", "roi", "min_area", "objects", "shadows")


def run(session: ForegroundSession, frames: Sequence[Frame]) -> list[Segmentation]:
    results = [session.step(frame) for frame in frames]
    return [result for result in results if result is not None] + list(session.finish())


def assert_same(results: Sequence[Segmentation], expected: Sequence[Segmentation]) -> None:
    for one, other in zip(results, expected, strict=True):
        assert one == replace(other, mask=one.mask)
        assert np.array_equal(one.mask, other.mask)


def as_tensor(images: Sequence[Bytes]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("model", ["median", "mog2", "network"])
def test_moving_objects_are_found_at_their_places(model: str) -> None:
    made = {"median": BackgroundDifference(), "mog2": Subtractor("mog2"), "network": MovesByItself()}
    results = run(new_session(made[model]), WALK)
    assert [result.index for result in results] == list(range(len(WALK)))
    assert [result.time for result in results] == [frame.time for frame in WALK]
    for t in range(15, 28):
        assert overlap(results[t].mask == 1, square_mask(SIZE, [PATH[t]])) > 0.6


@pytest.mark.parametrize("context", [(), ((-3, "past"), (-1, "past")), LOOK_AHEAD])
@pytest.mark.parametrize("size", [(32, 48), (30, 45)])
def test_streaming_gives_what_the_whole_window_gives(
    context: tuple[tuple[int, str], ...], size: tuple[int, int]
) -> None:
    network = TinyForeground(context)
    empty = wall(5, *size)
    scene = Scene.of(empty)
    images = [wall(t, *size) for t in range(9)]
    segmenter, inputs = foreground_segmenter(network, device="cpu"), [SegmenterInput(each) for each in images]
    maps = []
    for t, shown in enumerate(inputs):
        beside = {offset: inputs[min(max(t + offset, 0), 8)] for offset in segmenter.offsets}
        maps.append(segmenter.step(shown, beside, scene))
    height, width = (-(-side // 4) * 4 for side in size)
    padding = (0, width - size[1], 0, height - size[0])
    pad = torch.nn.functional.pad
    for t, found in enumerate(maps):
        times = [min(max(t + offset, 0), 8) for offset, _ in context] + [t]
        window = pad(as_tensor([images[i] for i in times]), padding, mode="replicate")
        with torch.inference_mode():
            logits = network(window, pad(as_tensor([empty]), padding, mode="replicate"))
        expected = logits[0, :, : size[0], : size[1]].sigmoid().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_session_that_looks_ahead_trails_and_gives_every_frame() -> None:
    session = new_session(TinyForeground(LOOK_AHEAD))
    assert session.lag == 2
    assert [session.step(frame) is None for frame in WALK[:4]] == [True, True, False, False]
    session.reset()
    assert [result.index for result in run(session, WALK)] == list(range(len(WALK)))


def test_a_reset_session_is_as_new() -> None:
    session = new_session(objects=True)
    expected = run(session, WALK)
    session.reset()
    assert_same(run(session, WALK), expected)


def test_the_network_itself_is_left_as_it_is() -> None:
    network = TinyForeground()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run(new_session(network, fast=True), WALK[:4])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_cut_to_another_scene_does_not_flood() -> None:
    frames = video([frame.image for frame in WALK[:20]] + [wall(9, light=1.4)] * 10)
    for result in run(new_session(objects=True), frames)[20:]:
        assert not result.mask.any()
        assert result.objects == ()


@pytest.mark.parametrize("light", [0.45, 1.5])
def test_a_light_switch_does_not_flood_and_who_stands_there_stays(light: float) -> None:
    place = [(40, 60)]
    lit = np.clip(wall().astype(float) * light, 0, 255).astype(np.uint8)
    empty, dark = [wall()] * 20, [with_squares(wall(), place)] * 10
    after = [with_squares(lit, place, level=min(255, int(250 * light)))] * 10
    results = run(new_session(BackgroundDifference(threshold=25)), video(empty + dark + after))
    for result in results[22:]:
        assert overlap(result.mask, square_mask(SIZE, place)) > 0.8


def test_a_slow_change_of_exposure_does_not_flood() -> None:
    scenes = [wall(light=1 + 0.02 * t) for t in range(30)]
    for result in run(new_session(), video(scenes)):
        assert result.mask.mean() < 0.01


def test_an_empty_scene_stays_empty() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(wall() + rng.normal(0, 3, (*SIZE, 3)), 0, 255).astype(np.uint8) for _ in range(40)]
    for result in run(new_session(), video(noisy)):
        assert not result.mask.any()


def test_someone_who_stops_stays_foreground() -> None:
    still = [(30, 50)]
    images = [wall()] * 20 + [with_squares(wall(), still)] * 120
    results = run(new_session(), video(images))
    assert overlap(results[-1].mask, square_mask(SIZE, still)) > 0.8


def test_the_ghost_of_what_was_there_at_first_heals() -> None:
    images = [with_squares(wall(), [(30, 50)])] * 10 + [wall()] * 90
    results = run(new_session(), video(images))
    assert results[12].mask.any(), "where the square was, the scene differs from the background"
    assert not results[-1].mask.any()


def test_frames_of_another_size_and_scene_begin_anew_with_a_warning() -> None:
    session = new_session(TinyForeground(LOOK_AHEAD))
    small = [Frame(t, t / 25, wall(t, 48, 80)) for t in range(10, 14)]
    with pytest.warns(ForegroundWarning, match="10 is 80x48, the frames before it are 128x96.*learnt anew"):
        results = run(session, WALK[:10] + small)
    assert [result.index for result in results] == list(range(14))
    assert [result.mask.shape for result in results] == [SIZE] * 10 + [(48, 80)] * 4


@pytest.mark.parametrize("size", [(1, 1), (100, 1), (1, 100), (2, 2)])
def test_images_one_pixel_wide_may_change_their_scene(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(2, 253, (2, *size, 3))
    images = [first] * 30 + [second] * 30
    frames = [np.asarray(image + rng.integers(-2, 3, image.shape), np.uint8) for image in images]
    results = run(new_session(BackgroundDifference()), video(frames))
    assert [result.mask.shape for result in results] == [size] * 60


def test_another_scene_at_another_size_is_a_cut() -> None:
    session = new_session(BackgroundDifference())
    large = [Frame(t, t / 25, wall(7, 144, 192)) for t in range(10, 14)]
    with pytest.warns(ForegroundWarning):
        results = run(session, WALK[:10] + large)
    assert not any(result.mask.any() for result in results[10:])


@pytest.mark.parametrize("size", [(48, 64), (144, 192)])
def test_a_camera_that_changes_its_resolution_keeps_its_background(size: tuple[int, int]) -> None:
    place, factor = [(30, 50)], size[0] / SIZE[0]
    other = cv2.resize(with_squares(wall(), place), size[::-1], interpolation=cv2.INTER_AREA)
    frames = video([wall()] * 20 + [np.asarray(other, np.uint8)] * 40)
    with pytest.warns(ForegroundWarning):
        results = run(new_session(), frames)
    row, column = (round(factor * at) for at in place[0])
    truth = square_mask(size, [(row, column)], side=round(20 * factor))
    for result in results[20:]:
        assert overlap(result.mask, truth) > 0.6


@pytest.mark.parametrize("short_side", [48, 240])
@pytest.mark.parametrize("size", [(72, 96), (144, 192)])
def test_objects_keep_their_ids_when_a_camera_changes_its_resolution(
    size: tuple[int, int], short_side: int
) -> None:
    """Also one that stands, and one that the frames before show for the first time."""

    def images(size: tuple[int, int]) -> list[np.ndarray]:
        places = [[(10, 20 + 3 * t), *([(60, 90)] if t > 10 else [])] for t in range(30)]
        return [cv2.resize(with_squares(wall(), place), size[::-1], interpolation=cv2.INTER_AREA)
                for place in places]  # fmt: skip

    frames = video([wall()] * 12 + images(SIZE)[:16] + images(size)[16:])  # type: ignore[arg-type]
    with pytest.warns(ForegroundWarning, match="kept"):
        results = run(new_session(objects=True, short_side=short_side), frames)
    ids = [{item.id for item in result.objects if item.area} for result in results]
    assert ids[27] == {1, 2}
    assert [sorted(each) for each in ids[28:40]] == [[1, 2]] * 12


def test_after_a_pause_the_background_is_still_known() -> None:
    late = [replace(frame, time=frame.time + 60) for frame in WALK[20:]]
    for model in (BackgroundDifference(), MovesByItself()):
        results = run(new_session(model), WALK[:20] + late)
        assert overlap(results[20].mask == 1, square_mask(SIZE, [PATH[20]])) > 0.6


def test_large_frames_are_reduced_and_masks_come_back_at_their_size() -> None:
    large = video([with_squares(wall(0, 192, 256), [(20, 10 * t - 100)], side=48) for t in range(30)])
    session = new_session(short_side=96)
    results = run(session, large)
    assert session.background is not None
    assert session.background.shape == (96, 128, 3)
    truth = square_mask((192, 256), [(20, 10 * 25 - 100)], side=48)
    assert results[25].mask.shape == (192, 256)
    assert overlap(results[25].mask, truth) > 0.85


def test_a_shaken_camera_is_held_still() -> None:
    rng = np.random.default_rng(2)
    large, shakes = wall(4, 160, 200), rng.integers(-4, 5, (60, 2))
    images, truth = [], []
    for t, (down, right) in enumerate(shakes):
        whole = with_squares(large, [(60, 3 * t - 10)])
        images.append(whole[20 + down : 140 + down, 20 + right : 180 + right])
        square = square_mask((160, 200), [(60, 3 * t - 10)])
        truth.append(square[20 + down : 140 + down, 20 + right : 180 + right])
    scores = {}
    for without in (["align"], []):
        results = run(new_session(BackgroundDifference(threshold=20), without=without), video(images))
        scores[not without] = np.mean([overlap(results[t].mask, truth[t]) for t in range(20, 55)])
    assert scores[True] > 0.8
    assert scores[True] > scores[False] + 0.1


def test_nothing_is_found_outside_the_region_of_interest() -> None:
    roi = np.zeros(SIZE, np.uint8)
    roi[:, :64] = 255
    plain, inside = run(new_session(), WALK), run(new_session(roi=roi), WALK)
    for one, other in zip(plain, inside, strict=True):
        assert np.array_equal(other.mask, one.mask * (roi > 0))
        assert not other.probabilities[1][:, 64:].any()
    half = run(new_session(roi=roi[::2, ::2]), WALK)
    assert_same(half, inside)
    with pytest.raises(PromptError):
        run(new_session(roi=np.ones((128, 96))), WALK[:1])


def test_small_pieces_and_first_frames_can_be_left_out() -> None:
    twos = video([wall()] * 5 + [with_squares(wall(), [(10, 10)], side=8)] * 3)
    assert run(new_session(BackgroundDifference(median=1)), twos)[-1].mask.sum() == 64
    assert not run(new_session(BackgroundDifference(median=1), min_area=65), twos)[-1].mask.any()
    results = run(new_session(warm_up=15), WALK)
    assert not any(result.mask.any() for result in results[:15])
    assert results[15].mask.any()


def test_all_foreground_is_one_object() -> None:
    for result in run(new_session(), WALK):
        (item,) = result.objects
        assert (item.id, item.label) == (1, "foreground")
        assert item.area == result.mask.sum()
        assert result.probabilities.shape == (2, *SIZE)
        np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-6)
        assert np.array_equal(result.probabilities.argmax(0), result.mask)


def test_each_piece_is_an_object_of_its_own() -> None:
    two = video([with_squares(wall(), [(10, 5 * t - 40), (60, 148 - 5 * t)]) for t in range(30)])
    results = run(new_session(objects=True), two)
    for result in results[15:22]:
        assert len(set(np.unique(result.mask))) == 3
        assert result.ids == results[15].ids
        assert result.probabilities.shape == (3, *SIZE)
        np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-6)
        assert np.array_equal(np.array([0, *result.ids])[result.probabilities.argmax(0)], result.mask)


def test_shadow_is_marked_where_the_model_tells_it() -> None:
    images = []
    for t in range(30):
        image = with_squares(wall(), [(10, 5 * t - 40)])
        image[60:84, 40:64] = image[60:84, 40:64] // 2 if t > 10 else image[60:84, 40:64]
        images.append(image)
    results = run(new_session(MovesByItself(), shadows=True), video(images))
    last = results[20]
    assert [item.label for item in last.objects] == ["foreground", "shadow"]
    assert (last.mask[64:80, 44:60] == SHADOW).all()
    assert last.probabilities.shape == (3, *SIZE)
    np.testing.assert_allclose(last.probabilities.sum(0), 1, atol=1e-6)
    assert SHADOW not in run(new_session(MovesByItself()), video(images))[20].mask


def test_probabilities_do_not_depend_on_when_they_are_asked_for() -> None:
    for options in ({}, {"objects": True}, {"shadows": True}):
        session = new_session(MovesByItself(), **options)
        at_once = []
        for frame in WALK[8:20]:
            result = session.step(frame)
            assert result is not None
            at_once.append(result.probabilities)
        session.reset()
        for early, result in zip(at_once, run(session, WALK[8:20]), strict=True):
            assert np.array_equal(early, result.probabilities)


@pytest.mark.parametrize("model", ["median", "difference", "causal", "ahead"])
def test_a_session_goes_on_from_a_saved_state(tmp_path: Path, model: str) -> None:
    def make() -> ForegroundSession:
        made = {
            "median": BackgroundDifference(),
            "difference": FrameDifference(),
            "causal": MovesByItself(),
            "ahead": TinyForeground(LOOK_AHEAD),
        }
        return new_session(made[model], objects=model == "median", warm_up=3)

    frames = WALK[:24] + video([wall(3, light=1.4)] * 36)[24:]
    whole, given = make(), list[Segmentation]()
    stops: dict[int, list[Segmentation]] = {}
    for frame in frames:
        if frame.index in (0, 1, 2, 13, 29):
            whole.state().save(tmp_path / f"{frame.index}.safetensors")
            stops[frame.index] = list(given)
        if (result := whole.step(frame)) is not None:
            given.append(result)
    expected = [*given, *whole.finish()]
    for stop, before in stops.items():
        again = make()
        again.restore(SessionState.load(tmp_path / f"{stop}.safetensors"))
        assert_same([*before, *run(again, frames[stop : stop + 12])], (expected[: stop + 12]))


def test_a_state_of_another_model_is_refused() -> None:
    state = new_session().state()
    with pytest.raises(CheckpointError):
        new_session(FrameDifference()).restore(state)
    weights = new_session(TinyForeground(LOOK_AHEAD)).state()
    other = TinyForeground(LOOK_AHEAD)
    other.register_buffer("more", torch.zeros(1))
    with pytest.raises(CheckpointError):
        new_session(other).restore(weights)
    with pytest.raises(CheckpointError):
        new_session(without=["align"]).restore(state)
    with pytest.raises(CheckpointError):
        new_session(objects=True).restore(state)
    with pytest.raises(CheckpointError):
        new_session().restore(new_session(objects=True).state())


@pytest.mark.parametrize("method", ["mog2", "knn"])
def test_subtractors_begin_with_empty_masks_and_tell_their_background(method: Any) -> None:
    session = new_session(Subtractor(method))
    assert session.background is None
    results = run(session, video([wall()] * 12))
    assert not any(result.mask.any() for result in results)
    assert session.background is not None
    assert np.abs(session.background.astype(int) - wall()).mean() < 2
    assert not session.restorable
    with pytest.raises(SegueError):
        session.state()


def test_the_difference_to_the_frame_before_knows_no_background() -> None:
    session = new_session(FrameDifference())
    results = run(session, WALK)
    assert not results[0].mask.any()
    assert results[20].mask.any()
    assert session.background is None
    assert session.restorable


def test_memory_stays_flat() -> None:
    session = new_session(MovesByItself(), objects=True)
    images = [with_squares(wall(0, 32, 40), [(10, 2 * (t % 20))]) for t in range(20)]
    sizes: list[int] = []
    for t in range(440):
        session.step(Frame(t, t / 25, images[t % 20]))
        if t % 20 == 19:
            sizes.append(sum(value.numel() for value in session.state().tensors.values()))
    assert max(sizes[15:]) <= 1.05 * max(sizes[:15])


def test_prompts_are_refused() -> None:
    with pytest.raises(PromptError):
        new_session().step(WALK[0], np.zeros(SIZE, np.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"min_area": -1}, "min_area is -1"),
        ({"objects": True, "shadows": True}, "objects and shadows exclude each other"),
        ({"roi": np.zeros(3)}, "roi has the shape"),
        ({"warm_up": -1}, "warm_up is -1"),
        ({"short_side": 0}, "short_side 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_session(**options)


def test_a_given_background_stays_whatever_fills_the_image() -> None:
    empty = np.full((96, 128, 3), 40, np.uint8)
    session = new_session(background=LearntBackground(VideoScenes.of(Scene.of(empty))), without=["align"])
    session.step(Frame(0, 0.0, empty))
    crowd = wall(2)
    for t in range(1, 20):
        session.step(Frame(t, t / 25, crowd))
    image = session.background
    assert image is not None
    assert likeness_of(image, crowd) < 0.2
    assert image.std() < 1, "one grey, perhaps in another light"


def likeness_of(one: Bytes, other: Bytes) -> float:
    return abs(
        float(np.corrcoef(one[..., 0].ravel() + np.arange(one[..., 0].size) % 2, other[..., 0].ravel())[0, 1])
    )


def test_a_source_that_refills_one_array_gives_what_one_of_many_gives() -> None:
    images = [with_squares(wall(1), [place]) for place in PATH[10:24]]

    def refilled() -> Iterator[Bytes]:
        array = np.empty_like(images[0])
        for image in images:
            array[:] = image
            yield array

    options: dict[str, Any] = {"model": "mustan-lite", "short_side": 0, "device": "cpu"}
    once = [result.mask for result in segue.foreground(refilled(), **options)]
    each = [result.mask for result in segue.foreground(images, **options)]
    assert np.array_equal(once, each)
    assert np.any(each)


def test_a_refused_frame_leaves_the_session_as_it_was() -> None:
    session = new_session(MovesByItself())
    for one in WALK[:4]:
        session.step(one)
    before = session.state()
    for wrong in (
        replace(WALK[4], depth=np.zeros((96, 128), np.uint8)),
        replace(WALK[4], image=wall(7), depth=np.zeros((3, 3), np.uint8)),
    ):
        with pytest.raises(PromptError):
            session.step(wrong)
    after = session.state()
    assert after.values == before.values
    assert all(torch.equal(after.tensors[name], value) for name, value in before.tensors.items())


def test_the_threshold_is_that_of_the_network_unless_another_is_given() -> None:
    class Doubtful(MovesByItself):
        threshold = 0.9

    own, given = (
        run(new_session(Doubtful(), without=["align"], **more), WALK)[20].mask.sum()
        for more in ({}, {"threshold": 0.01})
    )
    assert 0 < own < given


def test_a_result_can_be_explained() -> None:
    session = new_session(MovesByItself())
    session.explain()
    assert session.explanation is None
    session.step(WALK[0])
    strip = session.explanation
    assert strip is not None
    height, width = SIZE
    assert strip.shape == (height, 5 * width, 3)  # frame, empty scene, low, high, probability
    np.testing.assert_array_equal(strip[:, :width], WALK[0].image)


def test_decisions_about_the_whole_image_are_logged_and_on_the_strip(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = [wall()] * 6 + [wall(light=1.6)] * 6 + [wall(9, light=1.4)] * 4
    session = new_session(MovesByItself())
    session.explain()
    marked = []
    with caplog.at_level("INFO", logger="segue"):
        for frame in video(images):
            session.step(frame)
            assert session.explanation is not None
            assert np.array_equal(session.explanation[:, : SIZE[1]], frame.image)
            corner = session.explanation[:18, -SIZE[1] :]
            if {0, 255} <= {*corner.ravel().tolist()}:  # white letters with a black rim
                marked.append(frame.index)
    assert caplog.messages == ["frame 6: light", "frame 12: cut"]
    assert marked == [6, 12]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Subtractor("mog"), "choose mog2 or knn"),
        (lambda: Subtractor("knn", median=4), "median filter of 4 pixels"),
        (lambda: Subtractor("mog2", history=0), "history 0"),
        (lambda: BackgroundDifference(median=0), "median filter of 0 pixels"),
    ],
)
def test_subtractors_refuse_what_cannot_be_meant(make: Any, message: str) -> None:
    with pytest.raises(SegueError, match=message):
        make()


def test_a_session_holds_the_features_that_later_frames_need_alone() -> None:
    """Of mustan-lite: six frames for context, and one background."""
    rng, size = np.random.default_rng(0), (96, 128)
    session = ForegroundSession("mustan-lite", device="cpu")
    before = {id(each) for each in gc.get_objects() if type(each) is torch.Tensor}
    for index in range(15):
        image = rng.integers(100, 110, (*size, 3)).astype(np.uint8)
        session.step(Frame(index, index / 5, image))
    gc.collect()
    held = [each for each in gc.get_objects() if type(each) is torch.Tensor and id(each) not in before]
    pixels = size[0] * size[1] * 4
    most = 6 * 3 * pixels + 45 * pixels  # frames with three planes, and what is known of a background
    assert sum(each.untyped_storage().nbytes() for each in held if each.shape[:1] == (1,)) <= most


def test_a_network_looks_only_at_frames_that_differ_from_the_background() -> None:
    rng, size = np.random.default_rng(0), (96, 128)
    empty = rng.integers(90, 110, (*size, 3)).astype(np.uint8)
    scene, segmenter = Scene.of(empty), foreground_segmenter("mustan-lite", device="cpu")

    def found(image: Bytes) -> float:
        seen = SegmenterInput(image)
        return float(segmenter.step(seen, dict.fromkeys(segmenter.offsets, seen), scene).max())

    noisy = empty + rng.integers(0, 3, empty.shape).astype(np.uint8)
    faint = empty.copy()
    faint[40:60, 40:60] += FAINTEST
    assert found(empty) == found(noisy) == 0
    assert found(faint) > 0, "the network has looked at it"


def test_a_network_sees_the_part_of_a_frame_that_differs_alone() -> None:
    rng, size = np.random.default_rng(0), (144, 200)  # padded to 144 by 208 pixels
    empty = cv2.resize(rng.integers(60, 200, (18, 25, 3)).astype(np.uint8), size[::-1])
    scene, segmenter = Scene.of(empty), foreground_segmenter("mustan-lite", device="cpu")
    network: Any = prepare("mustan-lite", device="cpu").network
    for rows, columns in ((np.s_[50:90], np.s_[20:50]), (np.s_[110:144], np.s_[170:200])):
        image = empty.copy()
        image[rows, columns] = (250, 20, 20)
        before = dict.fromkeys(segmenter.offsets, SegmenterInput(empty))
        found = segmenter.step(SegmenterInput(image), before, scene)
        window = differing(image, scene, network.size_multiple)
        assert window is not None
        assert all(
            side.start <= part.start and part.stop <= side.stop
            for side, part in zip(window, (rows, columns), strict=True)
        )
        outside = np.ones(size, bool)
        outside[window] = False
        assert outside.mean() > 0.2
        assert not found[:, outside].any(), "nobody has looked there"
        planes = segmenter._tensor(scene.planes)
        whole = network.decode(
            network.encode(segmenter._prepared(image), network.current),
            [network.encode(segmenter._prepared(empty), role) for _, role in network.context],
            network.encode(planes, network.background),
            (144, 208),
        )[0, 0, :144, :200].sigmoid()
        expected = np.asarray(whole.detach()) > segmenter.threshold
        assert expected[rows, columns].mean() > 0.7
        both = (found[0] > segmenter.threshold) & expected
        assert both.sum() > 0.98 * ((found[0] > segmenter.threshold) | expected).sum()


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 135, 0)])
def test_an_object_has_not_left_on_a_single_frame_of_one_colour(colour: tuple[int, int, int]) -> None:
    """A decoder gives black or green for a key frame that was lost; the background learns nothing of it."""
    images = [with_squares(wall(), [(30, 4 + 2 * t)] if t >= 15 else []) for t in range(40)]
    images[30] = np.full_like(images[30], colour)
    results = run(new_session(objects=True), video(images))
    assert not results[30].mask.any()
    assert [item.id for item in results[30].objects] == [1]
    assert {item.id for result in results for item in result.objects} == {1}
    for t in (29, 31, 35):
        assert overlap(results[t].mask, square_mask((96, 128), [(30, 4 + 2 * t)])) > 0.8
    state = new_session(objects=True)
    for frame in video(images[:30]):
        state.step(frame)
    resumed = new_session(objects=True)
    resumed.restore(state.state())
    assert [each.objects for each in run(resumed, video(images)[30:])][-1] == results[-1].objects


def test_a_view_that_stays_of_one_colour_is_a_change_of_the_scene() -> None:
    images = [with_squares(wall(), [(30, 4 + 2 * t)] if t >= 10 else []) for t in range(30)]
    images += [np.zeros_like(images[0])] * 40
    results = run(new_session(objects=True), video(images))
    assert not any(result.mask.any() for result in results[30:])
    assert not results[-1].objects


def test_windows_may_be_longer_than_in_training() -> None:
    torch.manual_seed(0)
    network = MUSTAN2(3, width=0.125).eval()
    assert foreground_segmenter(network, device="cpu").offsets == (-3, 3)
    longer = foreground_segmenter(network, device="cpu", frames=5)
    assert set(longer.offsets) == {-6, -3, 3, 6}
    assert network.offsets == (-3, 0, 3), "the network is left as it is"
    images = list(np.random.default_rng(0).integers(0, 255, (8, 40, 56, 3), np.uint8))
    assert len(list(segue.foreground(images, model=network, device="cpu", frames=5))) == 8
    for model in ("mustan-lite", "mog2"):
        with pytest.raises(ArgumentError, match="frames=5: only mustan2"):
            segue.foreground(images, model=model, device="cpu", frames=5)

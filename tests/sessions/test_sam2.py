"""SAM 2.1 in a session: a stream in bounded memory gives what the predictor of a whole video gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError, PromptError, SegueError
from segue.jobs.tracking import make_schedule
from segue.jobs.values import TrackOptions
from segue.models.sam2 import SAM2, SAM2Schedule, SAM2Tracker, Settings, VideoPredictor
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, Segmentation
from segue.weights import Prepared, prepare
from tests.clips import clip

SIDE = 64
FRAMES, MASKS = clip(7, 19, 48, 72, 2)
CLICK = PointPrompt(1, ((26.0, 34.0),))

Prompts = dict[int, list[segue.Prompt]]


def session(
    network: Prepared[SAM2], frames: int | None = None, side: int = SIDE, settings: Settings | None = None
) -> TrackSession:
    schedule = SAM2Schedule(short_side=side, **asdict(settings or Settings()))
    return TrackSession(network, schedule, device="cpu", frames=frames)


def frame(index: int) -> Frame:
    return Frame(index, index / 25, FRAMES[index])


def follow(run: TrackSession, prompts: Prompts, frames: range) -> list[Segmentation]:
    return [run.step(frame(t), prompts.get(t)) for t in frames]


def video(
    network: Prepared[SAM2], count: int = len(FRAMES), settings: Settings | None = None
) -> VideoPredictor:
    """The predictor with the very layers that a session runs, so that both round alike."""
    return VideoPredictor(network.network, FRAMES.__getitem__, count, settings, side=SIDE)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sessions leave cores to other programs, and some processors round otherwise with more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network(sam2_network: SAM2) -> Prepared[SAM2]:
    return prepare(sam2_network, device="cpu")


def test_a_stream_gives_the_masks_of_the_whole_video_bit_by_bit(network: Prepared[SAM2]) -> None:
    run = session(network, len(FRAMES))
    found = follow(run, {0: [CLICK]}, range(len(FRAMES)))
    whole = video(network)
    whole.click(0, 1, CLICK.positive)
    for result, expected in zip(found, whole.propagate(), strict=True):
        assert np.array_equal(result.mask, expected.masks[0])
        logits = expected.logits[0]
        assert np.array_equal(
            result.probabilities[1], torch.stack([0 * logits, logits]).softmax(0)[1].numpy()
        )
        assert np.array_equal(result.logits, logits[None].numpy())
        assert result.objects[0].score == (expected.scores[0] if expected.masks.any() else 0)
    assert any(result.mask.any() for result in found)
    tracker = run.tracker
    assert isinstance(tracker, SAM2Tracker)
    memory = tracker.objects[1]
    assert list(memory.prompted) == [0]
    assert list(memory.tracked) == list(range(4, 19))  # pointers of the last fifteen, maps of the last six
    assert [t for t, record in memory.tracked.items() if record.features is not None] == list(range(13, 19))
    assert all(record.low_res_masks is None for record in memory.tracked.values())


@pytest.mark.parametrize(
    "settings", [pytest.param(Settings(stride=3), marks=pytest.mark.slow), Settings(prompted_frames=2)]
)
def test_memory_is_bounded_with_other_settings(network: Prepared[SAM2], settings: Settings) -> None:
    given: Prompts = {t: [MaskPrompt(1, MASKS[t] == 1)] for t in (0, 3, 6, 9)}
    count = 11
    run = session(network, count, settings=settings)
    found = follow(run, given, range(count))
    whole = video(network, count, settings)
    position = 0
    for start in given:  # a mask of the future is not known in a stream
        for t in range(position, start):
            (expected,) = whole.propagate(t, frames=0)
            assert np.array_equal(found[t].mask, expected.masks[0]), t
        whole.mask(start, 1, MASKS[start] == 1)
        position = start
    for expected in whole.propagate(position):
        assert np.array_equal(found[expected.frame].mask, expected.masks[0]), expected.frame
    assert isinstance(run.tracker, SAM2Tracker)
    assert len(run.tracker.objects[1].prompted) <= 4


def test_an_object_enters_later_is_corrected_and_removed(network: Prepared[SAM2]) -> None:
    run = session(network, 11)
    given: Prompts = {
        0: [CLICK],
        3: [BoxPrompt(9, (40, 10, 62, 27)), PointPrompt(9, ((50.0, 17.0),), ((2.0, 2.0),))],
        6: [PointPrompt(1, (), ((20.0, 15.0),))],
        9: [RemovePrompt(9)],
    }
    found = follow(run, given, range(11))
    whole = video(network, 11)
    whole.click(0, 1, CLICK.positive)
    expected = list(whole.propagate(0, frames=2))
    box = whole.click(3, 9, [(50, 17), (2, 2)], [1, 0], box=(40, 10, 62, 27))
    assert box.ids == (1, 9)
    expected += whole.propagate(3, frames=3)
    whole.click(6, 1, [(20, 15)], [0])
    expected[6] = whole._result(6)
    expected += whole.propagate(7, frames=1)
    whole.remove(9)
    expected += whole.propagate(9, frames=1)
    for result, other in zip(found, expected, strict=True):
        assert result.ids == other.ids
        planes = torch.cat([torch.zeros(1, 48, 72), other.logits])
        wanted = np.array([0, *other.ids])[planes.argmax(0).numpy()]
        assert np.array_equal(result.mask, wanted), result.index


def test_a_correction_changes_what_follows(network: Prepared[SAM2]) -> None:
    plain = follow(session(network), {0: [CLICK]}, range(5))
    given: Prompts = {0: [CLICK], 3: [PointPrompt(1, ((60.0, 40.0),))]}
    corrected = follow(session(network), given, range(5))
    assert [np.array_equal(a.mask, b.mask) for a, b in zip(plain, corrected, strict=True)] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_looking_ahead_changes_nothing_and_is_used_again(
    network: Prepared[SAM2],
) -> None:
    plain = follow(session(network), {0: [CLICK]}, range(5))
    run = session(network)
    follow(run, {0: [CLICK]}, range(3))
    before = run.state()
    calls: list[int] = []
    watch = network.network.image_encoder.trunk.register_forward_hook(lambda *_: calls.append(1))
    seen = frame(3)
    ahead = run.peek(seen)
    assert ahead == plain[3]
    after = run.state()
    assert after.values == before.values
    assert all(torch.equal(after.tensors[name], value) for name, value in before.tensors.items())
    assert run.step(seen) == plain[3]
    watch.remove()
    assert len(calls) == 1
    assert run.step(frame(4)) == plain[4]


def test_a_saved_session_goes_on_as_if_nothing_had_been(network: Prepared[SAM2], tmp_path: object) -> None:
    given: Prompts = {0: [CLICK], 2: [MaskPrompt(7, MASKS[2] == 2)]}
    plain = follow(session(network), given, range(6))
    run = session(network)
    follow(run, given, range(4))
    path = f"{tmp_path}/state.safetensors"
    run.state().save(path)
    other = session(network)
    other.restore(SessionState.load(path))
    assert follow(other, {}, range(4, 6)) == plain[4:]
    changed = session(network, settings=Settings(stride=2))
    with pytest.raises(CheckpointError):
        changed.restore(SessionState.load(path))


def test_frames_that_pass_unseen_count(network: Prepared[SAM2]) -> None:
    run = session(network)
    follow(run, {0: [CLICK]}, range(2))
    assert run.requires_update
    run.skip(frame(2))
    found = run.step(frame(3))
    assert isinstance(run.tracker, SAM2Tracker)
    assert list(run.tracker.objects[1].tracked) == [1, 3]
    assert found.index == 3
    run.remove([1])
    assert not run.requires_update
    assert run.step(frame(4)).ids == ()


def test_unsupported_options_and_prompts_are_refused(network: Prepared[SAM2]) -> None:
    for name, value in (("flip_tta", True), ("memory_policy", "usage")):
        with pytest.raises(SegueError, match="SAM 2"):
            TrackSession(network, replace(network.network.schedule, **{name: value}), device="cpu")
    run = session(network)
    with pytest.raises(PromptError):
        run.step(frame(0), [PointPrompt(1, (), ((3.0, 3.0),))])
    with pytest.raises(PromptError):
        run.step(frame(0), [PointPrompt(1, ((72.0, 3.0),))])
    with pytest.raises(PromptError):
        run.step(frame(0), [MaskPrompt(1, np.zeros((48, 72), np.uint8))])
    assert run.ids == ()
    schedule = replace(network.network.schedule, memory_policy="fifo", memory_frames=3, short_side=100)
    tracker = TrackSession(network, schedule, device="cpu").tracker
    assert isinstance(tracker, SAM2Tracker)
    assert tracker.settings.prompted_frames == 3
    assert tracker._constants.side == 96
    options = TrackOptions(settings={"prompted_frames": 4, "keep_corrections": True}, short_side=SIDE)
    tracker = TrackSession(network, make_schedule(network.network, options), device="cpu").tracker
    assert isinstance(tracker, SAM2Tracker)
    assert tracker.settings == Settings(prompted_frames=4, keep_corrections=True)


def test_corrections_of_a_video_are_lost_where_it_begins_anew_unless_they_are_kept(
    network: Prepared[SAM2],
) -> None:
    for keeps in (False, True):
        whole = video(network, 5, Settings(keep_corrections=keeps))
        whole.click(0, 1, CLICK.positive)
        first = [result.masks for result in whole.propagate()]
        whole.click(3, 1, [(60, 40)])
        again = [result.masks for result in whole.propagate()]
        same = [np.array_equal(a, b) for a, b in zip(first, again, strict=True)]
        assert all(same) == (not keeps)


def test_a_video_goes_backwards_from_its_prompts(network: Prepared[SAM2]) -> None:
    whole = video(network, 4)
    with pytest.raises(PromptError):
        next(whole.propagate())
    whole.click(2, 1, CLICK.positive)
    assert list(whole.propagate(0, reverse=True)) == []
    assert [result.frame for result in whole.propagate(reverse=True)] == [2, 1, 0]
    whole.unprompt(2, 1)
    with pytest.raises(PromptError):
        next(whole.propagate())


@pytest.mark.slow
def test_a_long_stream_has_the_masks_of_the_whole_video_in_flat_memory(network: Prepared[SAM2]) -> None:
    resource = pytest.importorskip("resource", reason="Windows tells no largest size")
    count = 200
    run = session(network, count)
    whole = VideoPredictor(network.network, lambda t: np.roll(FRAMES[0], t, 1), count, side=SIDE)
    whole.click(0, 1, CLICK.positive)
    expected = [result.masks[0] for result in whole.propagate()]
    del whole
    resident, kept = [], []
    for t in range(count):
        image = np.roll(FRAMES[0], t, 1)
        result = run.step(Frame(t, t / 25, image), [CLICK] if t == 0 else None)
        assert np.array_equal(result.mask, expected[t]), t
        resident.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        kept.append(sum(x.numel() * x.element_size() for x in run.state().tensors.values()))
    assert kept[20] == kept[-1]
    assert resident[-1] - resident[30] < 4 * 1024  # KiB

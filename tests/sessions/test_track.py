"""Laws of a tracking session, on small clips and untrained networks."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from segue.errors import CheckpointError, PromptError, SegueError, SinkError, SourceError
from segue.inference.cpu.features import has_int8
from segue.inference.running import choose_device, has_bfloat16
from segue.models.base import MemoryNetwork, Schedule
from segue.models.memory import tracker
from segue.models.memory.memory import Memory
from segue.models.stcn import STCNLite
from segue.prompt_types import MAX_OBJECTS, BoxPrompt, MaskPrompt, PointPrompt, Prompt, RemovePrompt
from segue.prompts import ImagePrompts as Asked
from segue.prompts import MaskPrediction, Prompter
from segue.prompts.answers import ImagePrompter
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, Image, IndexMask, ObjectInfo, Segmentation
from segue.weights import Prepared, prepare
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 8, 48, 64, 3)
FIRST = MASKS[0]

Prompts = Mapping[int, "IndexMask | Sequence[Prompt]"]


def frame(t: int) -> Frame:
    return Frame(t, t / 10, FRAMES[t])


def new_session(network: MemoryNetwork | Prepared[MemoryNetwork], **arguments: Any) -> TrackSession:
    return TrackSession(network, device="cpu", **arguments)


def follow(
    session: TrackSession, prompts: Prompts, first: int = 0, end: int = len(FRAMES)
) -> list[Segmentation]:
    return [session.step(frame(t), prompts.get(t)) for t in range(first, end)]


def assert_same(results: Sequence[Segmentation], expected: Sequence[Segmentation]) -> None:
    """Equal to the last bit."""
    for one, other in zip(results, expected, strict=True):
        assert one == replace(other, mask=one.mask)
        assert np.array_equal(one.mask, other.mask)
        assert np.array_equal(one.probabilities, other.probabilities)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture(scope="module")
def plain(lite: STCNLite) -> list[Segmentation]:
    """Three objects from the first frame on, with the published schedule."""
    return follow(new_session(lite), {0: FIRST})


@pytest.fixture(params=["stcn-lite", pytest.param("stcn", marks=pytest.mark.slow), "stm"], scope="module")
def network(request: pytest.FixtureRequest, lite: STCNLite) -> MemoryNetwork:
    if request.param == "stcn-lite":
        return lite
    found: MemoryNetwork = request.getfixturevalue(f"{request.param}_network")
    return found


@pytest.fixture(scope="module")
def ready(network: MemoryNetwork) -> Prepared[MemoryNetwork]:
    """The network as sessions run it; to read all weights for each session takes time."""
    return prepare(network, device="cpu")


class Recorder:
    """A prompter that keeps what it is asked and answers with the mask so far, or all of the image."""

    def __init__(self, image: Image, asked: list[Asked]) -> None:
        self.size, self.asked = (image.shape[0], image.shape[1]), asked

    def answer(self, prompts: Asked) -> MaskPrediction:
        self.asked.append(prompts)
        plane = np.ones(self.size, np.float32) if prompts.mask is None else prompts.mask
        return MaskPrediction(
            self.size, (0, 0, self.size[1], self.size[0]), np.ones(1, np.float32), plane[None]
        )


def test_a_click_on_a_known_object_corrects_where_the_tracker_sees_it(lite: STCNLite) -> None:
    asked: list[Asked] = []
    session = new_session(lite, prompter=partial(Recorder, asked=asked))
    session.step(frame(0), FIRST)
    expected = session.peek(frame(1))
    known = expected.probabilities[2]
    y, x = np.argwhere(known <= 0.5)[0]
    result = session.step(frame(1), [PointPrompt(2, ((float(x), float(y)),))])
    assert asked[0].mask is not None
    np.testing.assert_array_equal(asked[0].mask, known)
    changed = (result.mask == 2) != (known > 0.5)
    assert changed[y, x]
    assert np.hypot(*(np.argwhere(changed) - (y, x)).T).max() <= 2, "the prompter sees nothing new there"
    assert result.ids == expected.ids


def test_a_click_that_agrees_keeps_the_prediction_and_its_score(lite: STCNLite) -> None:
    plain, clicked = new_session(lite), new_session(lite)
    for session in (plain, clicked):
        session.step(frame(0), FIRST)
    mask = plain.peek(frame(1)).mask == 2
    y, x = np.argwhere(mask)[0]
    prompts: dict[int, Sequence[Prompt]] = {1: [PointPrompt(2, ((float(x), float(y)),))]}
    for t in range(1, 7):
        one, two = plain.step(frame(t)), clicked.step(frame(t), prompts.get(t))
        assert one == two
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_a_click_on_a_new_object_has_no_mask_so_far(lite: STCNLite) -> None:
    asked: list[Asked] = []
    session = new_session(lite, prompter=partial(Recorder, asked=asked))
    session.step(frame(0), FIRST)
    session.step(frame(1), [PointPrompt(9, ((3.0, 3.0),))])
    assert asked[0].mask is None


class Judge:
    """A prompter that answers with a rectangle and an IoU."""

    def __init__(self, image: Image, iou: float) -> None:
        self.size, self.iou = (image.shape[0], image.shape[1]), iou

    def answer(self, prompts: Asked) -> MaskPrediction:
        plane = np.zeros((1, *self.size), np.float32)
        plane[:, 8:30, 10:40] = 0.9
        window = (0, 0, self.size[1], self.size[0])
        return MaskPrediction(self.size, window, np.full(1, self.iou, np.float32), plane)


def scores(results: Sequence[Segmentation], id: int = 1) -> list[float]:
    return [next(item.score for item in result.objects if item.id == id) for result in results]


def test_predicted_iou_of_a_prompt_weighs_later_scores(lite: STCNLite, tmp_path: Path) -> None:
    click, mask = [PointPrompt(1, ((20.0, 20.0),))], np.zeros((48, 64), np.uint8)
    mask[8:30, 10:40] = 1
    sure = scores(follow(new_session(lite), {0: mask}, end=8))
    session = new_session(lite, prompter=partial(Judge, iou=0.4))
    session.step(frame(0), click)
    peeked = scores([session.peek(frame(1))])
    session.state().save(tmp_path / "session.safetensors")
    session = new_session(lite, prompter=partial(Judge, iou=0.7))
    session.restore(SessionState.load(tmp_path / "session.safetensors"))
    anew = [PointPrompt(1, ((20.0, 20.0),), whole=True)]
    doubted = scores(follow(session, {5: anew, 6: [MaskPrompt(1, mask)]}, first=1, end=8))
    assert doubted[:4] == pytest.approx([score**0.75 * 0.4**0.25 for score in sure[1:5]], rel=1e-6)
    assert peeked == doubted[:1]
    assert doubted[4] == pytest.approx(0.7), "what was clicked on is as good as the prompter says"
    given = new_session(lite)
    truths = scores(follow(given, {0: mask, 5: [MaskPrompt(1, mask)], 6: [MaskPrompt(1, mask)]}, end=8))
    assert doubted[5:] == truths[6:], "a mask that is given has the score of tracking"


@pytest.mark.parametrize("removed", [True, False])
def test_the_doubt_goes_with_the_object(lite: STCNLite, removed: bool) -> None:
    session, mask = new_session(lite, prompter=partial(Judge, iou=0.4)), FIRST == 2
    session.step(frame(0), [PointPrompt(7, ((20.0, 20.0),)), MaskPrompt(2, mask)])
    if removed:
        session.step(frame(2), [RemovePrompt(7)])
    else:
        session.remove([7])
    assert [i for i, _ in session.state().values["_object_info"]["dict"]] == [2]


def test_the_same_frames_give_the_same_results(lite: STCNLite, plain: list[Segmentation]) -> None:
    assert_same(follow(new_session(lite), {0: FIRST}, end=4), plain[:4])


def test_a_reset_session_is_as_new(lite: STCNLite, plain: list[Segmentation]) -> None:
    session = new_session(lite)
    follow(session, {0: MASKS[4]}, end=3)
    session.reset()
    assert_same(follow(session, {0: FIRST}, end=4), plain[:4])


def test_probabilities_sum_to_one_and_their_best_class_is_the_mask(plain: list[Segmentation]) -> None:
    for result in plain:
        assert result.probabilities.shape == (4, 48, 64)
        assert result.probabilities.dtype == np.float32
        np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-5)
        assert np.array_equal(result.probabilities.argmax(0), result.mask)


def test_probabilities_do_not_depend_on_when_they_are_asked_for(
    lite: STCNLite, plain: list[Segmentation]
) -> None:
    session = new_session(lite)
    at_once = []
    for t in range(4):
        at_once.append(session.step(frame(t), FIRST if t == 0 else None).probabilities)
    for early, result in zip(at_once, plain[:4], strict=True):
        assert np.array_equal(early, result.probabilities)


def test_objects_tell_box_area_and_expected_overlap(plain: list[Segmentation]) -> None:
    factor, offset = STCNLite.capabilities.confidence
    for result in plain:
        for channel, item in enumerate(result.objects, start=1):
            inside = result.mask == item.id
            rows, columns = np.nonzero(inside)
            assert item.area == inside.sum()
            assert item.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            probability = result.probabilities[channel].astype(np.float64)
            share = probability[inside].sum() / (inside.sum() + probability[~inside].sum())
            odds = np.exp(offset) * (share / (1 - share)) ** factor
            assert item.score == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_the_given_mask_is_the_result_of_its_frame(plain: list[Segmentation]) -> None:
    assert np.array_equal(plain[0].mask, FIRST)


@pytest.mark.parametrize("schedule", [Schedule(mem_every=1, top_k=9)])
def test_objects_in_several_passes_give_the_same_results(
    ready: Prepared[MemoryNetwork], schedule: Schedule
) -> None:
    one_by_one = new_session(ready, schedule=schedule, memory_limit=1)
    apart = follow(one_by_one, {0: FIRST}, end=3)
    together = follow(new_session(ready, schedule=schedule), {0: FIRST}, end=3)
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def test_several_passes_share_one_read_of_the_memory(
    ready: Prepared[MemoryNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = list[tuple[int, ...]]()
    plain = Memory.read

    def counted(memory: Memory, key: Tensor, ids: Sequence[int], *rest: Any, **options: Any) -> Tensor:
        reads.append(tuple(ids))
        return plain(memory, key, ids, *rest, **options)

    monkeypatch.setattr(Memory, "read", counted)
    session = new_session(ready, memory_limit=1)
    follow(session, {0: FIRST}, end=3)
    assert {*reads} == {session.ids}


def test_ids_are_names_only(lite: STCNLite) -> None:
    names = np.array([0, 40, 7, 300])
    order = [0, 2, 1, 3]  # background, 7, 40, 300
    plain = follow(new_session(lite), {0: FIRST}, end=3)
    named = follow(new_session(lite), {0: names[FIRST]}, end=3)
    for one, other in zip(named, plain, strict=True):
        assert one.ids == (7, 40, 300)
        np.testing.assert_allclose(one.probabilities, other.probabilities[order], atol=1e-4)
    assert named[0].mask.dtype == np.uint16
    assert set(np.unique(named[-1].mask)) <= {0, 7, 40, 300}


def test_masks_before_the_first_prompt_are_empty(lite: STCNLite) -> None:
    results = follow(new_session(lite), {3: MASKS[3]}, end=4)
    for result in results[:3]:
        assert result.objects == ()
        assert not result.mask.any()
        assert (result.probabilities == 1).all()
    assert results[3].ids == (1, 2, 3)


def test_an_object_can_be_added(lite: STCNLite) -> None:
    two = np.where(FIRST == 2, 0, FIRST)
    before = follow(new_session(lite), {0: two})
    added = follow(new_session(lite), {0: two, 4: [MaskPrompt(2, MASKS[4] == 2, label="fish")]})
    assert_same(added[:4], before[:4])
    assert [result.ids for result in added[3:5]] == [(1, 3), (1, 2, 3)]
    assert np.array_equal(added[4].mask == 2, MASKS[4] == 2)
    # Merging brings the classes closer to one another, but what had the majority keeps it.
    sure = (MASKS[4] != 2) & (before[4].probabilities.max(0) > 0.5)
    assert sure.mean() > 0.3
    assert np.array_equal(added[4].mask[sure], before[4].mask[sure])
    assert [item.label for item in added[-1].objects] == [None, "fish", None]


def test_an_object_can_be_corrected(lite: STCNLite, plain: list[Segmentation]) -> None:
    right = MASKS[4] == 1
    corrected = follow(new_session(lite), {0: FIRST, 4: [MaskPrompt(1, right)]})
    assert_same(corrected[:4], plain[:4])
    assert corrected[4].ids == (1, 2, 3)
    assert np.array_equal(corrected[4].mask == 1, right)
    sure = ~right & (plain[4].mask != 1) & (plain[4].probabilities.max(0) > 0.5)
    assert sure.mean() > 0.3
    assert np.array_equal(corrected[4].mask[sure], plain[4].mask[sure])
    assert not np.array_equal(corrected[5].probabilities, plain[5].probabilities)


def test_an_object_can_be_removed(lite: STCNLite, plain: list[Segmentation]) -> None:
    results = follow(new_session(lite), {0: FIRST, 4: [RemovePrompt(2)]})
    assert_same(results[:4], plain[:4])
    for result in results[4:]:
        assert result.ids == (1, 3)
        assert not (result.mask == 2).any()


class Copies(TorchDispatchMode):
    """Counts inside of it the bytes of tensors that are copied."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("clone", "_to_copy", "copy_"):
            self.bytes += made.nbytes
        return made


def test_the_removal_of_an_object_copies_no_memory(lite: STCNLite) -> None:
    session = new_session(lite)
    follow(session, {0: FIRST}, end=4)
    held = session.tracker.memories[0].tables[0].nbytes  # type: ignore[attr-defined]
    with Copies() as copies, session._forgotten([2]):
        pass
    assert session.ids == (1, 3)
    assert copies.bytes < 0.05 * held


def test_without_any_object_left_masks_are_empty_until_one_comes(lite: STCNLite) -> None:
    gone = {
        0: FIRST,
        3: [RemovePrompt(1), RemovePrompt(2), RemovePrompt(3)],
        6: [MaskPrompt(2, MASKS[6] == 2)],
    }
    results = follow(new_session(lite), gone)
    assert all(result.ids == () and not result.mask.any() for result in results[3:6])
    alone = follow(new_session(lite), {6: [MaskPrompt(2, MASKS[6] == 2)]}, first=6)
    assert_same(results[6:], alone)


def test_removing_what_is_not_there_is_refused(lite: STCNLite) -> None:
    session = new_session(lite)
    follow(session, {0: FIRST}, end=2)
    with pytest.raises(PromptError):
        session.step(frame(2), [RemovePrompt(9)])


def test_a_step_takes_masks_by_id(lite: STCNLite) -> None:
    by_id = {int(i): i == FIRST for i in np.unique(FIRST) if i}
    first = new_session(lite).step(frame(0), FIRST)
    named = new_session(lite).step(frame(0), masks=by_id)
    assert np.array_equal(first.mask, named.mask)
    with pytest.raises(PromptError):
        new_session(lite).step(frame(0), masks={"person": FIRST == 1})
    with pytest.raises(PromptError, match=r"by frame in segue.track.* masks=\{7: mask\}"):
        new_session(lite).step(frame(0), by_id)


def test_a_step_takes_the_arguments_of_track(lite: STCNLite) -> None:
    rows, columns = np.nonzero(FIRST == 1)
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    middle = (float(np.median(columns)), float(np.median(rows)))
    for marks, prompt in (
        ({"box": box}, BoxPrompt(1, box)),
        ({"boxes": {3: box}}, BoxPrompt(3, box)),
        ({"points": [middle, (1.0, 1.0)], "labels": [1, 0]}, PointPrompt(1, (middle,), ((1.0, 1.0),))),
    ):
        one, other = new_session(lite), new_session(lite)
        assert one.step(frame(0), **marks) == other.step(frame(0), [prompt])  # type: ignore[arg-type]


def test_a_refused_prompt_changes_nothing(lite: STCNLite, plain: list[Segmentation]) -> None:
    session = new_session(lite)
    results = follow(session, {0: FIRST}, end=3)
    for wrong in (
        np.zeros((48, 64), np.uint8),
        np.ones((24, 32), np.uint8),
        [RemovePrompt(9)],
        [RemovePrompt(1), BoxPrompt(2, (70, 0, 80, 9))],
        np.full((48, 64), 70000),
    ):
        with pytest.raises(PromptError):
            session.step(frame(3), wrong)
    assert_same(results + follow(session, {}, first=3, end=5), plain[:5])


def test_more_objects_than_supported_are_refused(lite: STCNLite) -> None:
    pixels = np.arange(48 * 64).reshape(48, 64)
    with pytest.raises(PromptError, match=f"{MAX_OBJECTS + 1} objects"):
        new_session(lite).step(frame(0), 1 + pixels % (MAX_OBJECTS + 1))
    found = new_session(lite).resolve(frame(0), 1 + pixels % MAX_OBJECTS)
    assert len(found.ids) == MAX_OBJECTS


def test_masks_of_another_size_are_fitted_when_asked(lite: STCNLite) -> None:
    small = FIRST[::2, ::2]
    with pytest.raises(PromptError):
        new_session(lite).step(frame(0), small)
    result = new_session(lite, fit=True).step(frame(0), small)
    assert np.array_equal(result.mask[::2, ::2], small)


def test_frames_of_another_size_are_refused(lite: STCNLite) -> None:
    session = new_session(lite)
    follow(session, {0: FIRST}, end=2)
    with pytest.raises(SourceError, match=r"frame 2.*32x48.*64x48"):
        session.step(Frame(2, 0.2, FRAMES[2][:, :32]))


def test_a_session_does_not_change_the_network(lite: STCNLite) -> None:
    network = copy.deepcopy(lite)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    settings = [(parameter.requires_grad, parameter.dtype) for parameter in network.parameters()]
    network.train()
    new_session(network, fast=True)
    follow(new_session(network), {0: FIRST}, end=2)
    assert network.training
    assert settings == [(parameter.requires_grad, parameter.dtype) for parameter in network.parameters()]
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_network_in_training_mode_is_run_in_evaluation_mode(
    lite: STCNLite, plain: list[Segmentation]
) -> None:
    network: Any = copy.deepcopy(lite)
    network.decoder.pred = torch.nn.Sequential(torch.nn.Dropout(0.5), network.decoder.pred)
    assert_same(follow(new_session(network.train()), {0: FIRST}, end=3), plain[:3])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    broken = STCNLite()
    with torch.no_grad():
        broken.decoder.pred.weight[0, 0, 0, 0] = value
    with pytest.raises(CheckpointError, match=r"decoder\.pred\.weight of STCNLite"):
        new_session(broken)


def test_fewer_bits_stay_close(lite: STCNLite) -> None:
    whole = replace(lite.schedule, window=None)  # whether an object leaves its window changes with a bit
    plain = follow(new_session(lite, schedule=whole), {0: FIRST})
    fast = follow(new_session(lite, schedule=whole, fast=True), {0: FIRST})
    has_fewer = has_int8() or has_bfloat16(choose_device("cpu"))
    assert np.array_equal(fast[1].probabilities, plain[1].probabilities) != has_fewer
    for one, other in zip(fast, plain, strict=True):
        assert one.probabilities.dtype == np.float32
        assert np.abs(one.probabilities - other.probabilities).mean() < 0.02


def test_every_frame_is_due_after_the_distance_of_the_schedule(lite: STCNLite) -> None:
    session = new_session(lite, schedule=Schedule(mem_every=3))
    assert not session.requires_update
    due = []
    for t in range(8):
        due.append(session.requires_update)
        session.step(frame(t), FIRST if t == 0 else None)
    assert due == [False, False, False, True, False, False, True, False]


def test_memory_does_not_grow_beyond_its_bound(lite: STCNLite) -> None:
    session = new_session(lite, schedule=Schedule(mem_every=1, memory_frames=3))
    sizes = []
    for t in range(len(FRAMES)):
        session.step(frame(t), FIRST if t == 0 else None)
        sizes.append(sum(tensor.numel() for tensor in session.state().tensors.values()))
    assert sizes[2] == sizes[-1] > sizes[0]


SCHEDULES = [
    Schedule(),
    Schedule(mem_every=2, include_last=True, memory_frames=2),
    Schedule(mem_every=2, top_k=None, memory_frames=2, memory_policy="fifo"),
    Schedule(mem_every=2, include_last=True, last_window=1, dense_radius=1, short_side=30),
]


@pytest.mark.parametrize(("schedule", "stop"), list(zip(SCHEDULES, [6, 2, 6, 0], strict=True)))
def test_a_restored_session_goes_on_bit_by_bit(
    lite: STCNLite, tmp_path: Path, schedule: Schedule, stop: int
) -> None:
    prompts: Prompts = {1: np.where(FIRST == 3, 0, FIRST), 5: [MaskPrompt(3, MASKS[5] == 3), RemovePrompt(1)]}
    whole = follow(new_session(lite, schedule=schedule), prompts)
    session = new_session(lite, schedule=schedule)
    follow(session, prompts, end=stop)
    session.state().save(tmp_path / "session.safetensors")
    for _ in range(2):
        restored = new_session(lite, schedule=schedule)
        restored.restore(SessionState.load(tmp_path / "session.safetensors"))
        assert_same(follow(restored, prompts, first=stop), whole[stop:])
    assert [path.name for path in tmp_path.iterdir()] == ["session.safetensors"]


def test_a_state_of_another_network_or_schedule_is_refused(
    lite: STCNLite, stm_network: MemoryNetwork
) -> None:
    state = new_session(lite).state()
    with pytest.raises(CheckpointError):
        new_session(stm_network, schedule=lite.schedule).restore(state)
    with pytest.raises(CheckpointError):
        new_session(lite, schedule=Schedule(mem_every=7)).restore(state)


@torch.no_grad()
def test_a_state_of_other_weights_of_the_same_network_is_refused(lite: STCNLite) -> None:
    state = new_session(lite).state()
    other = copy.deepcopy(lite)
    next(other.parameters()).mul_(1.001)
    with pytest.raises(CheckpointError):
        new_session(other).restore(state)


def test_files_that_are_no_saved_sessions_are_refused(lite: STCNLite, tmp_path: Path) -> None:
    path = tmp_path / "session.safetensors"
    with pytest.raises(CheckpointError):
        SessionState.load(path)
    path.write_bytes(b"no safetensors at all")
    with pytest.raises(CheckpointError):
        SessionState.load(path)
    session = new_session(lite)
    follow(session, {0: FIRST}, end=1)
    session.state().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError):
        SessionState.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError):
        SessionState.load(path)


def test_a_session_that_cannot_be_saved_says_where(lite: STCNLite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError):
        new_session(lite).state().save(tmp_path / "file" / "session.safetensors")


@pytest.mark.parametrize("size", [(1, 1), (33, 17)])
def test_frames_of_any_size_are_followed(ready: Prepared[MemoryNetwork], size: tuple[int, int]) -> None:
    height, width = size
    session = new_session(ready, schedule=replace(ready.network.schedule, mem_every=1))
    mask = np.zeros(size, np.uint8)
    mask[: (height + 1) // 2] = 1
    for t in range(3):
        image = np.ascontiguousarray(FRAMES[t][:height, :width])
        result = session.step(Frame(t, t / 10, image), mask if t == 0 else None)
        assert result.mask.shape == size
        assert result.probabilities.shape == (2, *size)
        assert np.isfinite(result.probabilities).all()


def test_images_that_are_read_only_or_views_are_taken_as_they_are(
    lite: STCNLite, plain: list[Segmentation]
) -> None:
    session = new_session(lite)
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for t in range(3):
            image = FRAMES[t].copy() if t else FRAMES[t][:, ::-1].copy()[:, ::-1]
            image.setflags(write=False)
            mask = FIRST.astype(np.int64) if t == 0 else None
            results.append(session.step(Frame(t, t / 10, image), mask))
    assert_same(results, plain[:3])


def test_large_frames_are_read_from_coarse_to_fine(
    lite: STCNLite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    schedule = replace(lite.schedule, mem_every=1)  # four frames have more cells than the read takes
    whole = follow(new_session(lite, schedule=schedule), {0: FIRST}, end=6)
    monkeypatch.setattr(tracker, "COARSE_ABOVE", 0)
    session = new_session(lite, schedule=schedule)
    results = follow(session, {0: FIRST}, end=6)
    assert any(
        not np.array_equal(one.probabilities, other.probabilities)
        for one, other in zip(results, whole, strict=True)
    )
    session.state().save(tmp_path / "session.safetensors")
    restored = new_session(lite, schedule=schedule)
    restored.restore(SessionState.load(tmp_path / "session.safetensors"))
    assert_same(follow(restored, {}, first=6), follow(session, {}, first=6))


def test_frames_beyond_the_working_size_are_reduced_for_the_network(lite: STCNLite) -> None:
    session = new_session(lite, schedule=Schedule(short_side=30, mem_every=2))
    results = follow(session, {0: FIRST, 4: [MaskPrompt(2, MASKS[4] == 2)]})
    assert np.array_equal(results[0].mask, FIRST)
    assert np.array_equal(results[4].mask == 2, MASKS[4] == 2)
    for result in results:
        assert result.probabilities.shape == (4, 48, 64)
        np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-5)
        assert np.array_equal(result.probabilities.argmax(0), result.mask)
    memory = session.tracker.state().part("memories.0").part("tables.0")
    assert memory.values["_grid"] == {"tuple": [32 // 8, 48 // 8]}, "30x40, padded to 32x48, at stride 8"


LONG_VIDEO = """
import sys
from pathlib import Path
import numpy as np
import segue
def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
video = np.load(sys.argv[1])
session = segue.TrackSession("stcn-lite", device="cpu")
session.step(video["frames"][0], video["first"])
for t in range(1, 10_001):
    assert session.step(video["frames"][t % len(video["frames"])]).probabilities.shape[0] == 4
    if t in (500, 10_000):
        print(resident_pages())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_flat_over_ten_thousand_frames(tmp_path: Path) -> None:
    """In a process of its own: what other tests left in the heap is no part of it."""
    np.savez(tmp_path / "video.npz", frames=np.stack(FRAMES), first=FIRST)
    words = [sys.executable, "-c", LONG_VIDEO, str(tmp_path / "video.npz")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    early, late = map(int, done.stdout.split())
    assert late <= 1.02 * early


def test_results_can_be_pickled_and_give_the_same_probabilities(lite: STCNLite) -> None:
    for result in follow(new_session(lite), {0: FIRST}, end=3):
        data = pickle.dumps(result)
        assert len(data) < 300_000, "a result takes no network with it"
        again = pickle.loads(data)
        assert again == result
        assert np.array_equal(again.probabilities, result.probabilities)


def test_peeking_changes_nothing(lite: STCNLite, plain: list[Segmentation]) -> None:
    """With room for two frames, what is read decides which frame makes room."""
    schedule = replace(lite.schedule, mem_every=1, memory_frames=2)
    whole = follow(new_session(lite, schedule=schedule), {0: FIRST}, end=5)
    session = new_session(lite, schedule=schedule)
    results = []
    for t in range(5):
        if t:
            before = session.state()
            session.peek(frame(t))
            after = session.state()
            assert after.values == before.values
            assert all(torch.equal(after.tensors[name], value) for name, value in before.tensors.items())
        results.append(session.step(frame(t), FIRST if t == 0 else None))
    assert_same(results, whole)


class Fragile(STCNLite):
    """Counts its calls, and runs out of memory in the one that a test names."""

    failing = ""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def begin(self, call: str) -> None:
        self.calls.append(call)
        if call == self.failing:
            raise MemoryError

    def encode_query(self, *arguments: Any) -> Any:
        self.begin("encode_query")
        return super().encode_query(*arguments)

    def decode(self, *arguments: Any) -> Any:
        self.begin("decode")
        return super().decode(*arguments)

    def encode_memory(self, *arguments: Any) -> Any:
        self.begin("encode_memory")
        return super().encode_memory(*arguments)


@pytest.fixture(scope="module")
def fragile(lite: STCNLite) -> Fragile:
    network = Fragile()
    network.load_state_dict(lite.state_dict())
    return network.eval()


def test_a_frame_that_was_peeked_at_is_not_predicted_again(
    fragile: Fragile, plain: list[Segmentation]
) -> None:
    session = new_session(fragile)
    calls = session.tracker.network.calls  # type: ignore[attr-defined]
    results = follow(session, {0: FIRST}, end=4)
    before = calls.count("encode_query")
    session.peek(frame(4))
    looked = calls.count("encode_query")
    session.remove([])
    results.append(session.step(frame(4)))
    assert calls.count("encode_query") == looked > before
    assert_same(results, plain[:5])


def test_a_step_that_fails_in_the_network_can_be_taken_again(
    fragile: Fragile, plain: list[Segmentation]
) -> None:
    prompts: list[Prompt] = [RemovePrompt(1), MaskPrompt(4, MASKS[3] == 1)]
    session, whole = new_session(fragile), new_session(fragile)
    for each in (session, whole):
        follow(each, {0: FIRST}, end=3)
    network = session.tracker.network  # type: ignore[attr-defined]
    for failing in ("encode_query", "decode", "encode_memory"):
        network.failing = failing
        with pytest.raises(MemoryError):
            session.step(frame(3), prompts)
        network.failing = ""
        assert session.ids == (1, 2, 3)
    assert_same(follow(session, {3: prompts}, first=3, end=6), follow(whole, {3: prompts}, first=3, end=6))


def test_an_array_that_is_filled_again_after_a_look_is_a_new_image(
    lite: STCNLite, plain: list[Segmentation]
) -> None:
    session, buffer, results = new_session(lite), np.empty_like(FRAMES[0]), []
    for t in range(5):
        if t:
            buffer[:] = FRAMES[(t + 3) % len(FRAMES)]
            session.peek(Frame(t, t / 10, buffer))
        buffer[:] = FRAMES[t]
        results.append(session.step(Frame(t, t / 10, buffer), FIRST if t == 0 else None))
    assert_same(results, plain[:5])


def test_a_first_frame_that_was_refused_does_not_fix_the_size(
    lite: STCNLite, plain: list[Segmentation]
) -> None:
    session = new_session(lite)
    with pytest.raises(PromptError):
        session.step(Frame(0, 0.0, FRAMES[0][:, :32]), FIRST)
    assert_same(follow(session, {0: FIRST}, end=2), plain[:2])


def test_a_second_thread_is_refused_while_a_frame_is_taken() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    refused: dict[str, BaseException | None] = {}

    def prompter(seen: Image) -> ImagePrompter:
        calls: dict[str, Callable[[], object]] = {
            "step": lambda: session.step(image),
            "peek": lambda: session.peek(image),
            "forget": lambda: session.remove([1]),
            "skip": lambda: session.skip(Frame(0, 0.0, image)),
            "state": session.state,
            "reset": session.reset,
        }
        with ThreadPoolExecutor(1) as pool:
            refused.update({name: pool.submit(call).exception() for name, call in calls.items()})
        return Prompter(seen, device="cpu")

    session = TrackSession("stcn-lite", device="cpu", prompter=prompter)
    session.step(image, [PointPrompt(1, [(20, 16)])])
    assert len(refused) == 6
    assert all(isinstance(error, SegueError) for error in refused.values()), refused


def test_a_session_in_a_with_block_forgets_its_objects_at_the_end() -> None:
    with TrackSession("stcn-lite", device="cpu") as session:
        session.step(np.zeros((32, 48, 3), np.uint8), np.eye(32, 48, dtype=np.uint8))
        assert session.ids == (1,)
    assert session.ids == ()


def test_added_prompts_are_taken_with_the_next_frame() -> None:
    session, expected = (TrackSession(lively_lite(), device="cpu") for _ in range(2))
    session.add(masks={1: MASKS[0] == 1})
    session.add(box=(2, 2, 20, 20), id=4)
    boxed = session.step(FRAMES[0])
    both = [MaskPrompt(1, MASKS[0] == 1), BoxPrompt(4, (2, 2, 20, 20))]
    assert np.array_equal(boxed.mask, expected.step(FRAMES[0], both).mask)
    assert np.array_equal(session.step(FRAMES[1]).mask, expected.step(FRAMES[1]).mask), "taken once"
    session.add(masks={5: np.ones((9, 9), bool)})
    with pytest.raises(PromptError):
        session.step(FRAMES[2])
    assert np.array_equal(session.step(FRAMES[2]).mask, expected.step(FRAMES[2]).mask), "dropped"


def test_an_object_that_is_removed_before_the_next_frame_does_not_come(lite: STCNLite) -> None:
    session, expected = new_session(lite), new_session(lite)
    for each in (session, expected):
        each.step(frame(0), FIRST)
    session.add(box=(2, 2, 20, 20), id=4)
    session.add(box=(30, 2, 50, 20), id=2)
    expected.add(box=(2, 2, 20, 20), id=4)
    for each in (session, expected):
        each.remove(2)
    assert np.array_equal(session.step(frame(1)).mask, expected.step(frame(1)).mask)
    assert session.ids == (1, 3, 4)


def test_a_state_has_frames_that_numpy_counted(lite: STCNLite, tmp_path: Path) -> None:
    session = new_session(lite)
    session.step(Frame(np.int64(3), np.float32(0.5), FRAMES[0]), FIRST)  # type: ignore[arg-type]
    session.state().save(tmp_path / "state")
    other = new_session(lite)
    other.restore(SessionState.load(tmp_path / "state"))
    assert other.step(FRAMES[1]).index == 4


def test_a_state_has_what_was_added_for_the_next_frame(lite: STCNLite, tmp_path: Path) -> None:
    session = new_session(lite)
    session.step(frame(0), FIRST)
    session.add([RemovePrompt(2)])
    session.add(masks={7: MASKS[1] == 2})
    session.add(box=(2, 2, 20, 20), id=4)
    session.add(points=[(30, 20)], labels=[1], id=8)
    session.state().save(tmp_path / "state")
    other = new_session(lite)
    other.add(masks={9: MASKS[1] == 1})
    other.restore(SessionState.load(tmp_path / "state"))
    expected, found = session.step(frame(1)), other.step(frame(1))
    assert found.ids == expected.ids == (1, 3, 4, 7, 8)
    assert np.array_equal(found.mask, expected.mask)
    session.add(text="dog")
    session.add(text=("cat", "cow"))
    other.restore(session.state())
    assert other.state().values == session.state().values
    other.reset()
    assert other.step(frame(2)).ids == ()


def test_a_negative_click_corrects_what_was_just_added(lite: STCNLite) -> None:
    session, other = new_session(lite), new_session(lite)
    x, y = np.argwhere(FIRST == 1)[0][::-1].tolist()
    session.add(masks={1: FIRST == 1})
    session.add(negative=[(x, y)])
    found = session.step(frame(0))
    expected = other.step(frame(0), [MaskPrompt(1, FIRST == 1), PointPrompt(1, (), ((x, y),))])
    assert np.array_equal(found.mask, expected.mask)
    assert found.mask[y, x] == 0
    other.reset()
    other.add(masks={1: FIRST == 1})
    assert np.array_equal(other.step(frame(0), negative=[(x, y)]).mask, found.mask)
    with pytest.raises(PromptError, match="negative goes with points"):
        session.add(negative=[(x, y)], id=5)


def test_a_text_adds_the_objects_that_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def detector(*, text: Any, **_: Any) -> Any:
        asked.append(text)
        first, second = ObjectInfo(1, "dog", 0.9), ObjectInfo(2, "dog", 0.8)
        return lambda frame: Segmentation(frame.index, frame.time, MASKS[0], (first, second))

    monkeypatch.setattr("segue.sessions.detecting.detector", detector)
    session = TrackSession(lively_lite(), device="cpu")
    session.add(text="dog")
    result = session.step(FRAMES[0])
    assert [(item.id, item.label) for item in result.objects] == [(1, "dog"), (2, "dog")]
    given = [MaskPrompt(i, MASKS[0] == i) for i in (1, 2)]
    expected = TrackSession(lively_lite(), device="cpu").step(FRAMES[0], given)
    assert np.array_equal(result.mask, expected.mask)
    session.step(FRAMES[1], text="dog")
    assert asked == ["dog"], "made once"
    session.step(FRAMES[0], text=["dog", "cat"])
    assert asked == ["dog", ["dog", "cat"]]


def test_prompts_that_were_added_wait_until_a_frame_is_taken() -> None:
    session = TrackSession(lively_lite(), device="cpu")
    session.step(FRAMES[0], MASKS[0])
    assert not session.requires_update or session.tracker.requires_update
    session.add([MaskPrompt(7, MASKS[1] == 1)])
    assert session.requires_update, "the next frame must not be skipped"
    failing = session.tracker.step

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("the device is gone")

    session.tracker.step = fails  # type: ignore[method-assign]
    with pytest.raises(OSError, match="gone"):
        session.step(FRAMES[1])
    session.tracker.step = failing  # type: ignore[method-assign]
    with pytest.raises(PromptError, match="outside"):
        session.step(FRAMES[1], [PointPrompt(1, (1000, 1000))])
    assert 7 in session.step(FRAMES[1]).ids
    session.add([MaskPrompt(8, np.zeros_like(MASKS[1]))])
    with pytest.raises(PromptError, match="empty"):
        session.step(FRAMES[2])
    assert 8 not in session.step(FRAMES[2]).ids, "what is invalid is dropped"


def test_a_prompt_for_another_frame_is_refused() -> None:
    session = TrackSession(lively_lite(), device="cpu")
    with pytest.raises(PromptError, match="for frame 3, but was given on frame 0"):
        session.step(FRAMES[0], MaskPrompt.each(MASKS[0], frame=3))
    assert session.step(FRAMES[0], MaskPrompt.each(MASKS[0], frame=0)).ids


def test_a_first_result_of_many_objects_holds_an_index_mask(lite: STCNLite) -> None:
    """Not a plane of probabilities for each, which are 400 MB for 200 objects of 540p."""
    mask = np.zeros(FIRST.shape, np.uint8)
    for number in range(20):
        row, column = divmod(number, 5)
        mask[12 * row + 1 : 12 * row + 10, 12 * column + 1 : 12 * column + 10] = number + 1
    for schedule in (lite.schedule, replace(lite.schedule, short_side=32)):
        result = new_session(lite, schedule=schedule).step(frame(0), mask)
        planes = torch.from_numpy((mask == np.arange(1, 21)[:, None, None]).astype(np.float32))
        np.testing.assert_allclose(result.probabilities, lite.aggregate(planes), atol=1e-6)
        assert np.array_equal(result.mask, mask)
        assert np.array_equal(result.masks, planes > 0)
        assert all(item.score > 0.9 for item in result.objects)
        assert len(pickle.dumps(result)) < 8 * mask.size

"""``segue.Video`` with a video model of transformers: the numbers of its own loop over a whole video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import SegueError
from segue.models.base import Schedule
from segue.models.sam2.images import video_logits
from segue.models.transformers_video import TransformersVideo
from segue.sessions.videos.prompted import PromptedVideoSession
from segue.types import Segmentation
from tests.clips import clip
from tests.models.fake_transformers import FakeProcessor, FakeSession, FakeVideoModel

FRAMES, MASKS = clip(7, 9, 48, 72, 2)
SIZE = FRAMES.shape[1:3]
ON, BESIDE = (26.0, 34.0), (60.0, 40.0)


class OwnLoop:
    """The loop of the documentation of transformers, with one session for each object."""

    def __init__(self, network: Any) -> None:
        self.model, self.processor = network.model, network.processor
        pixels = (self.processor(images=f, return_tensors="pt")["pixel_values"][0] for f in FRAMES)
        self.video = dict(enumerate(pixels))
        self.sessions: dict[int, Any] = {}

    def add(self, frame: int, id: int, **inputs: Any) -> torch.Tensor:
        session = self.sessions.setdefault(id, self.processor.init_video_session())
        session.processed_frames = self.video
        self.processor.add_inputs_to_inference_session(session, frame, [id], original_size=SIZE, **inputs)
        return self.masks(self.model(session, frame_idx=frame))

    def passes(self, id: int) -> dict[int, torch.Tensor]:
        session, rows = self.sessions[id], {}
        for reverse in (False, True):
            for output in self.model.propagate_in_video_iterator(session, reverse=reverse):
                rows[output.frame_idx] = self.masks(output)
        return rows

    def keep(self, id: int, frame: int) -> None:
        """Make a corrected frame a prompted one, as ``add_all_frames_to_correct_as_cond`` of SAM 2 does."""
        outputs = self.sessions[id].output_dict_per_obj[0]
        outputs["cond_frame_outputs"][frame] = outputs["non_cond_frame_outputs"].pop(frame)

    @staticmethod
    def masks(output: Any) -> torch.Tensor:
        return video_logits(output.pred_masks.float().reshape(1, 1, *output.pred_masks.shape[-2:]), SIZE)[0]


@pytest.fixture
def network() -> TransformersVideo:
    return TransformersVideo(FakeVideoModel(), FakeProcessor())


@pytest.fixture
def video(network: TransformersVideo) -> segue.Video:
    return segue.Video([*FRAMES], model=network, device="cpu")


def same(result: Segmentation, id: int, logits: torch.Tensor) -> bool:
    return np.allclose(result.logits[result.ids.index(id)], logits.detach().numpy(), atol=1e-5)


def test_clicks_a_box_and_a_correction_give_what_the_loop_of_transformers_gives(
    video: segue.Video, network: TransformersVideo
) -> None:
    loop = OwnLoop(network)
    click = {"input_points": [[[[*ON]]]], "input_labels": [[[1]]]}
    assert same(video.add(3, points=[ON]), 1, loop.add(3, 1, **click))
    more = {"input_points": [[[[*BESIDE]]]], "input_labels": [[[0]]], "clear_old_inputs": False}
    assert same(video.add(3, points=[BESIDE], labels=[0]), 1, loop.add(3, 1, **more))
    corners = {"input_points": [[[[40.0, 10.0], [62.0, 27.0]]]], "input_labels": [[[2, 3]]]}
    assert same(video.add(3, id=4, box=(40, 10, 62, 27)), 4, loop.add(3, 4, **corners))

    results, expected = list(video.propagate()), {id: loop.passes(id) for id in (1, 4)}
    assert [result.index for result in results] == [3, 4, 5, 6, 7, 8, 2, 1, 0]
    assert all(same(result, id, expected[id][result.index]) for result in results for id in (1, 4))

    wrong = {"input_points": [[[[*BESIDE]]]], "input_labels": [[[0]]]}
    corrected = video.add(6, points=[BESIDE], labels=[0])
    assert same(corrected, 1, loop.add(6, 1, **wrong))
    loop.keep(1, 6)
    before = {result.index: result.logits for result in results}
    results, expected = list(video.propagate()), {id: loop.passes(id) for id in (1, 4)}
    assert all(same(result, id, expected[id][result.index]) for result in results for id in (1, 4))
    after = {result.index: result.logits for result in results}
    assert np.array_equal(after[6][0], corrected.logits[0]), "the correction stays"
    assert np.abs(after[8][0] - before[8][0]).max() > 0.01, "later frames know it"


def test_corrected_frames_are_recomputed_by_default(network: TransformersVideo) -> None:
    video = segue.Video([*FRAMES], model=network, device="cpu", schedule=network.schedule)
    video.add(0, points=[ON])
    first = {result.index: result.logits for result in video.propagate()}
    corrected = video.add(5, points=[BESIDE], labels=[0])
    assert not np.allclose(corrected.logits, first[5])
    again = {result.index: result.logits for result in video.propagate()}
    assert np.allclose(again[5], first[5])
    assert video.prompted == (0,)


def test_a_mask_and_the_end_of_its_prompt(video: segue.Video, network: TransformersVideo) -> None:
    loop, mask = OwnLoop(network), MASKS[2] == 2
    result = video.add(2, masks={7: mask})
    assert same(result, 7, loop.add(2, 7, input_masks=[torch.from_numpy(mask)]))
    expected = loop.passes(7)
    assert all(same(result, 7, expected[result.index]) for result in video.propagate())
    video.add(5, id=7, points=[ON])
    video.remove(7, 5)
    assert video.prompted == (2,)
    expected = loop.passes(7)
    assert all(same(result, 7, expected[result.index]) for result in video.propagate())
    video.remove(7)
    assert video.ids == ()


def tracker_of(video: segue.Video) -> Any:
    assert isinstance(video._session, PromptedVideoSession)
    return video._session._tracker


def test_a_frame_is_encoded_once_for_all_objects(video: segue.Video) -> None:
    for id, point in ((1, ON), (2, BESIDE), (3, (40.0, 20.0))):
        video.add(0, id=id, points=[point])
    list(video.propagate())
    assert tracker_of(video)._model.reads == [*range(9)]


def test_a_video_goes_on_after_a_restart(
    video: segue.Video, network: TransformersVideo, tmp_path: Path
) -> None:
    video.add(4, points=[ON])
    list(video.propagate())
    video.add(6, points=[BESIDE], labels=[0])
    video.save_state(tmp_path / "state")
    other = segue.Video([*FRAMES], model=network, device="cpu")
    other.restore(tmp_path / "state")
    for one, two in zip(video.propagate(), other.propagate(), strict=True):
        assert np.array_equal(one.logits, two.logits)


def test_the_books_hold_what_frames_may_need_again(video: segue.Video) -> None:
    video.add(0, masks={1: MASKS[0] == 1})
    list(video.propagate())
    session: FakeSession = tracker_of(video)._sessions[1]
    records = [r for frames in session.output_dict_per_obj[0].values() for r in frames.values()]
    assert len(records) == len(FRAMES)
    assert not any("high_res_masks" in record for record in records)
    assert len({record["maskmem_pos_enc"].data_ptr() for record in records}) == 1
    assert session.mask_inputs_per_obj == {0: {}}


def test_settings_that_the_models_lack_are_refused(network: TransformersVideo) -> None:
    with pytest.raises(SegueError, match="have no mem_every"):
        segue.Video([*FRAMES], model=network, device="cpu", schedule=Schedule(mem_every=3))

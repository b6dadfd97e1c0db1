"""Whole clips against the published inference, through a session and through ``segue.track``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import segue
from segue.models.base import MemoryNetwork, Schedule
from segue.models.stcn import STCN
from segue.models.stm import STM
from segue.types import Frame, Segmentation
from tests.clips import clip
from tests.golden_arrays import Array, Golden, load_golden

GoldenReader = Callable[[str], Golden]


@dataclass(frozen=True)
class Run:
    """Results of a clip by frame index, and its length."""

    results: dict[int, Segmentation]
    length: int

    @property
    def masks(self) -> Array:
        """(T, H, W); frames without a result are empty."""
        blank = np.zeros_like(next(iter(self.results.values())).mask)
        return np.stack([self.results[t].mask if t in self.results else blank for t in range(self.length)])

    @property
    def ids(self) -> tuple[int, ...]:
        """All objects, in order."""
        return max((result.ids for result in self.results.values()), key=len)

    def probabilities(self, frames: Array) -> Array:
        """(K+1, len(frames), H, W); 0 for objects that are not there yet."""
        found = np.zeros((len(self.ids) + 1, len(frames), *self.masks.shape[1:]), np.float32)
        for position, t in enumerate(frames):
            result = self.results[int(t)]
            channels = [0, *(1 + self.ids.index(i) for i in result.ids)]
            found[channels, position] = result.probabilities
        return found

    @property
    def means(self) -> Array:
        """Spatial mean of every class on every frame, (K+1, T)."""
        return self.probabilities(np.arange(self.length)).mean((2, 3))


def stepped(
    network: MemoryNetwork,
    frames: Array,
    prompts: Mapping[int, Array],
    schedule: Schedule | None = None,
    device: str = "cpu",
) -> Run:
    """Run a clip through a session, frame by frame."""
    session = segue.TrackSession(network, schedule, device=device)
    steps = (session.step(Frame(t, t / 25, image), prompts.get(t)) for t, image in enumerate(frames))
    return Run({result.index: result for result in steps}, len(frames))


def tracked(network: MemoryNetwork, frames: Array, prompts: Mapping[int, Array], **arguments: Any) -> Run:
    """Run a clip through the function of the public API."""
    results = segue.track(list(frames), prompts, model=network, device="cpu", **arguments)
    return Run({result.index: result for result in results}, len(frames))


@pytest.fixture(scope="module")
def stcn_clip2(stcn_network: STCN) -> Callable[[str], Run]:
    frames, masks = clip(11, 10, 96, 144, 2)

    @cache
    def run(variant: str) -> Run:
        prompts = {0: masks[0]}
        if variant == "top20":
            return stepped(stcn_network, frames, prompts, Schedule(mem_every=3))
        if variant == "full":
            return tracked(stcn_network, frames, prompts, mem_every=3, top_k=None)
        return tracked(stcn_network, frames, prompts, mem_every=3, include_last=True)

    return run


# The clip below has the schedule of "top20" as well, with objects that appear later; sessions that read all
# positions, or the last frame, are compared with a plain loop in tests/benchmarks.
@pytest.mark.slow
@pytest.mark.parametrize("variant", ["top20", "full", "top20_last"])
def test_stcn_follows_two_objects(
    stcn_clip2: Callable[[str], Run], golden: GoldenReader, variant: str
) -> None:
    expected, run = golden("stcn_clip2"), stcn_clip2(variant)
    frames = expected["prob_frames_last" if variant == "top20_last" else "prob_frames"]
    expected.check(f"argmax_{variant}", run.masks)
    expected.check(f"prob_{variant}", run.probabilities(frames))
    expected.check(f"meanprob_{variant}", run.means)


@pytest.fixture(scope="module")
def stcn_late(stcn_network: STCN) -> Callable[[str], Run]:
    frames, _ = clip(13, 12, 96, 144, 2)
    inputs = load_golden("stcn_late")
    prompts = {int(t): inputs["annotations"][t] for t in inputs["annotated_frames"]}

    @cache
    def run(variant: str) -> Run:
        if variant == "all":
            return stepped(stcn_network, frames, prompts, Schedule(mem_every=3))
        if variant == "last":
            return tracked(stcn_network, frames, prompts, mem_every=3, include_last=True)
        return tracked(stcn_network, frames, prompts, mem_every=3, required=inputs["req_frames"].tolist())

    return run


@pytest.mark.parametrize("variant", ["all", pytest.param("last", marks=pytest.mark.slow)])
def test_stcn_follows_objects_that_appear_later(
    stcn_late: Callable[[str], Run], golden: GoldenReader, variant: str
) -> None:
    expected, run = golden("stcn_late"), stcn_late(variant)
    expected.check(f"ids_{variant}", run.masks)
    frames = expected[f"prob_frames_{variant}"]
    probabilities = run.probabilities(frames)
    probabilities[:, frames < 1] = 0  # before the first annotation the release has no background either
    expected.check(f"prob_{variant}", probabilities)
    assert run.ids == (2, 5)


def test_stcn_segments_the_frames_that_are_required_alone(
    stcn_late: Callable[[str], Run], golden: GoldenReader
) -> None:
    expected, run = golden("stcn_late"), stcn_late("req")
    required = expected["req_frames"]
    assert sorted(run.results) == required.tolist()
    assert np.array_equal(expected["prob_frames_req"], required)
    Golden("stcn_late", {"ids": expected["ids_req"][required]}).check("ids", run.masks[required])
    expected.check("prob_req", run.probabilities(required))
    assert run.ids == (2, 5)


@pytest.fixture(scope="module")
def stcn_single(stcn_network: STCN) -> Run:
    frames, masks = clip(17, 7, 90, 134, 1)
    return tracked(stcn_network, frames, {0: masks[0]})


@pytest.mark.slow
def test_stcn_follows_one_object_through_padded_frames(stcn_single: Run, golden: GoldenReader) -> None:
    expected = golden("stcn_single")
    expected.check("argmax", stcn_single.masks)
    expected.check("prob", stcn_single.probabilities(expected["prob_frames"]))


def test_resized_probabilities_give_the_published_masks(stcn_single: Run, golden: GoldenReader) -> None:
    expected = golden("stcn_single")
    probabilities = torch.from_numpy(stcn_single.probabilities(np.arange(7))).transpose(0, 1)
    resized = F.interpolate(probabilities, size=expected["resized_size"].tolist(), mode="bilinear")
    expected.check("argmax_resized", resized.argmax(1).to(torch.uint8))


@pytest.fixture(scope="module")
def stm_clip2(stm_network: STM) -> Callable[[int], Run]:
    frames, masks = clip(11, 10, 96, 144, 2)
    prompts = {0: masks[0]}

    @cache
    def run(every: int) -> Run:
        if every == 5:
            return tracked(stm_network, frames, prompts)
        schedule = Schedule(mem_every=every, top_k=None, include_last=True)
        return stepped(stm_network, frames, prompts, schedule)

    return run


def test_stm_follows_two_objects(stm_clip2: Callable[[int], Run], golden: GoldenReader) -> None:
    expected, run = golden("stm_clip2"), stm_clip2(5)
    expected.check("argmax", run.masks)
    expected.check("prob", run.probabilities(expected["prob_frames"]))
    means_of_objects(expected, 2).check("meanprob", run.means)


@pytest.mark.slow  # the schedule is that of STCN, which the tests above have at every third frame
def test_stm_memorises_every_third_frame(stm_clip2: Callable[[int], Run], golden: GoldenReader) -> None:
    expected, run = golden("stm_clip2"), stm_clip2(3)
    expected.check("argmax_every3", run.masks)
    expected.check("prob_every3", run.probabilities(np.array([4, 9])))


@pytest.fixture(scope="module")
def stm_single(stm_network: STM) -> Run:
    frames, masks = clip(17, 7, 90, 134, 1)
    return tracked(stm_network, frames, {0: masks[0]})


@pytest.mark.slow
def test_stm_follows_one_object_through_padded_frames(stm_single: Run, golden: GoldenReader) -> None:
    expected = golden("stm_single")
    expected.check("argmax", stm_single.masks)
    expected.check("prob", stm_single.probabilities(expected["prob_frames"]))
    means_of_objects(expected, 1).check("meanprob", stm_single.means)


def means_of_objects(golden: Golden, objects: int) -> Golden:
    """The golden means without those of STM's unused channels."""
    return Golden(golden.name, {"meanprob": golden["meanprob"][: objects + 1]})

"""How often colours were seen before: the planes, their state, and a network that takes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.models import MustanLite
from segue.models.base import Features
from segue.sessions import ForegroundSession
from segue.sessions.foreground.background.median import MaskedMedian, MedianSettings
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.recurrence import (
    MOST,
    NO_PAST,
    VISIT,
    Past,
    RecentPast,
    halved,
)
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoPart, VideoScenes
from segue.types import Frame, Image

SIZE = 48, 64


def plain(level: int, size: tuple[int, int] = SIZE) -> Image:
    return np.full((*size, 3), level, np.uint8)


def test_shares_and_returns_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    frames = [plain(0, (12, 16)) + rng.choice([40, 200], (12, 16, 1)).astype(np.uint8) for _ in range(9)]
    now = plain(200, (24, 32))
    share, visits, *others = Past(frames).recurrence(now)
    assert not np.any(others)
    known = np.stack([frame[..., 0] == 200 for frame in frames])
    assert np.array_equal(share, known.sum(0) * 255 // len(frames))
    # Each first frame of a stretch of them, counted from the newest back, but for one that reaches until now.
    begins = known[::-1] & ~np.concatenate([np.ones((1, 12, 16), bool), known[::-1][:-1]])
    assert np.array_equal(visits, np.minimum(begins.sum(0) * VISIT, 255))


def test_two_colours_in_turn_are_both_known_and_a_third_is_not() -> None:
    past = Past([halved(plain(30 if i % 2 else 220)) for i in range(20)])
    for level in (30, 220):
        share, visits, *_ = past.recurrence(plain(level))
        assert share.min() > 110
        assert visits.min() >= 4 * VISIT
    assert not past.recurrence(plain(125)).any()
    assert not NO_PAST.recurrence(plain(125)).any()


def test_a_part_is_the_part_of_the_whole() -> None:
    rng = np.random.default_rng(2)
    tiles = rng.integers(0, 4, (5, 12, 16, 3)).astype(np.uint8) * 60
    images = [*tiles.repeat(4, axis=1).repeat(4, axis=2)]
    past = Past([halved(image) for image in images])
    whole = past.recurrence(images[0])
    part = past.recurrence(images[0], slice(16, 40), slice(8, 48))
    # But for the border, which has no neighbours.
    assert np.array_equal(part[:, 1:-1, 1:-1], whole[:, 9:19, 5:23])


def test_frames_in_another_light_are_the_same() -> None:
    past = Past([halved(plain(100))] * 4)
    assert not past.recurrence(plain(160)).any()
    assert (past.in_other_light((1.6, 1.6, 1.6)).recurrence(plain(160))[0] == 255).all()


def test_a_background_knows_the_frames_that_it_keeps() -> None:
    background = MaskedMedian(MedianSettings(every=1, keep=4))
    for level in (10, 60, 110, 160, 210):
        background.update(plain(level), np.ones(SIZE))
        assert len(background.past.frames) == len(background._frames)
        for half, frame in zip(background.past.frames, background._frames, strict=True):
            assert (half == frame[0, 0, 0]).all(), "masked or not"
    again = MaskedMedian(MedianSettings(every=1, keep=4))
    again.restore(background.state())
    assert np.array_equal(background.past.frames, again.past.frames)
    background.apply_gain((0.5, 0.5, 0.5))
    assert background.past.frames[0].max() == again.past.frames[0].max() // 2


def test_a_learnt_background_has_its_frames_at_the_size_of_the_frames() -> None:
    past = np.stack([halved(plain(level)) for level in (40, 90)])
    scenes = VideoScenes()
    scenes.learnt.append(VideoPart(0, "none", Scene.of(plain(40)).planes, past=past))
    background = LearntBackground(scenes)
    assert not background.past.frames
    background.fit((96, 128))
    background.seek(0)
    assert [frame.shape for frame in background.past.frames] == [(48, 64, 3)] * 2
    share, *_ = background.past.recurrence(plain(90, (96, 128)))
    assert (share == 127).all()
    background.apply_gain((2.0, 2.0, 2.0))
    assert (background.past.recurrence(plain(180, (96, 128)))[0] == 127).all()


@pytest.mark.parametrize(
    "past",
    [
        np.zeros((2, 24, 32, 3), np.float32),
        np.zeros((2, 24, 31, 3), np.uint8),
        np.zeros((24, 32, 3), np.uint8),
        "frames",
    ],
)
def test_frames_of_a_damaged_file_are_refused(past: object) -> None:
    good = np.zeros((2, 24, 32, 3), np.uint8)
    planes = Scene.of(plain(1)).planes
    assert VideoPart(0, "none", planes, past=good).is_valid
    assert not VideoPart(0, "none", planes, past=past).is_valid  # type: ignore[arg-type]


def network(*, recurrence: bool) -> MustanLite:
    torch.manual_seed(3)
    made = MustanLite(recurrence=recurrence).eval()
    if made.recurrence is not None:
        torch.nn.init.normal_(made.recurrence.weight, std=3.0)
    return made


def test_a_session_shows_a_network_what_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    leaves = [rng.integers(0, 255, (96, 128, 3)).astype(np.uint8) for _ in range(2)]
    leaves[1][:, 40:] = leaves[0][:, 40:]
    seen: list[torch.Tensor] = []
    encode = MustanLite.encode

    def noted(made: MustanLite, frames: torch.Tensor, role: str, **more: torch.Tensor) -> Features:
        seen.extend(more.values())
        assert set(more) == ({"recurrence"} if role == made.current else set())
        return encode(made, frames, role, **more)

    monkeypatch.setattr(MustanLite, "encode", noted)
    session = ForegroundSession(network(recurrence=True), device="cpu", without=["align"])
    for i in range(40):
        session.step(Frame(i, i / 25, leaves[i % 2]))
    share, visits, recent, again, *_ = seen[-1][0, :, :, : seen[-1].shape[3] // 2]
    assert seen[-1].shape[2] == 48
    assert share.mean() > 0.3
    assert visits.max() >= 2 * VISIT / 255
    assert recent.mean() > 0.3
    assert again.max() >= 2 * VISIT / 255


def test_a_frame_without_a_past_is_as_one_that_was_never_seen() -> None:
    made = network(recurrence=True)
    window, scene = torch.rand(1, 3, 3, 64, 96), torch.rand(1, 21, 64, 96)
    nothing = torch.zeros(1, 6, 64, 96)
    with torch.inference_mode():
        plain_logits = made(window, scene)
        assert torch.equal(made(window, torch.cat([scene, nothing], 1)), plain_logits)
        assert not torch.equal(made(window, torch.cat([scene, nothing + 1], 1)), plain_logits)


def test_a_long_past_costs_no_more() -> None:
    looked = []

    class Noted(list[Image]):
        def __getitem__(self, index: int) -> Image:  # type: ignore[override]
            looked.append(index)
            return super().__getitem__(index)

    share, *_ = Past(Noted([halved(plain(5))] * 35)).recurrence(plain(5))
    assert len({*looked}) == MOST
    assert {0, 34} < {*looked}
    assert (share == 255).all()


def test_recent_frames_are_the_last_ones_and_places_know_when_foreground_came() -> None:
    recent, mask = RecentPast(), np.zeros(SIZE, bool)
    for time in range(168):
        mask[:, 32:] = time % 40 < 10  # it comes four times in 168 frames
        recent.update(plain(time % 250), mask)
    assert len(recent.frames) == MOST
    levels = [int(frame[0, 0, 0]) for frame in recent.frames]
    assert set(np.diff(levels)) <= {3, 5, 8}
    assert levels[-1] > 155
    assert len({level % 2 for level in levels}) == 2
    places = recent.places
    assert places is not None
    share, times = places
    assert not share[:, :16].any()
    assert not times[:, :16].any()
    assert 0.15 < share[0, -1] / 255 < 0.35
    assert 3.5 < times[0, -1] / VISIT <= 5
    other = RecentPast()
    other.restore(recent.state())
    assert np.array_equal(other.places, places)
    recent.apply_gain((0.5, 0.5, 0.5))
    assert abs(recent.frames[-1].max() - levels[-1] / 2) <= 0.5


def test_swaying_things_become_background_although_masked_and_standing_ones_do_not() -> None:
    background, mask = MaskedMedian(), np.zeros(SIZE, bool)
    mask[:, 16:48] = True
    for time in range(300):
        image = plain(120)
        if time >= 30:
            image[:, 16:32] = 40 if time // 3 % 2 else 200  # leaves before the sky
            image[:, 32:48] = 220  # a car that was parked
        background.learn(image, mask if time >= 30 else mask & False)
    assert background.scene is not None
    low, high = (background.scene.planes[i : i + 3, 24] for i in (0, 6))
    assert np.all(low[:, 20:28] == 40)
    assert np.all(high[:, 20:28] == 200)
    assert np.all(low[:, 36:44] == 120)
    assert np.all(high[:, 36:44] == 120)


@pytest.mark.parametrize("minutes", [10, 20])
def test_a_sitting_person_and_a_parked_car_stay_foreground(minutes: int) -> None:
    """They came once, and at 5 frames a second they are not learnt, although somebody who sits fidgets."""
    background, mask = MaskedMedian(), np.zeros((24, 32), bool)
    mask[6:18, 8:24] = True
    empty, there = plain(120, (24, 32)), plain(120, (24, 32))
    for _ in range(1000):
        background.learn(empty, mask & False)
    for time in range(minutes * 60 * 5):
        there[6:18, 8:24] = 215 + 5 * (time // 40 % 2)
        background.learn(there, mask)
    assert background.scene is not None
    assert np.array_equal(background.scene.image, empty)

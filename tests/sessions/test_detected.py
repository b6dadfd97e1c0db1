"""Instances by detection and tracking: which finds are confirmed, matched, lost and found again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.errors import ArgumentError, CheckpointError, PromptError
from segue.sessions import SessionState, TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.types import Frame, Image, ObjectInfo, Segmentation

SIZE = 60, 120
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)
Thing = tuple[str, float, int, int, tuple[int, int, int]]
"""Label, score, left edge, top edge and colour of a square of 20 pixels."""


def drawn(*things: Thing) -> tuple[Image, Segmentation]:
    """An image of squares, later ones in front, and what a perfect detector finds in it."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    planes = np.zeros((len(things), *SIZE), bool)
    for number, (_, _, x, y, colour) in enumerate(things, start=1):
        where = slice(y, y + 20), slice(max(x, 0), max(x + 20, 0))
        image[where], mask[where] = colour, number
        planes[number - 1][where] = True
    objects = []
    for number, (label, score, x, y, _) in enumerate(things, start=1):
        visible = int((mask == number).sum())
        if visible >= 40:
            box = max(x, 0), y, min(x + 20, SIZE[1]), y + 20
            objects.append(ObjectInfo(number, label, score, box, visible))
    kept = [item.id - 1 for item in objects]
    claims = np.stack([mask == 0, *planes[kept]]).astype(np.float32)
    return image, Segmentation(0, 0.0, mask, tuple(objects), lambda: claims)


class ScriptedDetector:
    """A detector with given finds by frame."""

    names: Mapping[int, str] = {}
    lookahead = 0

    def __init__(self, found: list[Segmentation]) -> None:
        self._found = found

    def __call__(self, frame: Frame, *_: Frame) -> Segmentation:
        return self._found[frame.index]


class Copies(TrackSession):
    """Follows by colour: each object is where the colour of its prompt is."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.colours: dict[int, npt.NDArray[np.uint8]] = {}
        self._size = None

    def step(self, frame, prompts=None, *, predict=True) -> Segmentation:  # type: ignore[no-untyped-def]
        for prompt in prompts or ():
            pixels = frame.image[np.asarray(prompt.mask, bool)]
            self.colours[prompt.id] = np.median(pixels, 0).astype(np.uint8)
        mask = np.zeros(SIZE, np.uint16)
        for number, colour in self.colours.items():
            mask[(frame.image == colour).all(-1)] = number
        objects = []
        for number in sorted(self.colours):
            rows, columns = np.nonzero(mask == number)
            box = None
            if len(rows):
                box = float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0
            objects.append(ObjectInfo(number, None, 1.0, box, len(rows)))
        return Segmentation(frame.index, frame.time, mask, tuple(objects))

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self.colours))

    def remove(self, ids: Collection[int]) -> None:
        self.colours = {i: colour for i, colour in self.colours.items() if i not in ids}

    def peek(self, frame: Frame) -> Segmentation:
        return self.step(frame)


def run(video: list[tuple[Image, Segmentation]], **options: object) -> list[Segmentation]:
    chosen = DetectionOptions(**{"every": 1, **options})  # type: ignore[arg-type]
    session = DetectionSession(Copies(), ScriptedDetector([found for _, found in video]), chosen)
    return [session.step(Frame(t, t / 10, image)) for t, (image, _) in enumerate(video)]


def seen(result: Segmentation) -> list[tuple[int, str | None]]:
    return [(item.id, item.label) for item in result.objects if item.area]


@pytest.mark.parametrize("make", [DetectionSession, AutoSession])
def test_a_name_is_no_detector_of_a_session(make: type[DetectionSession]) -> None:
    with pytest.raises(ArgumentError, match="detector: str without __call__, lookahead"):
        make(Copies(), "nanodet")  # type: ignore[arg-type]


def test_certain_detections_count_at_once_and_tentative_ones_twice() -> None:
    things = ("person", 0.8, 10, 20, RED), ("lamp", 0.55, 60, 20, GREEN), ("vase", 0.4, 90, 20, BLUE)
    results = run([drawn(*things)] * 4)
    assert seen(results[0]) == [(1, "person")]
    for later in results[1:]:
        assert seen(later) == [(1, "person"), (2, "lamp")]


def test_a_flash_never_becomes_an_object() -> None:
    calm, flash = (
        drawn(("person", 0.8, 10, 20, RED)),
        drawn(("person", 0.8, 10, 20, RED), ("cat", 0.55, 60, 20, GREEN)),
    )
    for result in run([calm, flash, calm, flash, calm]):
        assert seen(result) == [(1, "person")]


def test_the_class_that_is_seen_most_is_the_name() -> None:
    labels = ["frisbee", "sports ball", "sports ball", "frisbee", "sports ball"]
    results = run([drawn((label, 0.8, 10, 20, RED)) for label in labels])
    assert {item.id for result in results for item in result.objects} == {1}
    assert results[-1].objects[0].label == "sports ball"


def test_a_person_who_returns_keeps_the_id() -> None:
    stays = ("person", 0.9, 10, 20, GREEN)
    video = [drawn(stays, ("person", 0.9, 60 + 8 * t, 20, RED)) for t in range(7)]
    video += [drawn(stays)] * 12
    video += [drawn(stays, ("person", 0.9, 100 - 8 * t, 20, RED)) for t in range(4)]
    video += [drawn(stays, ("person", 0.9, 76, 20, RED), ("person", 0.9, 40, 20, BLUE))] * 3
    results = run(video)
    assert seen(results[0]) == [(1, "person"), (2, "person")]
    assert [item.id for item in results[18].objects] == [1]  # the other is no longer followed
    assert seen(results[21]) == [(1, "person"), (2, "person")]
    assert seen(results[-1]) == [(1, "person"), (2, "person"), (3, "person")]


def test_a_second_box_on_a_known_object_is_no_second_object() -> None:
    image, found = drawn(("person", 0.9, 10, 20, RED))
    half = np.zeros((1, *SIZE), bool)
    half[0, 20:34, 10:30] = True
    part = ObjectInfo(2, "person", 0.7, (10, 20, 30, 34), 280)
    claims = np.concatenate([found.probabilities, half])
    twice = Segmentation(0, 0.0, found.mask, (*found.objects, part), lambda: claims)
    for result in run([(image, twice)] * 4):
        assert seen(result) == [(1, "person")]


def test_no_more_objects_than_asked_for() -> None:
    things = [("person", 0.9, 40 * i, 20, colour) for i, colour in enumerate((RED, GREEN, BLUE))]
    assert len(run([drawn(*things)], top=2)[0].objects) == 2


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("only", [None, (0, 6)])
def test_a_restored_session_goes_on_as_if_nothing_had_been(
    tmp_path: Path, only: tuple[int, ...] | None
) -> None:
    video = [
        drawn(("person", 0.9, 10 + 4 * t, 20, RED), ("dog", 0.55, 90 - 3 * t, 25, GREEN)) for t in range(8)
    ]
    found = [item for _, item in video]
    frames = [Frame(t, t / 10, image) for t, (image, _) in enumerate(video)]

    def session() -> DetectionSession:
        network = segue.load("stcn-lite")
        options = DetectionOptions(every=2, frames=only)
        return DetectionSession(TrackSession(network, device="cpu"), ScriptedDetector(found), options)  # type: ignore[arg-type]

    whole, first, second = session(), session(), session()
    expected = [whole.step(frame) for frame in frames]
    for frame in frames[:5]:
        first.step(frame)
    state = first.state()
    state.save(tmp_path / "session")
    second.restore(SessionState.load(tmp_path / "session"))
    for frame, other in zip(frames[5:], expected[5:], strict=True):
        result = second.step(frame)
        np.testing.assert_array_equal(result.mask, other.mask)
        assert result.objects == other.objects
    strange = DetectionSession(Copies(), ScriptedDetector(found), DetectionOptions(every=3))
    with pytest.raises(CheckpointError):
        strange.restore(state)


@pytest.fixture
def trained() -> None:
    if not (Path(segue.__file__).parent / "assets" / "stcn-lite.safetensors").exists():
        pytest.skip("no weights come with this version")


def test_prompts_and_detectors_that_compare_frames_are_refused() -> None:
    session = DetectionSession(Copies(), ScriptedDetector([]))
    with pytest.raises(PromptError):
        session.step(Frame(0, 0.0, np.zeros((*SIZE, 3), np.uint8)), np.zeros(SIZE, np.uint8))
    moving = ScriptedDetector([])
    moving.lookahead = 2
    with pytest.raises(PromptError):
        DetectionSession(Copies(), moving)
    with pytest.raises(ArgumentError):
        DetectionOptions(score=1.5)

"""Frames with times of their own, arrays of other libraries, and the errors of wrong arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.errors import ArgumentError, PromptError, SegueError, SourceError
from segue.models.stcn import STCNLite
from segue.types import Frame
from segue.video.decoding.readers import FrameIndexWarning
from tests.clips import clip
from tests.lite import lively_lite

COUNT = 4
FRAMES, MASKS = clip(5, COUNT, 48, 64, 2)
TIMES = [1.7e9, 1.7e9 + 0.125, 1.7e9 + 0.5, 1.7e9 + 0.75]
"""As clocks of robots and cameras have them: seconds since 1970."""


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def given(times: list[float] = TIMES) -> list[Frame]:
    pairs = zip(times, FRAMES, strict=True)
    return [Frame(index, time, image) for index, (time, image) in enumerate(pairs)]


@pytest.mark.parametrize("kind", [list, iter])
@pytest.mark.parametrize("name", ["track", "foreground", "instances"])
def test_frames_keep_their_times(kind: Callable[[Any], Any], name: str, lite: STCNLite) -> None:
    run: dict[str, Callable[[Any], Any]] = {
        "track": lambda source: segue.track(source, MASKS[0], model=lite),
        "foreground": lambda source: segue.foreground(source, model="median"),
        "instances": lambda source: segue.instances(source),
    }
    assert [(each.index, each.time) for each in run[name](kind(given()))] == [*enumerate(TIMES)]


def test_results_of_frames_equal_those_of_their_images(lite: STCNLite) -> None:
    own, plain = (segue.track(source, MASKS[0], model=lite) for source in (given(), list(FRAMES)))
    for one, other in zip(own, plain, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
    video = segue.Video(given(), model=lite)
    video.add(0, MASKS[0])
    list(video.propagate())
    assert [each.time for each in video] == TIMES


@pytest.mark.parametrize("kind", [list, iter])
def test_a_video_of_frames_begins_with_the_first(
    kind: Callable[[Any], Any], lite: STCNLite, tmp_path: Path
) -> None:
    segue.track(kind(given()), MASKS[0], model=lite).save(tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times == pytest.approx([time - TIMES[0] for time in TIMES], abs=1e-3)


@pytest.mark.parametrize("times", [[0.0, 1.0, 1.0, 2.0], [0.0, 2.0, 1.0, 3.0], [0.0, float("nan"), 1.0, 2.0]])
def test_times_that_do_not_rise_are_refused(times: list[float], lite: STCNLite) -> None:
    with pytest.raises(SourceError, match=r"its time .* is not after"):
        list(segue.track(given(times), MASKS[0], model=lite))


def test_frames_of_another_part_are_counted_from_the_first_with_a_warning(lite: STCNLite) -> None:
    later = [Frame(index + 10, index / 25, image) for index, image in enumerate(FRAMES)]
    with pytest.warns(FrameIndexWarning, match="counted from 0"):
        assert [each.index for each in segue.track(later, MASKS[0], model=lite)] == [0, 1, 2, 3]


class Lazy:
    """An array that is computed when NumPy asks for it, as of Dask."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype
        self.asked: list[tuple[int, ...]] = []

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self._values

    def __getitem__(self, index: int) -> Lazy:
        return Lazy(self._values[index])

    def __len__(self) -> int:
        return len(self._values)


def test_arrays_of_other_libraries_are_videos_images_and_masks(lite: STCNLite) -> None:
    expected = [each.mask for each in segue.track(FRAMES, MASKS[0], model=lite)]
    for source in (Lazy(FRAMES), [Lazy(image) for image in FRAMES]):
        found = [each.mask for each in segue.track(source, Lazy(MASKS[0]), model=lite)]
        np.testing.assert_array_equal(found, expected)


def test_errors_advise_what_the_function_can_do(lite: STCNLite) -> None:
    first = FRAMES.transpose(0, 3, 1, 2)
    with pytest.raises(SourceError, match='give layout="tchw"'):
        list(segue.track(first, MASKS[0], model=lite))
    session = segue.TrackSession(lite)
    for call in (lambda: session.step(first[0], MASKS[0]), lambda: segue.detector("nanodet")(first[0])):
        with pytest.raises(SourceError, match=r"channels last: image\.transpose\(1, 2, 0\)"):
            call()
    with pytest.raises(ArgumentError, match="box goes with prompts; text finds the objects"):
        segue.track(FRAMES, text="person", box=(1, 1, 9, 9))  # type: ignore[call-overload]
    with pytest.raises(PromptError, match=r"2 and 3 are corners of a box: give box="):
        segue.track(FRAMES, points=[(1, 1), (9, 9)], labels=[2, 3])
    with pytest.raises(TypeError, match=r"results = list\(results\)"):
        segue.track(FRAMES, MASKS[0], model=lite)[0]


@pytest.mark.parametrize("id", ["goat", -1, 70000, 1.5, True, None])
@pytest.mark.parametrize(
    "make",
    [
        segue.RemovePrompt,
        lambda id: segue.MaskPrompt(id, MASKS[0]),
        lambda id: segue.BoxPrompt(id, (1, 1, 9, 9)),
        lambda id: segue.PointPrompt(id, [(1, 1)]),
        lambda id: segue.ScribblePrompt(id, [[(1, 1), (9, 9)]]),
    ],
)
def test_prompts_of_every_kind_refuse_an_id_when_they_are_made(make: Callable[[Any], Any], id: Any) -> None:
    with pytest.raises(PromptError, match=f"object id {id!r}"):
        make(id)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lite: segue.track(FRAMES, boxs=1), "track.. got .* 'boxs'; did you mean boxes or box"),
        (lambda lite: segue.foreground(FRAMES, modle="median"), "did you mean model"),
        (lambda lite: segue.instances(FRAMES, max_sise=1), "did you mean max_size"),
        (
            lambda lite: segue.Video(FRAMES, model=lite).add(0, boxs=1),
            "Video.add.*'boxs'; did you mean boxes or",
        ),
        (lambda lite: segue.Video(FRAMES, max_sise=9), "Video..*did you mean max_size"),
        (lambda lite: segue.Video(FRAMES, model=lite).save("out", format="png"), "did you mean formats"),
        (lambda lite: segue.track(FRAMES, MASKS[0], model=lite).save("out", format="png"), "mean formats"),
        (lambda lite: segue.save([], "out", format="png"), "did you mean formats"),
        (lambda lite: segue.TrackSession(lite, devise="cpu"), "TrackSession.*did you mean device"),
        (lambda lite: segue.TrackSession(lite).step(FRAMES[0], mask=MASKS), "step.*did you mean masks"),
        (lambda lite: segue.ForegroundSession(modl="median"), "did you mean model"),
        (lambda lite: segue.InstanceSession(netwrk="x"), "did you mean network"),
        (lambda lite: segue.load("stcn-lite", weigths=3), "did you mean weights"),
        (lambda lite: segue.open_source(FRAMES, strde=2), "did you mean stride"),
        (lambda lite: segue.detector("nanodet", clases=["car"]), "did you mean classes"),
        (lambda lite: segue.convert("a.json", "b", overwite=True), "did you mean overwrite"),
    ],
)
def test_a_mistyped_keyword_is_answered_with_the_names_that_exist(
    call: Callable[[STCNLite], object], message: str, lite: STCNLite
) -> None:
    with pytest.raises(TypeError, match=message):
        call(lite)


def test_results_and_videos_have_the_same_tables(lite: STCNLite) -> None:
    results = list(segue.track(FRAMES, MASKS[0], model=lite))
    video = segue.Video(FRAMES, model=lite)
    video.add(0, MASKS[0])
    with pytest.raises(SegueError, match="nothing is tracked"):
        video.to_json()
    list(video.propagate())
    text = segue.track(FRAMES, MASKS[0], model=lite).to_json()
    assert json.loads(text) == [json.loads(each.to_json()) for each in results]
    assert [row["index"] for row in json.loads(video.to_json())] == [0, 1, 2, 3]
    of_results = segue.track(FRAMES, MASKS[0], model=lite).boxes
    for boxes in (of_results, video.boxes):
        assert [each.ids.tolist() for each in boxes] == [each.boxes.ids.tolist() for each in results]


def test_frames_are_reduced_as_the_command_reduces_them(lite: STCNLite) -> None:
    for results in (
        segue.track(FRAMES, box=(5, 5, 40, 40), model=lite, max_size=32),
        segue.foreground(FRAMES, model="median", max_size=32),
        segue.instances(FRAMES, max_size=32),
    ):
        assert {each.mask.shape for each in results} == {(24, 32)}
    assert segue.Video(FRAMES, model=lite, max_size=32)[0].mask.shape == (24, 32)


def test_classes_are_named_or_numbered() -> None:
    numbers = {name: number for number, name in segue.detector("nanodet").names.items()}
    person, car = numbers["person"], numbers["car"]
    forms: list[Any] = [["person", "car"], [person, "car"], [np.int64(person), car]]
    for classes in forms:
        rules = segue.detector("nanodet", classes=classes).rules  # type: ignore[attr-defined]
        assert rules.classes == {"person", "car"}
    with pytest.raises(ArgumentError, match="names or numbers"):
        segue.detector("nanodet", classes=[True])


def test_a_mask_of_one_object_has_the_id_of_the_call(lite: STCNLite) -> None:
    """As in ``add_new_mask(frame_idx, obj_id, mask)`` of SAM 2."""
    one = MASKS[0] == 2
    for mask in (one, one.astype(np.uint8), np.uint8(255) * one, 2 * one.astype(np.int64)):
        video = segue.Video(FRAMES, model=lite)
        np.testing.assert_array_equal(video.add(0, mask, id=3).mask == 3, one)
        np.testing.assert_array_equal(video.add(1, masks=mask, id=4).mask == 4, one)
        video.add(2, boxes=np.array([[1, 1, 30, 30]]), id=5)
        assert video.ids == (3, 4, 5)
        session = segue.TrackSession(lite)
        session.add(mask, id=3)
        assert session.step(FRAMES[0]).ids == (3,)
    with pytest.raises(PromptError, match="id: 3, but these prompts are of the objects 1, 2"):
        video.add(0, MASKS[0], id=3)
    with pytest.raises(PromptError, match="of the objects 1; leave out id, or give one object"):
        video.add(0, masks={1: one}, id=3)


def test_propagation_gives_the_prompted_frame_first_as_sam_2_does(lite: STCNLite) -> None:
    video = segue.Video(FRAMES, model=lite)
    video.add(1, MASKS[1])
    results = list(video.propagate())
    assert [result.index for result in results] == [1, 2, 3, 0]
    np.testing.assert_array_equal(results[0].mask, MASKS[1])
    assert [result.index for result in video.propagate(1, 0)] == [1, 0]


def test_boxes_name_what_ultralytics_calls_otherwise(lite: STCNLite) -> None:
    boxes = next(iter(segue.track(FRAMES, MASKS[0], model=lite))).boxes
    for theirs, ours in {"id": "ids", "conf": "scores", "cls": "classes"}.items():
        with pytest.raises(AttributeError, match=f"no '{theirs}'; it is called {ours} here"):
            getattr(boxes, theirs)
    assert not hasattr(boxes, "shape")

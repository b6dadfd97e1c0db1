"""Arguments of functions that take frames: how these are read, which objects are meant, and their errors."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segue
from segue.errors import ArgumentError, PromptError, SegueError, SinkError, SourceError
from segue.jobs.running import RunInterrupted
from segue.models.stcn import STCNLite
from segue.prompt_types import RemovePrompt
from segue.sessions import ForegroundSession, TrackSession
from segue.types import Frame
from tests.cli.running import FRAMES, MASKS
from tests.lite import lively_lite

COUNT = 7
IMAGES = list(FRAMES[:COUNT])
BLUE_FIRST = [np.ascontiguousarray(image[..., ::-1]) for image in IMAGES]


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def tracked(source: Any, lite: STCNLite, **options: Any) -> list[segue.Segmentation]:
    return list(segue.track(source, MASKS[0], model=lite, device="cpu", **options))


def test_a_part_of_the_frames_is_read_as_an_opened_source_reads_it(lite: STCNLite) -> None:
    part: dict[str, Any] = {"start": 1, "end": 6, "stride": 2}
    results = tracked(IMAGES, lite, **part)
    assert [result.index for result in results] == [1, 3, 5]
    assert results == tracked(segue.open_source(IMAGES, **part), lite)
    assert [result.index for result in segue.foreground(IMAGES, model="median", **part)] == [1, 3, 5]
    assert [result.index for result in segue.instances(IMAGES, device="cpu", **part)] == [1, 3, 5]
    video = segue.Video(IMAGES, model=lite, device="cpu", **part)
    video.add(1, MASKS[0])
    assert [result.index for result in video.propagate()] == [1, 3, 5]
    assert [result.index for result in video] == [1, 3, 5]
    for take in (segue.track, segue.foreground, segue.instances, segue.Video):
        with pytest.raises(ArgumentError, match=r"stride: the source is open already"):
            take(segue.open_source(IMAGES), stride=2)


def test_arrays_of_opencv_go_into_everything_that_takes_frames(lite: STCNLite) -> None:
    expected = tracked(IMAGES, lite)
    assert tracked(BLUE_FIRST, lite, colour="bgr") == expected
    session = TrackSession(lite, device="cpu")
    stepped = [
        session.step(image, MASKS[0] if t == 0 else None, colour="bgr") for t, image in enumerate(BLUE_FIRST)
    ]
    assert [result.mask.tolist() for result in stepped] == [result.mask.tolist() for result in expected]
    peeked = session.peek(BLUE_FIRST[0], colour="bgr")
    assert np.array_equal(peeked.mask, session.peek(IMAGES[0]).mask)
    one = segue.Video(IMAGES, model=lite, device="cpu")
    other = segue.Video(BLUE_FIRST, model=lite, device="cpu", colour="bgr")
    for video in (one, other):
        video.add(0, MASKS[0])
    assert list(one.propagate()) == list(other.propagate())
    first, second = ForegroundSession("median"), ForegroundSession("median")
    for image, bgr in zip(IMAGES, BLUE_FIRST, strict=True):
        assert first.step(image) == second.step(bgr, colour="bgr")


def test_a_session_refuses_other_orders_of_colours(lite: STCNLite) -> None:
    session = TrackSession(lite, device="cpu")
    with pytest.raises(SourceError, match="RGB"):
        session.step(Frame(0, 0.0, IMAGES[0]), MASKS[0], colour="bgr")
    with pytest.raises(SourceError, match="it must be one of rgb, bgr"):
        session.step(IMAGES[0], MASKS[0], colour="gbr")  # type: ignore[arg-type]
    assert session.step(IMAGES[0], MASKS[0]).ids == (1, 2)


@pytest.mark.parametrize("ids", [2, np.int64(2), 2.0, [2], {2}, (2, 77), np.array([2])])
def test_one_object_or_several_are_forgotten(lite: STCNLite, ids: Any) -> None:
    session = TrackSession(lite, device="cpu")
    session.step(IMAGES[0], MASKS[0])
    session.remove(ids)
    assert session.ids == (1,)
    assert session.step(IMAGES[1]).ids == (1,)


def test_a_prompter_takes_an_image_of_opencv() -> None:
    plain = segue.Prompter(IMAGES[0], device="cpu", objects=False)
    turned = segue.Prompter(BLUE_FIRST[0], device="cpu", objects=False, colour="bgr")
    np.testing.assert_array_equal(plain(box=(8, 8, 40, 40)).mask, turned(box=(8, 8, 40, 40)).mask)


@pytest.mark.parametrize("id", ["goat", None, 1.5, True, float("nan"), float("inf"), b"1"])
def test_invalid_ids_raise_one_sentence_and_change_nothing(lite: STCNLite, id: Any) -> None:
    session = TrackSession(lite, device="cpu")
    session.step(IMAGES[0], MASKS[0])
    video = segue.Video(IMAGES, model=lite, device="cpu")
    calls: list[Callable[[], object]] = [
        lambda: session.remove(id),
        lambda: session.remove([1, id]),
        lambda: session.add(id=id, box=(1, 1, 20, 20)),
        lambda: session.step(IMAGES[1], [RemovePrompt(id)]),
        lambda: video.add(0, id=id, box=(1, 1, 20, 20)),
        lambda: video.add(0, RemovePrompt(id)),
        lambda: video.remove(id),
    ]
    for call in calls:
        with pytest.raises(PromptError, match=r"object|id"):
            call()
    assert session.ids == (1, 2)
    assert session.step(IMAGES[1]).ids == (1, 2)


def test_a_list_of_videos_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a.mp4", "folder"):
        with pytest.raises(SourceError, match=r"is a video in a list.*by itself"):
            segue.track([tmp_path / name, tmp_path / name], MASKS[0])
    with pytest.raises(SourceError, match="give each video by itself"):
        list(segue.track([np.stack(IMAGES)] * 2, MASKS[0]))
    takes: list[Callable[..., Any]] = [segue.track, segue.foreground, segue.instances, segue.Video]
    for take in takes:
        with pytest.raises(SourceError, match="give each video by itself"):
            list(take([IMAGES, IMAGES], device="cpu"))


def test_a_list_is_no_id(lite: STCNLite) -> None:
    ids: Any = [1]
    video, session = segue.Video(IMAGES, model=lite, device="cpu"), TrackSession(lite, device="cpu")
    calls: list[Callable[[], object]] = [
        lambda: video.add(0, box=(5, 5, 30, 30), id=ids),
        lambda: video.remove(ids),
        lambda: session.add(box=(5, 5, 30, 30), id=ids),
    ]
    for call in calls:
        with pytest.raises(PromptError, match="give a whole number from 1 to 65535; a name is a label"):
            call()


def test_errors_of_functions_name_arguments(lite: STCNLite, tmp_path: Path) -> None:
    def results(**options: Any) -> Any:
        return segue.track(IMAGES, MASKS[0], model=lite, device="cpu", **options)

    results().save(tmp_path / "out")
    saved = list(results())
    for save in (results().save, lambda path: segue.save(saved, path)):
        with pytest.raises(SinkError, match=r"give overwrite=True or resume=True, or another folder$"):
            save(tmp_path / "out")
    with pytest.raises(PromptError, match=r"; use fit=True to resize the mask$"):
        list(segue.track(IMAGES, MASKS[0][::2, ::2], model=lite, device="cpu"))
    small = MASKS[0][::2, ::2]
    with pytest.raises(PromptError, match=r"; use fit=True to resize the mask$"):
        segue.Video(IMAGES, model=lite, device="cpu").add(0, small)
    with pytest.raises(PromptError, match=r"; use fit=True to resize the mask$"):
        TrackSession(lite, device="cpu").step(IMAGES[0], small)
    with pytest.raises(SegueError, match=r"leave out whole"):
        segue.instances(IMAGES, model="nanodet+stcn-lite", whole=True)


def test_names_of_files_stay_as_they_are(lite: STCNLite, tmp_path: Path) -> None:
    folder = tmp_path / "a--overwrite"
    for count in range(2):
        results = segue.track(IMAGES, MASKS[0], model=lite, device="cpu")
        if count:
            with pytest.raises(SinkError, match=r"/a--overwrite/masks: .*overwrite=True"):
                results.save(folder)
        else:
            results.save(folder)


def test_an_interrupted_save_says_how_to_go_on(lite: STCNLite, tmp_path: Path) -> None:
    def stop(count: int, total: int | None) -> None:
        signal.raise_signal(signal.SIGINT)

    for number, image in enumerate(IMAGES):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image[..., ::-1])
    results = segue.track(tmp_path, MASKS[0], model=lite, device="cpu", progress=stop)
    with pytest.raises(RunInterrupted, match=r"resume=True"):
        results.save(tmp_path / "out")

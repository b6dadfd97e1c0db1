"""Two results on one page: what is counted, and how."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import segue
from segue.errors import SegueError
from segue.formats.labels import Labels
from segue.masks import encode_objects, measure, write_index_mask
from segue.metrics.davis import DavisAccumulator
from segue.utils.naming import distinct_ends
from segue.video.sources.images import write_image
from segue_web.exports import snapshot, write_export
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.server import messages
from segue_web.video import Video
from segue_web.viewing import (
    ForegroundComparison,
    MaskComparison,
    ViewBackend,
    foreground_of,
    read_results,
    video_of,
)
from tests.segue_web.videos import numbered, write_video

FORMS = ("davis", "coco_images", "coco.json")
TRUTH = np.array([[255, 255, 0, 0], [50, 85, 170, 0]], np.uint8)


def labels(mask: np.ndarray, names: dict[int, str | None]) -> Labels:
    named = {i: name or f"Object {i}" for i, name in names.items()}
    return Labels(mask.shape, named, {0: lengths(mask)})


def lengths(mask: np.ndarray) -> dict[int, str]:
    return {i: rle["counts"] for i, rle in encode_objects(mask, measure(mask)).items()}


def test_foreground_is_everything_but_shadow_or_what_moves() -> None:
    truth = foreground_of(labels(TRUTH, dict.fromkeys((50, 85, 170, 255))))
    assert truth.mask(0).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    ours = foreground_of(labels(np.array([[1, 2, 3, 0]], np.uint8), {1: None, 2: "shadow", 3: "car"}))
    assert ours.mask(0).tolist() == [[1, 0, 1, 0]]
    written = foreground_of(labels(np.array([[255, 50, 0]], np.uint8), {1: None, 2: "shadow"}))
    assert written.mask(0).tolist() == [[1, 0, 0]]


def test_unknown_and_outside_pixels_are_ignored_and_frames_pooled() -> None:
    truth = labels(TRUTH, dict.fromkeys((50, 85, 170, 255)))
    measure = ForegroundComparison(truth, truth)
    found = np.array([[1, 0, 1, 0], [0, 1, 1, 0]], np.bool_)
    look = measure.compare(0, found, TRUTH == 255)
    assert (look.tp, look.fp, look.fn, look.tn) == (1, 1, 1, 3)
    none = measure.compare(1, np.zeros_like(found), np.zeros_like(found))  # no labels
    assert measure.values([look, none]) == pytest.approx([0.5, 0.5, 0.5], abs=1e-4)


def test_means_are_those_of_the_scorer() -> None:
    rng = np.random.default_rng(1)
    truth, found = np.zeros((2, 6, 60, 80), np.uint8)
    kinds = {1: "a", 2: "b"}
    for index in range(6):
        x, y = 10 + 6 * index, 12
        for mask, shift in ((truth, 0), (found, int(rng.integers(0, 5)))):
            mask[index, y : y + 20, x + shift : x + 20 + shift] = 1
            mask[index, 40 + shift : 55, 5:30] = 2
    accumulator = DavisAccumulator()
    for index in range(6):
        accumulator.update(found[index], truth[index])
    one, two = (
        Labels((60, 80), kinds, {i: lengths(mask) for i, mask in enumerate(masks)})
        for masks in (found, truth)
    )
    compared = MaskComparison(one, two)
    for index in range(6):
        compared.frame_scores(index)
    score = compared.score(0)
    assert (score["done"], score["total"]) == (4, 4)
    known = {index: compared.frame_scores(index) for index in range(6)}
    assert [row[0] for row in score["curve"]] == [*known]
    for index, *means in score["curve"]:
        np.testing.assert_allclose(means, np.mean([*known[index].values()], axis=0), atol=1e-4)
    for row, (number, item) in zip(score["rows"], enumerate(accumulator.score().objects, 1), strict=True):
        assert row["object"] == number
        assert row["all"] == pytest.approx([item.region.mean, item.contour.mean])


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ("out/dog", "truth/dog", ("out/dog", "truth/dog")),
        ("a/dog/masks", "b/dog/masks", ("a/…/masks", "b/…/masks")),
        ("out/dog", "out/cat", ("dog", "cat")),
        ("out/dog", "out/dog", ("dog", "dog")),
    ],
)
def test_both_sides_have_names_of_their_own(one: str, other: str, names: tuple[str, str]) -> None:
    assert distinct_ends(Path(one), Path(other)) == names


def test_results_know_the_video_that_they_were_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, out = tmp_path / "video", tmp_path / "out"
    video.mkdir()
    for index in range(2):
        write_image(video / f"{index}.png", np.zeros((32, 48, 3), np.uint8))
    segue.foreground(video, model="difference").save(out, formats=["png", "coco"])
    segue.foreground(video, model="difference").save(tmp_path / "alone.json", formats="coco")
    for results in (out, out / "masks", out / "coco.json", tmp_path / "alone.json"):
        assert video_of(results) == video
    for folder in (out, out / "masks"):
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            assert video_of(Path()) == video
    for results, said in ((tmp_path / "nothing", "no such file"), (video, "does not name its video")):
        with pytest.raises(SegueError, match=said):
            video_of(results)
    pattern = tmp_path / "vid*" / "*.png"
    segue.foreground(pattern, model="difference").save(tmp_path / "of_pattern", formats=["png"])
    assert Video(video_of(tmp_path / "of_pattern")).count == 2
    video.rename(tmp_path / "elsewhere")
    with pytest.raises(SegueError, match="--video"):
        video_of(out)


def moving(number: int, frames: int = 5, row: int = 5) -> dict[int, dict[int, str]]:
    masks = {}
    for index in range(frames):
        mask = np.zeros((60, 80), np.uint8)
        mask[row : row + 20, 10 + index : 30 + index] = number
        masks[index] = lengths(mask)
    return masks


def both(one: dict[int, dict[int, str]], two: dict[int, dict[int, str]]) -> dict[int, dict[int, str]]:
    return {index: one[index] | two[index] for index in one}


def test_objects_without_names_are_matched_by_overlap_whatever_their_numbers() -> None:
    unnamed = {i: f"Object {i}" for i in (1, 2)}
    truth = Labels((60, 80), {1: "Object 1"}, moving(1))
    found = Labels((60, 80), unnamed, both(moving(1, row=35), moving(2)))
    compared = MaskComparison(found, truth)
    assert compared.ids == {1: 2}
    for index in range(5):
        compared.frame_scores(index)
    assert compared.score(2)["rows"][0]["all"] == [1.0, 1.0]
    swapped = Labels((60, 80), unnamed, both(moving(1, row=35), moving(2)))
    straight = Labels((60, 80), unnamed, both(moving(1), moving(2, row=35)))
    assert MaskComparison(swapped, straight).ids == {1: 2, 2: 1}


def test_equal_names_are_matched_even_where_masks_differ() -> None:
    names = {1: "cat", 2: "dog"}
    ours = Labels((60, 80), names, both(moving(1, row=35), moving(2)))
    truth = Labels((60, 80), names, both(moving(1), moving(2, row=35)))
    assert MaskComparison(ours, truth).ids == {1: 1, 2: 2}


def test_a_project_and_its_exports_are_shown_with_their_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", numbered(4))
    video, place = Video(path), tmp_path / "p"
    with closing(Project(place, video.describe(), video.size)) as project:
        project.note("source", {"path": str(path)})
        plane = np.zeros(video.size, np.bool_)
        plane[4:14, 6:20] = True
        with project.change("click"):
            number = project.add_object("Koi")
            for frame in range(3):
                project.put(frame, {number: (plane, FrameAnnotation("given"))})
        taken = snapshot(project, video)
        (place / "exports").mkdir()
        for form in FORMS:
            for _ in write_export(video, taken, form.removesuffix(".json"), place / "exports" / form):
                pass
        shown = [place, *(place / "exports" / form for form in FORMS)]
        for results in shown:  # the project is open meanwhile
            assert video_of(results) == path
            assert read_results(results, Video(path)).mask(1)[5, 7] == 1
    assert [*read_results(place, video).names.values()] == ["Koi"]

    path.unlink()
    for results in shown[1:3]:  # they have images of their own
        assert read_results(results, Video(video_of(results))).mask(1)[5, 7] == 1
    with pytest.raises(SegueError, match="--video"):
        video_of(shown[3])


def test_a_page_begins_with_results_as_with_a_project(tmp_path: Path) -> None:
    """It does not know which of both it shows before it is answered."""
    video = Video(write_video(tmp_path / "video.mp4", numbered(2)))
    (tmp_path / "masks").mkdir()
    write_index_mask(tmp_path / "masks" / "00000.png", np.ones(video.size, np.uint8))
    backend = ViewBackend(video, tmp_path / "masks")
    text = json.dumps({"id": 1, "op": "hello", "browser": "a", "guest": True, "user": "Ann"})
    with closing(backend):
        known = asyncio.run(backend.handle(messages.parse(text)))
    assert (known["mode"], [item["id"] for item in known["objects"]]) == ("view", [1])

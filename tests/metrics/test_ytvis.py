"""Average precision of tracks: the numbers of the official tool, and the laws that they obey."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segue.datasets.instances import DetectedInstance, Instance
from segue.datasets.ytvis import YTVISDataset, read_results
from segue.errors import DatasetError
from segue.metrics.average_precision import TrackScores
from segue.metrics.ytvis import YTVISAccumulator, evaluate_ytvis
from segue.sinks import CocoSink
from segue.types import Frame, ObjectInfo, Segmentation
from tests.metrics.tracks import (
    CATEGORIES,
    FRAMES,
    SIZE,
    Video,
    rectangle,
    track,
    videos,
    write_results,
    write_truth,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "ytvis"
TOLERANCE = 1e-9

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

laws = settings(deadline=None, max_examples=60, derandomize=True)


@pytest.fixture(params=["", "uncompressed_gt"])
def golden(request: pytest.FixtureRequest) -> Path:
    return GOLDEN / request.param


def expected(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return content


def score(content: Iterable[Video]) -> TrackScores:
    accumulator = YTVISAccumulator(CATEGORIES)
    for number, (objects, detections) in enumerate(content, start=1):
        accumulator.update(number, objects, detections)
    return accumulator.score()


def entry(category: int = 1, number: int = 1, crowd: bool = False, area: float = 4.0) -> Instance:
    return Instance(number, category, track(rectangle(0, 0, 2, 2)), area, crowd)


def found(y0: int, x0: int, y1: int, x1: int, value: float = 0.9, category: int = 1) -> DetectedInstance:
    return DetectedInstance(category, value, track(rectangle(y0, x0, y1, x1)))


def test_the_summary_equals_that_of_the_official_tool(golden: Path) -> None:
    evaluation = evaluate_ytvis(golden / "results.json", golden / "gt.json")
    stats = expected(golden)["stats"]
    assert list(evaluation.overall) == list(stats)
    for name, value in stats.items():
        assert evaluation.overall[name] == pytest.approx(value, abs=TOLERANCE, rel=0), name
    assert evaluation.headline in evaluation.overall


def test_overlaps_and_precision_of_each_category_equal_those_of_the_official_tool(golden: Path) -> None:
    dataset = YTVISDataset(golden / "gt.json")
    detections = read_results(golden / "results.json", dataset)
    accumulator = YTVISAccumulator(dataset.categories)
    pairs = expected(golden)["ious_by_video_category"]
    for video in dataset:
        matches = accumulator.update(video.id, dataset.annotations(video), detections.get(video.id, []))
        for category, found_there in matches.items():
            wanted = np.array(pairs.pop(f"{video.id},{category}"))
            measured = found_there.overlaps
            np.testing.assert_allclose(measured, wanted.reshape(measured.shape), atol=TOLERANCE, rtol=0)
    assert not pairs
    scores = accumulator.score()
    for category, value in expected(golden)["per_category_AP"].items():
        stats = scores.category(int(category)).stats
        assert stats["AP"] == pytest.approx(value, abs=TOLERANCE, rel=0)


def test_zipped_results_score_the_same(golden: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "results.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(golden / "results.json", "submission/results.json")
        archive.writestr("__MACOSX/submission/._results.json", b"\0")
    plain = evaluate_ytvis(golden / "results.json", golden / "gt.json")
    assert evaluate_ytvis(tmp_path / "results.zip", golden / "gt.json").overall == plain.overall


@laws
@given(st.lists(videos(), min_size=1, max_size=3))
def test_the_truth_itself_is_a_perfect_result(content: list[Video]) -> None:
    perfect = [
        (objects, [DetectedInstance(item.category, 0.7, item.masks) for item in objects])
        for objects in (distinct(objects) for objects, _ in content)
    ]
    stats = score(perfect).stats
    if any(objects for objects, _ in perfect):
        assert stats["AP"] == pytest.approx(1)
        assert stats["AR100"] == 1
    else:
        assert stats["AP"] == -1


def distinct(objects: list[Instance]) -> list[Instance]:
    """Without crowds, objects that have the very masks of another one, and empty ones."""
    kept = {item.masks.counts: item for item in objects if item.masks.areas.any() and not item.crowd}
    return list(kept.values())


def test_tables_name_videos_and_classes_and_remarks_what_is_missing(tmp_path: Path) -> None:
    content: list[Video] = [
        ([entry()], [found(0, 0, 2, 2), found(0, 0, 2, 2, category=9)]),
        ([entry()], []),
    ]
    write_truth(tmp_path / "truth.json", content)
    write_results(tmp_path / "results.json", content)
    evaluation = evaluate_ytvis(tmp_path / "results.json", tmp_path / "truth.json")
    precisions = {name: row["AP"] for name, row in evaluation.sequences.items()}
    assert precisions == pytest.approx({"clip1": 1, "clip2": 0})
    assert evaluation.series["clip1"]["IoU"].values == pytest.approx([1] * FRAMES)
    assert evaluation.categories["class 1"]["AR10"] == 0.5
    assert evaluation.remarks == (
        "1 of 2 videos have no results, their objects count as missed: clip2",
        "1 results of categories that the set does not have are left out: 9",
        "1 of 2 categories have no object and do not count: class 2",
    )


def test_a_frame_to_look_at_shows_object_and_detection_under_one_id(tmp_path: Path) -> None:
    sure, unsure = found(3, 3, 5, 5, 0.95), found(3, 6, 5, 8, 0.1)
    crowd = Instance(2, 1, track(rectangle(5, 0, 6, 8)), 8.0, crowd=True)
    content: list[Video] = [([entry(), crowd], [found(0, 0, 2, 3, 0.5), sure, unsure])]
    write_truth(tmp_path / "truth.json", content)
    write_results(tmp_path / "results.json", content)
    image = np.full((*SIZE, 3), 90, np.uint8)
    for t in range(FRAMES):
        path = tmp_path / "JPEGImages" / "clip1" / f"{t:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    dataset = YTVISDataset.open(tmp_path / "truth.json")
    evaluation = evaluate_ytvis(tmp_path / "results.json", dataset)
    assert evaluation.view is not None
    frame = evaluation.view("clip1", "00001")
    np.testing.assert_array_equal(frame.truth, rectangle(0, 0, 2, 2)[1] * 1)
    np.testing.assert_array_equal(frame.result, rectangle(0, 0, 2, 3)[1] * 1 + rectangle(3, 3, 5, 5)[1] * 3)
    np.testing.assert_array_equal(frame.ignored, rectangle(5, 0, 6, 8)[1])
    assert frame.image is not None
    assert frame.image.shape == image.shape


def test_results_of_the_writer_score_1(tmp_path: Path) -> None:
    content: list[Video] = [([entry(1, 1), Instance(2, 2, track(rectangle(3, 4, 6, 7)), 9.0)], [])]
    write_truth(tmp_path / "truth.json", content)
    sink = CocoSink(
        tmp_path / "results.json", flavour="ytvis", categories={"class 1": 1, "class 2": 2}, video_id=1
    )
    objects = (ObjectInfo(1, "class 1"), ObjectInfo(2, "class 2"))
    for t in range(FRAMES):
        mask = (rectangle(0, 0, 2, 2)[t] * 1 + rectangle(3, 4, 6, 7)[t] * 2).astype(np.uint8)
        sink.write(Frame(t, t / 10, np.zeros((*SIZE, 3), np.uint8)), Segmentation(t, t / 10, mask, objects))
    sink.close()
    overall = evaluate_ytvis(tmp_path / "results.json", tmp_path / "truth.json").overall
    assert overall["AP"] == pytest.approx(1)
    assert overall["AR1"] == 1


def test_a_video_that_is_added_twice_is_refused() -> None:
    accumulator = YTVISAccumulator(CATEGORIES)
    accumulator.update(3, [], [])
    accumulator.update(4, [], [])
    with pytest.raises(DatasetError):
        accumulator.update(3, [], [])


def test_masks_of_two_sizes_are_refused() -> None:
    other = DetectedInstance(1, 0.5, track(np.ones((FRAMES, 4, 4), np.bool_)))
    with pytest.raises(DatasetError):
        YTVISAccumulator(CATEGORIES).update(1, [entry()], [other])


def test_results_on_a_set_without_annotations_are_refused(tmp_path: Path) -> None:
    video = {"id": 1, "height": 6, "width": 8, "length": 1, "file_names": ["clip/0.jpg"]}
    (tmp_path / "valid.json").write_text(json.dumps({"videos": [video], "categories": []}))
    with pytest.raises(DatasetError):
        evaluate_ytvis(tmp_path / "results.json", tmp_path / "valid.json")

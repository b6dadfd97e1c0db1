"""Average precision of tracks: the numbers of the official tool, and the laws that they obey."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable
from dataclasses import replace
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
from segue.metrics.average_precision import TrackScores, match_tracks
from segue.metrics.ytvis import YTVISAccumulator, evaluate_ytvis
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video.file_sinks import CocoSink
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


def test_one_right_and_one_wrong_detection_by_hand() -> None:
    """The wrong one scores higher: precision is 1/2 at every recall."""
    right, wrong = found(0, 0, 2, 2, 0.5), found(4, 4, 6, 6, 0.8)
    stats = score([([entry()], [right, wrong])]).stats
    assert stats["AP"] == stats["AP50"] == stats["APs"] == pytest.approx(0.5)
    assert stats["AR1"] == 0
    assert stats["AR10"] == stats["AR100"] == 1
    assert stats["APm"] == stats["APl"] == stats["ARm"] == stats["ARl"] == -1


@pytest.mark.parametrize(("width", "passed"), [(3, 4), (4, 1)])
def test_thresholds_from_a_half_on_are_passed_by_an_overlap_of_two_thirds_or_a_half(
    width: int, passed: int
) -> None:
    """4 of 6 pixels pass 0.5, 0.55, 0.6 and 0.65; 4 of 8 pass 0.5 alone, which they reach exactly."""
    stats = score([([entry()], [found(0, 0, 2, width)])]).stats
    assert stats["AP"] == pytest.approx(passed / 10)
    assert stats["AP50"] == pytest.approx(1)
    assert stats["AP75"] == 0


def test_overlap_is_taken_over_the_whole_video() -> None:
    """Right on two of three frames and absent on the third: 2/3."""
    masks = rectangle(0, 0, 2, 2)
    masks[1] = False
    stats = score([([entry()], [DetectedInstance(1, 0.9, track(masks))])]).stats
    assert stats["AP"] == pytest.approx(0.4)


def test_a_detection_in_a_crowd_counts_neither_as_right_nor_as_wrong() -> None:
    person = Instance(2, 1, track(rectangle(3, 3, 6, 6)), 9.0)
    in_crowd = [found(0, 0, 2, 2, 0.9), found(0, 0, 2, 2, 0.8)]
    stats = score([([entry(crowd=True), person], [*in_crowd, found(3, 3, 6, 6, 0.5)])]).stats
    assert stats["AP"] == pytest.approx(1)


def test_only_the_hundred_best_detections_of_a_category_count() -> None:
    wrong = [found(4, 4, 6, 6, 0.9)] * 100
    assert score([([entry()], [found(0, 0, 2, 2, 0.5), *wrong])]).stats["AR100"] == 0
    assert score([([entry()], [found(0, 0, 2, 2, 0.5), *wrong[1:]])]).stats["AR100"] == 1


def test_nothing_to_find_scores_minus_one_as_in_the_official_tool() -> None:
    scores = score([([], [found(0, 0, 2, 2)])])
    assert set(scores.stats.values()) == {-1}
    assert all(math.isnan(value) for value in scores.headlines.values())


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


@laws
@given(st.lists(videos(), min_size=1, max_size=3))
def test_all_scores_lie_between_0_and_1(content: list[Video]) -> None:
    assert all(value == -1 or 0 <= value <= 1 for value in score(content).stats.values())


@laws
@given(st.lists(videos(), min_size=1, max_size=3), st.data())
def test_a_detection_below_all_others_never_lowers_average_precision(
    content: list[Video], data: st.DataObject
) -> None:
    before = score(content).stats
    objects, _ = data.draw(st.sampled_from(content))
    last = found(0, 0, *data.draw(st.tuples(st.integers(1, 6), st.integers(1, 8))), value=0.01)
    after = score([(o, [*d, last] if o is objects else d) for o, d in content]).stats
    for name in ("AP", "AP50", "AP75", "AR1", "AR10", "AR100"):
        assert after[name] >= before[name] - 1e-12


@laws
@given(st.lists(videos(), min_size=1, max_size=3))
def test_false_positives_below_all_others_never_raise_average_precision(content: list[Video]) -> None:
    """They are where no object is: on a picture twice as high."""
    before = score([(double(o), double(d)) for o, d in content]).stats
    height, width = SIZE
    masks = np.zeros((FRAMES, 2 * height, width), np.bool_)
    masks[:, height + 1 :] = True
    last = [DetectedInstance(number, 0.01, track(masks)) for number in CATEGORIES]
    assert score([(double(o), [*double(d), *last]) for o, d in content]).stats == before


def double(items: Iterable[Any]) -> list[Any]:
    """The same tracks on a picture twice as high."""
    doubled = []
    for item in items:
        masks = np.stack([item.masks.decode(t) for t in range(FRAMES)])
        doubled.append(replace(item, masks=track(np.concatenate([masks, np.zeros_like(masks)], axis=1))))
    return doubled


@laws
@given(st.lists(videos(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_in_which_videos_are_added_changes_nothing(content: list[Video], random: Any) -> None:
    accumulator = YTVISAccumulator(CATEGORIES)
    numbered = list(enumerate(content, start=1))
    random.shuffle(numbered)
    for number, (objects, detections) in numbered:
        accumulator.update(number, objects, detections)
    assert accumulator.score().stats == score(content).stats


@laws
@given(st.lists(videos(), min_size=1, max_size=2))
def test_scores_may_be_stretched_but_not_reordered(content: list[Video]) -> None:
    stretched = [
        (o, [DetectedInstance(item.category, 100 * item.score - 7, item.masks) for item in d])
        for o, d in content
    ]
    assert score(stretched).stats == score(content).stats


def test_detections_of_equal_score_keep_their_order() -> None:
    right, wrong = found(0, 0, 2, 2), found(4, 4, 6, 6)
    assert score([([entry()], [right, wrong])]).stats["AR1"] == 1
    assert score([([entry()], [wrong, right])]).stats["AR1"] == 0


def test_equal_scores_in_different_videos_are_ranked_by_the_number_of_the_video() -> None:
    empty: Video = ([], [found(4, 4, 6, 6)])
    full: Video = ([entry()], [found(0, 0, 2, 2)])
    assert score([full, empty]).stats["AP"] == pytest.approx(1)
    assert score([empty, full]).stats["AP"] == pytest.approx(0.5)


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
    assert evaluation.categories["class 1"]["AR10"] == 0.5
    assert evaluation.remarks == (
        "1 of 2 videos have no results, their objects count as missed: clip2",
        "1 results of categories that the set does not have are left out: 9",
        "1 of 2 categories have no object and do not count: class 2",
    )


def test_the_series_holds_the_overlap_on_each_frame_with_the_track_that_was_matched(tmp_path: Path) -> None:
    masks = rectangle(0, 0, 2, 2)
    masks[1] = rectangle(0, 0, 2, 3)[1]
    masks[2] = False
    content: list[Video] = [([entry()], [DetectedInstance(1, 0.9, track(masks))])]
    write_truth(tmp_path / "truth.json", content)
    write_results(tmp_path / "results.json", content)
    series = evaluate_ytvis(tmp_path / "results.json", tmp_path / "truth.json").series["clip1"]["IoU"]
    assert series.frames == ("00000", "00001", "00002")
    np.testing.assert_allclose(series.values, [1, 2 / 3, 0])


def test_a_frame_to_look_at_shows_object_and_detection_under_one_id(tmp_path: Path) -> None:
    sure, unsure = found(3, 3, 5, 5, 0.95), found(3, 6, 5, 8, 0.1)
    crowd = Instance(2, 1, track(rectangle(5, 0, 6, 8)), 8.0, crowd=True)
    content: list[Video] = [([entry(), crowd], [found(0, 0, 2, 3, 0.5), sure, unsure])]
    write_truth(tmp_path / "truth.json", content)
    write_results(tmp_path / "results.json", content)
    picture = np.full((*SIZE, 3), 90, np.uint8)
    for t in range(FRAMES):
        path = tmp_path / "JPEGImages" / "clip1" / f"{t:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    dataset = YTVISDataset.open(tmp_path / "truth.json")
    evaluation = evaluate_ytvis(tmp_path / "results.json", dataset)
    assert evaluation.view is not None
    frame = evaluation.view("clip1", "00001")
    np.testing.assert_array_equal(frame.truth, rectangle(0, 0, 2, 2)[1] * 1)
    np.testing.assert_array_equal(frame.result, rectangle(0, 0, 2, 3)[1] * 1 + rectangle(3, 3, 5, 5)[1] * 3)
    np.testing.assert_array_equal(frame.ignored, rectangle(5, 0, 6, 8)[1])
    assert frame.image is not None
    assert frame.image.shape == picture.shape


def test_what_the_writer_of_results_wrote_scores_1(tmp_path: Path) -> None:
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
    with pytest.raises(DatasetError, match="video 3 was added before"):
        accumulator.update(3, [], [])


def test_masks_of_two_sizes_are_refused() -> None:
    other = DetectedInstance(1, 0.5, track(np.ones((FRAMES, 4, 4), np.bool_)))
    with pytest.raises(DatasetError, match=r"video 1: masks have different sizes \[\(4, 4\), \(6, 8\)\]"):
        YTVISAccumulator(CATEGORIES).update(1, [entry()], [other])


def test_results_on_a_set_without_annotations_are_refused(tmp_path: Path) -> None:
    video = {"id": 1, "height": 6, "width": 8, "length": 1, "file_names": ["clip/0.jpg"]}
    (tmp_path / "valid.json").write_text(json.dumps({"videos": [video], "categories": []}))
    with pytest.raises(DatasetError, match="no annotations; results on it can only be scored by"):
        evaluate_ytvis(tmp_path / "results.json", tmp_path / "valid.json")


def test_equal_overlaps_go_to_the_later_object_that_is_free() -> None:
    """As COCO's matching does; an object that must be found comes before one that is left out."""
    twins = [entry(number=1), entry(number=2)]
    found_twice = [found(0, 0, 2, 2, 0.9), found(0, 0, 2, 2, 0.8)]
    assert match_tracks(found_twice, twins).matched[0, 0].tolist() == [1, 0]
    small = [entry(number=1), entry(number=2, area=1e11)]  # larger than any range
    assert match_tracks(found_twice, small).matched[0, 0].tolist() == [0, 1]
    crowd = [entry(number=1), entry(number=2, crowd=True)]
    thrice = [*found_twice, found(0, 0, 2, 2, 0.7)]
    assert match_tracks(thrice, crowd).matched[0, 0].tolist() == [0, 1, 1]

"""Objects that overlap: results have the whole mask of each, and files hold it where they can."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import segue
from segue.errors import SinkError, SourceError
from segue.formats.mask_records import RECORDS
from segue.formats.png import replay
from segue.jobs.running import RunCancelledError
from segue.masks import decode_rle, encode_rle
from segue.models.geometry import aggregate
from segue.models.stcn import STCNLite
from segue.prompt_types import MaskPrompt
from segue.sessions import TrackSession
from segue.sinks import PngSink
from segue.types import Frame, ObjectInfo, ObjectMaps, Segmentation, log_odds
from tests import nearest_mask
from tests.cli.running import FRAMES, MASKS, command_in, contents
from tests.lite import lively_lite

COUNT = 5
OVERLAPPING = ("png", "coco", "coco-polygons", "ytvis", "mot", "yolo")
FRONT, BACK = np.zeros((12, 16), np.bool_), np.zeros((12, 16), np.bool_)
FRONT[4:8, 4:12] = True
BACK[2:10, 6:9] = True


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number, image in enumerate(FRAMES[:COUNT]):
        Image.fromarray(image).save(tmp_path / f"images/{number}.png")
    return tmp_path / "images"


def tracked(source: Any, lite: STCNLite, **options: Any) -> Any:
    return segue.track(source, MASKS[0], model=lite, device="cpu", **options)


def crossing(index: int = 0) -> Segmentation:
    """An object in front of another one."""
    mask = np.where(FRONT, 1, 2 * BACK).astype(np.uint8)
    objects = (ObjectInfo(1, "dog", 0.9, (4, 4, 12, 8), 32), ObjectInfo(2, "cat", 0.8, (6, 2, 9, 10), 12))
    planes = np.stack([FRONT, BACK]).astype(np.float32)
    return Segmentation(index, index / 10, mask, objects, ObjectMaps(lambda: log_odds(planes)))


def test_the_log_odds_of_each_object_are_those_that_the_probabilities_are_made_of(lite: STCNLite) -> None:
    results = list(tracked(FRAMES[:COUNT], lite))
    for result in results[1:]:
        logits, masks = result.logits, result.masks
        assert logits.shape == masks.shape == (len(result.objects), *result.mask.shape)
        assert (logits.dtype, masks.dtype) == (np.float32, np.bool_)
        merged = aggregate(torch.from_numpy(logits).sigmoid()).numpy()
        np.testing.assert_allclose(merged, result.probabilities, atol=2e-5)
        for item, plane, logit in zip(result.objects, masks, logits, strict=True):
            assert np.array_equal(plane, (logit > 0) | (result.mask == item.id))
        again = pickle.loads(pickle.dumps(result))
        assert np.array_equal(again.logits, logits)
    assert any((result.masks.sum(0) > 1).any() for result in results), "no objects overlap"
    for item, plane in zip(results[0].objects, results[0].masks, strict=True):
        assert np.array_equal(plane, results[0].mask == item.id), "a given mask is as it was given"


def test_objects_are_whole_where_a_mask_of_another_one_is_given(lite: STCNLite) -> None:
    session = TrackSession(lite, device="cpu")
    session.step(FRAMES[0], MASKS[0])
    session.step(FRAMES[1])
    predicted = session.peek(FRAMES[2])
    plane = predicted.masks[1]  # in front of the whole second object
    result = session.step(FRAMES[2], [MaskPrompt(1, plane)])
    assert not (result.mask == 2).any()
    assert np.array_equal(result.logits[1], predicted.logits[1])
    assert np.array_equal(result.masks, [plane, predicted.logits[1] > 0])
    assert result.masks[1].any()
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.masks, result.masks)


def test_results_whose_objects_nothing_follows_apart_have_what_is_visible() -> None:
    result = Segmentation(0, 0.0, crossing().mask, crossing().objects)
    assert np.array_equal(result.masks, [result.mask == 1, result.mask == 2])
    assert np.array_equal(result.logits > 0, result.masks)
    assert Segmentation(0, 0.0, np.zeros((3, 4), np.uint8)).masks.shape == (0, 3, 4)


def test_formats_hold_the_visible_piece_or_the_whole_mask(tmp_path: Path) -> None:
    for whole, area, box in ((False, 12, [6, 2, 3, 8]), (True, 24, [6, 2, 3, 8])):
        folder = tmp_path / str(whole)
        written = segue.save(
            [crossing(), crossing(1)],
            folder,
            formats=OVERLAPPING,
            source=[np.zeros((12, 16, 3), np.uint8)] * 2,
            whole=whole,
        )
        back = json.loads(written["coco"].read_text())["annotations"][1]
        assert (back["area"], back["bbox"]) == (area, box)
        assert np.array_equal(decode_rle(back["segmentation"]), BACK if whole else BACK & ~FRONT)
        polygons = json.loads(written["coco-polygons"].read_text())["annotations"][1]["segmentation"]
        assert len(polygons) == (1 if whole else 2)
        entry = json.loads(written["ytvis"].read_text())[1]["segmentations"]
        assert [decode_rle(each).sum() for each in entry] == [area, area]
        assert written["mot"].read_text().splitlines()[1].startswith("1,2,7,3,3,8,")
        assert len((written["yolo"] / "labels/train/00001.txt").read_text().splitlines()) == 2
    labels = [(tmp_path / each / "yolo/labels/train/00001.txt").read_text() for each in ("True", "False")]
    assert labels[0] != labels[1]


def test_an_object_that_is_wholly_behind_another_is_in_whole_files_alone(tmp_path: Path) -> None:
    mask = FRONT.astype(np.uint8)
    planes = np.stack([FRONT, FRONT & BACK]).astype(np.float32)
    maps = ObjectMaps(lambda: log_odds(planes))
    objects = (ObjectInfo(1, None, 1.0, (4, 4, 12, 8), 32), ObjectInfo(2, None, 0.0))
    for whole, ids in ((False, [1]), (True, [1, 2])):
        written = segue.save(
            [Segmentation(0, 0.0, mask, objects, maps)],
            tmp_path / str(whole),
            formats=["coco", "mot"],
            whole=whole,
        )
        annotations = json.loads(written["coco"].read_text())["annotations"]
        assert [item["track_id"] for item in annotations] == ids
        assert len(written["mot"].read_text().splitlines()) == len(ids)


def test_supervision_gets_whole_masks_and_their_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", ModuleType("supervision"))
    sys.modules["supervision"].Detections = SimpleNamespace  # type: ignore[attr-defined]
    for whole, back in ((False, BACK & ~FRONT), (True, BACK)):
        detections: Any = crossing().to_supervision(whole=whole)
        assert np.array_equal(detections.mask, [FRONT, back])
        assert detections.xyxy.tolist() == [[4, 4, 12, 8], [6, 2, 9, 10]]
        assert detections.tracker_id.tolist() == [1, 2]


def test_a_resumed_run_writes_the_same_whole_masks(images: Path, lite: STCNLite, tmp_path: Path) -> None:
    """What the masks of the folder do not hold comes from the records beside them."""
    options: dict[str, Any] = {"formats": OVERLAPPING, "whole": True}
    tracked(images, lite).save(tmp_path / "at-once", **options)

    def cancel(count: int, total: int | None) -> None:
        if count == 3:
            results.cancel()

    results = tracked(images, lite, progress=cancel)
    with pytest.raises(RunCancelledError):
        results.save(tmp_path / "resumed", **options)
    with pytest.raises(segue.errors.ResumeError, match="whole"):
        tracked(images, lite).save(tmp_path / "resumed", formats=OVERLAPPING, resume=True)
    tracked(images, lite).save(tmp_path / "resumed", resume=True, **options)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "at-once")
    assert '"whole"' in (tmp_path / "resumed/masks" / RECORDS).read_text()
    for first, second in zip(tracked(images, lite), replay(tmp_path / "resumed/masks"), strict=True):
        assert np.array_equal(first.masks, second.masks)
        assert first == second


def hidden(results: Any) -> int:
    """Pixels of whole masks that are behind other objects."""
    return sum(
        int((plane & (each.mask != item.id)).sum())
        for each in results
        for item, plane in zip(each.objects, each.masks, strict=True)
    )


def test_a_video_and_its_files_have_whole_masks(images: Path, lite: STCNLite, tmp_path: Path) -> None:
    wanted = list(tracked(images, lite))[1:]
    assert hidden(wanted)
    video = segue.Video(images, model=lite, device="cpu")
    video.add(0, MASKS[0])
    _, *results = video.propagate()
    for found, expected in zip(results, wanted, strict=True):
        assert found == expected
        assert np.array_equal(found.masks, expected.masks)
    state = json.loads(json.dumps(video.state()))
    video.reset()
    video.restore(state)
    assert np.array_equal(video[3].masks, wanted[2].masks)
    for whole in (True, False):
        video.save(tmp_path / f"{whole}.json", formats="coco", whole=whole)
    areas = [
        sum(row["area"] for row in json.loads((tmp_path / f"{whole}.json").read_text())["annotations"])
        for whole in (True, False)
    ]
    assert areas[0] - areas[1] == hidden(wanted)


def test_parts_behind_others_stay_after_a_correction(images: Path, lite: STCNLite) -> None:
    video = segue.Video(images, model=lite, device="cpu")
    video.add(0, MASKS[0])
    list(video.propagate())
    before = {result.index: result for result in video}
    assert hidden([before[index] for index in (1, 2, 4)])
    visible = before[3].mask == 1
    corrected = visible.copy()
    corrected[:, visible.any(0).argmax()] = False  # one column
    video.add(3, masks={1: corrected})
    list(video.propagate())
    stays = 0
    for index in (1, 2, 4):
        result, other = video[index], before[index]
        for number, mask, earlier in zip(result.ids, result.masks, other.masks, strict=True):
            same = (result.mask == number) == (other.mask == number)
            unchanged = same & (result.mask == other.mask)
            np.testing.assert_array_equal(mask[unchanged], earlier[unchanged])
            stays += int((mask & (result.mask != number)).sum())
    assert stays


def test_a_corrected_mask_keeps_its_part_behind_others(images: Path, lite: STCNLite) -> None:
    video = segue.Video(images, model=lite, device="cpu")
    video.add(0, MASKS[0])
    list(video.propagate())
    for index in range(1, COUNT):
        before = video[index]
        for place, number in enumerate(before.ids):
            behind = before.masks[place] & (before.mask != number)
            if behind.any():
                y, x = np.argwhere(before.mask == number)[0]
                after = video.add(index, id=number, points=[(float(x), float(y))], labels=[0])
                assert not after.masks[place][y, x]
                np.testing.assert_array_equal(after.masks[place] & behind, behind)
                return
    pytest.fail("no object is behind another one")


def test_a_state_with_a_damaged_whole_mask_is_refused(images: Path, lite: STCNLite) -> None:
    video = segue.Video(images, model=lite, device="cpu")
    video.add(0, MASKS[0])
    list(video.propagate())
    state = video.state()
    [row] = [row for rows in state["tracked"].values() for row in rows.values() if row[2]][:1]
    row[2] = "0" * 100
    with pytest.raises(segue.errors.CheckpointError):
        video.restore(state)


def test_frames_before_the_first_prompt_have_whole_masks(images: Path, lite: STCNLite) -> None:
    forwards = FRAMES[:COUNT]
    last = COUNT - 1
    wanted = list(segue.track(forwards[::-1], MASKS[0], model=lite, device="cpu"))[::-1]
    found = list(segue.track(forwards, {last: MASKS[0]}, model=lite, device="cpu", reverse=True))
    assert hidden(wanted[:last])
    for one, expected in zip(found[:last], wanted, strict=False):
        assert np.array_equal(one.mask, expected.mask)
        assert np.array_equal(one.masks, expected.masks)
        assert np.array_equal(pickle.loads(pickle.dumps(one)).masks, expected.masks)


def records(folder: Path) -> Iterator[Path]:
    with PngSink(folder, whole=True) as sink:
        sink.write(Frame(0, 0.0, np.zeros((12, 16, 3), np.uint8)), crossing())
    yield folder / RECORDS


@pytest.mark.parametrize(
    "lengths",
    [
        {"size": [12, 16], "counts": "????"},
        {"size": [10**9, 10**9], "counts": "0"},
        "/etc/passwd",
        7,
        encode_rle(np.ones((3, 3), np.bool_)),
    ],
)
def test_damaged_whole_masks_in_a_record_are_refused(tmp_path: Path, lengths: Any) -> None:
    (path,) = records(tmp_path / "masks")
    (result,) = replay(tmp_path / "masks")
    assert np.array_equal(result.masks, [FRONT, BACK])
    record = json.loads(path.read_text())
    record["objects"][1]["whole"] = lengths
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises((SourceError, SinkError), match=r"damaged|another size"):
        list(replay(tmp_path / "masks"))


def test_the_command_writes_whole_masks(images: Path, tmp_path: Path, lite: STCNLite, capsys: Any) -> None:
    Image.fromarray(MASKS[0]).save(tmp_path / "mask.png")
    save_file(lite.state_dict(), tmp_path / "lite.safetensors")
    command = command_in(capsys)
    words = ["track", images, "--mask", tmp_path / "mask.png", "--weights", tmp_path / "lite.safetensors"]
    for name, more in (("visible", []), ("whole", ["--whole-masks"])):
        done = command(*words, "--format", "png,coco", *more, "-o", tmp_path / name, "--device", "cpu")
        assert done.code == 0, done
        assert json.loads((tmp_path / name / "job.json").read_text())["outputs"]["whole"] is bool(more)
    whole, visible = (
        json.loads((tmp_path / f"{name}/coco.json").read_text())["annotations"]
        for name in ("whole", "visible")
    )
    results = list(tracked(images, lite))
    assert sum(item["area"] for item in whole) == sum(result.masks.sum() for result in results)
    assert sum(item["area"] for item in visible) == sum((result.mask > 0).sum() for result in results)


def test_a_hidden_part_that_lies_apart_from_the_visible_one_is_stored() -> None:
    """One session tracks both objects, as they do not overlap on a prompted frame."""
    video = segue.Video(nearest_mask.images(5), model=nearest_mask.NearestMask(), device="cpu")
    far = nearest_mask.mask_of([0, 2], 0)
    video.add(0, masks={2: far})
    video.add(4, masks={1: nearest_mask.mask_of([0], 0)})
    list(video.propagate())
    for index in range(5):
        whole = nearest_mask.whole_masks(video[index])
        assert np.array_equal(whole[2], far)
        if index in video.prompted:
            continue
        assert np.array_equal(video[index].mask == 2, far & ~whole[1])

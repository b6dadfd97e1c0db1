"""Annotations go from any format that is read to any that is written, by the command and in Python."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

import segue
from segue.datasets.davis import DavisFolder
from segue.datasets.labelled import open_labelled
from segue.entries.formats import Format
from segue.errors import SegueError
from segue.formats.labels import Labels
from segue.masks import encode_rle
from segue.metrics import evaluate_davis
from segue.registry import FORMATS
from segue_train.data.footage import gather
from tests.cli.running import Command, command_in
from tests.video.making import write_video

SIZE = (48, 64)
COUNT = 5
EXACT = [
    entry
    for entry in FORMATS
    if isinstance(entry, Format) and entry.holds and entry.holds.layers and entry.holds.max_id == 65535
]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_in(capsys)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "street"
    folder.mkdir()
    for index in range(COUNT):
        image = np.full((*SIZE, 3), 20 * index, np.uint8)
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), image)
    return folder


def planes(index: int) -> dict[int, np.ndarray]:
    """The first object lies on the second one."""
    hand, table = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    table[20:40, 5:40], hand[10:30, 10 + index : 20 + index] = True, True
    return {7: table, 3: hand}


@pytest.fixture(scope="module")
def coco(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = Labels(SIZE, {7: "table", 3: "hand"})
    labels.class_of = {7: "table", 3: "hand"}
    for index in (0, 1, 3):
        labels.masks[index] = {i: encode_rle(plane)["counts"] for i, plane in planes(index).items()}
    return labels.save(tmp_path_factory.mktemp("coco") / "street.json", video)


def check(labels: Labels) -> None:
    assert labels.names == {3: "hand", 7: "table"}
    assert sorted(index for index, masks in labels.masks.items() if masks) == [0, 1, 3]
    for index in (0, 1, 3):
        for i, plane in planes(index).items():
            assert np.array_equal(labels.planes(index)[i], plane)
        assert ((labels.mask(index) == 3) == planes(index)[3]).all(), "the hand is on top"


@pytest.mark.parametrize(("first", "second"), [*product(EXACT, EXACT)], ids=lambda entry: entry.name)
def test_between_any_two_formats_nothing_is_lost_that_both_hold(
    first: Format, second: Format, coco: Path, video: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / f"one{first.suffix}", tmp_path / f"two{second.suffix}"
    segue.convert(coco, one, video=video, format=first.name)
    done = segue.convert(one, two, video=video, format=second.name)
    assert (done.objects, done.format) == (2, second.name)
    check(segue.read_labels(two, video))


def test_every_format_is_written(coco: Path, video: Path, tmp_path: Path) -> None:
    for entry in FORMATS:
        if isinstance(entry, Format) and entry.open is not None and entry.name != "exr":
            target = tmp_path / f"{entry.name}{entry.suffix}"
            done = segue.convert(coco, target, video=video, format=entry.name)
            assert done.frames == (3 if entry.known_only else COUNT)
            assert target.exists()


def test_the_command_finds_format_and_images(
    command: Command, coco: Path, video: Path, tmp_path: Path
) -> None:
    done = command("data", "convert", coco, tmp_path / "street.xml", "--video", video)
    assert done.code == 0, done.err
    assert done.out == f"cvat: 2 objects on {COUNT} frames: {tmp_path / 'street.xml'}\n"
    check(segue.read_labels(tmp_path / "street.xml", video))
    done = command(
        "data", "convert", tmp_path / "street.xml", tmp_path / "yolo", "--format", "yolo", "--video", video
    )
    assert done.code == 0, done.err
    assert [path.name for path in sorted((tmp_path / "yolo/labels/train").iterdir())] == [
        "00000.txt",
        "00001.txt",
        "00003.txt",
    ]
    back = command("data", "convert", tmp_path / "yolo", tmp_path / "again.json")
    assert back.code == 0, back.err
    again = json.loads((tmp_path / "again.json").read_text())
    assert [image["file_name"] for image in again["images"]] == ["00000.jpg", "00001.jpg", "00003.jpg"]


@pytest.mark.parametrize("form", ["coco", "cvat", "mots", "npz", "labelme"])
def test_results_in_any_format_are_scored(form: str, coco: Path, video: Path, tmp_path: Path) -> None:
    data = segue.convert(coco, tmp_path / "street", video=video, format="davis", all_frames=True).path
    entry = next(one for one in FORMATS if one.name == form)
    results = tmp_path / "results"
    results.mkdir()
    segue.convert(coco, results / f"street{entry.suffix}", video=video, format=form)
    scores = evaluate_davis(results, DavisFolder(data, "val"), workers=1)
    assert scores.overall["J&F-Mean"] == 1.0
    if entry.suffix:
        file = results / f"street{entry.suffix}"
        assert evaluate_davis(file, DavisFolder(data, "val")).overall["J&F-Mean"] == 1.0
    with pytest.raises(SegueError):
        evaluate_davis(tmp_path / "nothing", DavisFolder(data, "val"))


@pytest.mark.parametrize("form", ["coco", "cvat", "via", "npz"])
def test_videos_with_annotations_in_any_format_are_scored_and_trained_on(
    form: str, command: Command, coco: Path, video: Path, tmp_path: Path
) -> None:
    data, entry = tmp_path / "data", next(one for one in FORMATS if one.name == form)
    shutil.copytree(video, data / "street")
    segue.convert(coco, data / f"street{entry.suffix}", video=video, format=form)
    checked = command("data", "check", data, "--kind", "labelled")
    assert checked.code == 0, checked.err
    results = segue.convert(coco, tmp_path / "street.xml", video=video).path
    scores = evaluate_davis(results, open_labelled(data))
    assert scores.sequences["street"]["J&F-Mean"] == 1.0
    (footage,) = gather([f"labelled={data}"], report=lambda _: None).videos
    image, mask = footage.read(0)
    assert image.shape[:2] == mask.shape == SIZE
    assert {*np.unique(mask)} == {0, 3, 7}
    shutil.copy(data / f"street{entry.suffix}", data / "street.other")
    assert "keep one" in command("data", "check", data, "--kind", "labelled").err


def test_impossible_conversions_are_refused_in_one_sentence(
    command: Command, coco: Path, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.json").touch()
    for arguments, message in (
        ((coco, tmp_path / "a.json"), "has no images of its own; give the video"),
        ((coco, tmp_path / "a.doc", "--video", video), "give the format"),
        ((coco, tmp_path / "a.json", "--format", "yolo", "--video", video), "yolo is a folder"),
        ((coco, tmp_path / "a", "--format", "coco", "--video", video), "a file that ends in .json"),
        ((coco, tmp_path / "a.json", "--format", "kml", "--video", video), "choose one of"),
        ((coco, tmp_path / "there.json", "--video", video), "exists already"),
        ((tmp_path / "none.json", tmp_path / "a.json", "--video", video), "none.json"),
    ):
        refused = command("data", "convert", *arguments)
        assert refused.code == 2, arguments
        assert message in refused.complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.json"]
    assert (
        command("data", "convert", coco, tmp_path / "there.json", "--video", video, "--overwrite").code == 0
    )


@pytest.mark.parametrize("form", EXACT, ids=lambda entry: entry.name)
def test_a_program_reads_the_ids_that_it_wrote(form: Format, video: Path, tmp_path: Path) -> None:
    labels = Labels(SIZE, {300: "table", 2: "hand"})
    for index, (table, hand) in enumerate(tuple(planes(index).values()) for index in range(COUNT)):
        visible = {300: table} | ({2: hand} if index else {})
        labels.masks[index] = {i: encode_rle(plane)["counts"] for i, plane in visible.items()}
    path = labels.save(tmp_path / f"labels{form.suffix}", video, format=form.name)
    back = segue.read_labels(path, video)
    for index in range(COUNT):
        assert np.array_equal(back.mask(index), labels.mask(index))
        assert back.planes(index).keys() == labels.planes(index).keys()


@pytest.mark.parametrize(
    ("form", "name"), [("cvat", "labels.xml"), ("mot", "labels.txt"), ("mots", "train.txt")]
)
def test_a_file_may_have_the_name_of_a_list_in_folders(
    form: str, name: str, coco: Path, video: Path, tmp_path: Path
) -> None:
    segue.convert(coco, tmp_path / name, video=video, format=form)
    assert {*segue.read_labels(tmp_path / name, video).names} == {3, 7}


def test_a_folder_that_is_not_there_is_named(video: Path, tmp_path: Path) -> None:
    with pytest.raises(SegueError, match="missing: no such file or folder"):
        segue.read_labels(tmp_path / "missing", video)


@pytest.mark.parametrize("number", [0, 70_000])
def test_ids_that_no_index_mask_holds_are_counted(number: int, video: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"1,{number},5,10,25,20,1,-1,-1,-1\n1,3,40,10,20,20,1,-1,-1,-1\n")
    read = segue.read_labels(tmp_path / "a.txt", video)
    assert {*read.names} == {1, 2}
    made = Labels(SIZE, {number: "table"}, {0: {number: encode_rle(planes(0)[7])["counts"]}})
    for form, name in (("png", "masks"), ("coco", "coco.json")):
        back = segue.read_labels(made.save(tmp_path / name, video, format=form), video)
        assert {*np.unique(back.mask(0))} == {0, 1}
    assert [*made.names] == [number]


def test_objects_of_one_id_in_the_file_are_numbered(video: Path, tmp_path: Path) -> None:
    labels = Labels(SIZE, {1: "table", 2: "hand"})
    labels.masks = {
        0: dict(zip((1, 2), (encode_rle(each)["counts"] for each in planes(0).values()), strict=True))
    }
    path = labels.save(tmp_path / "labels.json", video)
    path.write_text(path.read_text().replace('"track_id": 2', '"track_id": 1'))
    assert list(segue.read_labels(path, video).names) == [1, 2]


def test_a_file_that_is_of_another_video_is_refused(coco: Path, tmp_path: Path) -> None:
    for index in range(COUNT):
        cv2.imwrite(str(tmp_path / f"{index:05d}.jpg"), np.zeros((10, 70, 3), np.uint8))
    with pytest.raises(SegueError, match="70x10"):
        segue.read_labels(coco, tmp_path)


def test_labels_are_not_written_over_their_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [np.full((*SIZE, 3), 99, np.uint8)] * 2)
    before = path.read_bytes()
    labels = Labels(SIZE, {3: "hand"}, {1: {3: encode_rle(planes(0)[3])["counts"]}})
    with pytest.raises(SegueError, match="the frames come from there"):
        labels.save(path, path, format="overlay", overwrite=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("size", "count", "message"),
    [((10, 70), COUNT, "the video is 70x10"), (SIZE, 2, "frame 3 is none of the video, which has 2")],
)
def test_labels_are_not_written_for_another_video(
    size: tuple[int, int], count: int, message: str, coco: Path, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    for index in range(count):
        cv2.imwrite(str(tmp_path / "other" / f"{index:05d}.jpg"), np.zeros((*size, 3), np.uint8))
    with pytest.raises(SegueError, match=message):
        segue.read_labels(coco, video).save(tmp_path / "out.json", tmp_path / "other")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    "thin",
    [(slice(5, 6), slice(3, 20)), (slice(2, 30), slice(7, 8)), (slice(9, 10), slice(9, 10))],
    ids=["row", "column", "pixel"],
)
def test_masks_that_are_one_pixel_thin_are_written_for_yolo(
    thin: tuple[slice, slice], tmp_path: Path
) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[thin] = 1
    rows, columns = thin
    box = columns.start, rows.start, columns.stop, rows.stop
    item = segue.ObjectInfo(1, area=int(mask.sum()), box=box)
    segue.Segmentation(0, 0.0, mask, (item,)).save_txt(tmp_path / "a.txt")
    corners = np.array((tmp_path / "a.txt").read_text().split()[1:], np.float64).reshape(-1, 2) * (50, 40)
    np.testing.assert_allclose((*corners.min(0), *corners.max(0)), box, atol=0.01)

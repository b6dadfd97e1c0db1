"""Annotation files of other programs, as these write them: places, sizes, names, kinds of shapes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from segue.errors import SegueError
from segue.formats.cutouts import CutOutSink
from segue.formats.cvat import labels as cvat_reader
from segue.formats.labels import Labels
from segue.formats.reading import read_labels, skipped_text
from segue.masks import DAVIS_PALETTE, encode_rle, write_index_mask
from segue.sinks import CdnetSink, PngSink
from segue.types import Frame, ObjectInfo, Segmentation

SIZE = (60, 80)
FRAMES = tuple(f"frame_{i:06d}" for i in range(10))
VIDEO: Any = SimpleNamespace(
    size=SIZE, count=10, names=FRAMES, name="dog", fps=30.0, time=lambda index: index / 30
)
RESOURCE_FORK = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(200)
BOX = {"x": 25, "y": 25, "width": 25, "height": 25}
"""A box of Label Studio, in percent."""
CAR = [{"id": 3, "name": "car", "color": "#12ab34"}]


def filled(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def shown(labels: Labels, frame: int) -> np.ndarray:
    return np.asarray(labels.mask(frame) > 0)


def coco(path: Path, *annotations: dict[str, Any], images: list[dict[str, Any]] | None = None) -> Path:
    given = [
        {"id": i + 1, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]}
        for i, name in enumerate(FRAMES)
    ]
    items = [
        {"id": n, "image_id": 1, "category_id": 3, "iscrowd": 0} | item
        for n, item in enumerate(annotations, 1)
    ]
    path.write_text(json.dumps({"images": images or given, "categories": CAR, "annotations": items}))
    return path


def cvat(path: Path, body: str, meta: str = "") -> Path:
    path.write_text(f"<annotations><version>1.1</version><meta>{meta}</meta>{body}</annotations>")
    return path


def test_a_folder_of_results_gives_the_objects_that_its_records_name(tmp_path: Path) -> None:
    mask = (filled(0, 0, 10, 10) + 3 * filled(20, 20, 30, 40)).astype(np.uint8)
    dog = ObjectInfo(3, "dog", 0.5, (20, 20, 30, 40), 200)
    with PngSink(tmp_path / "masks") as sink:
        sink.write(Frame(4, 0.16, np.zeros((*SIZE, 3), np.uint8)), Segmentation(4, 0.16, mask, (dog,)))
    labels = read_labels(tmp_path / "masks", VIDEO)
    assert (labels.names, labels.scores) == ({3: "dog"}, {(4, 3): 0.5})
    assert np.array_equal(shown(labels, 4), filled(20, 20, 30, 40))


@pytest.mark.parametrize("name", ["coco.json", "my_labels.json"])
def test_png_images_beside_the_annotations_that_name_them_are_no_masks(tmp_path: Path, name: str) -> None:
    for frame in FRAMES:
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(tmp_path / f"{frame}.png")
    coco(tmp_path / name, {"segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]})
    labels = read_labels(tmp_path, VIDEO)
    assert labels.names == {1: "car"}
    assert np.array_equal(shown(labels, 0), filled(10, 10, 30, 30))


@pytest.mark.parametrize("text", ['{"files": ["frame_000000.png"]}', '{"annotations": []}'])
def test_masks_beside_a_file_that_says_nothing_of_them_are_read(tmp_path: Path, text: str) -> None:
    write_index_mask(tmp_path / f"{FRAMES[0]}.png", 2 * filled(10, 10, 30, 30).astype(np.uint8))
    (tmp_path / "about.json").write_text(text)
    assert [*read_labels(tmp_path, VIDEO).names] == [2]


@pytest.mark.parametrize("packed", [True, False])
def test_files_that_a_mac_adds_to_masks_are_ignored(tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for i in range(10):
        write_index_mask(folder / f"{i:05d}.png", filled(i, 0, 20, 20).astype(np.uint8))
        if not packed:
            (folder / f"._{i:05d}.png").write_bytes(RESOURCE_FORK)
    if packed:
        with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
            for i in range(10):
                archive.write(folder / f"{i:05d}.png", f"masks/{i:05d}.png")
                archive.writestr(f"__MACOSX/masks/._{i:05d}.png", RESOURCE_FORK)
            archive.writestr("masks/.DS_Store", b"x")
    labels = read_labels(tmp_path / "masks.zip" if packed else folder, VIDEO)
    assert sorted(labels.masks) == [*range(10)]
    assert set(labels.names) == {1}
    assert np.array_equal(shown(labels, 3), filled(3, 0, 20, 20))


def test_boxes_of_cvat_are_turned_about_their_middle(tmp_path: Path) -> None:
    box = "<box frame='0' outside='0' xtl='20' ytl='25' xbr='60' ybr='35' rotation='{}'/>"
    track = "<track id='0' label='ship'>{}</track>"
    for degrees in (90, -90, 270.0, 450):
        labels = read_labels(cvat(tmp_path / "a.xml", track.format(box.format(degrees))), VIDEO)
        assert np.array_equal(shown(labels, 0), filled(35, 10, 45, 50))
    slanted = shown(read_labels(cvat(tmp_path / "a.xml", track.format(box.format(45))), VIDEO), 0)
    assert slanted[30, 40]
    assert slanted[20, 30] & slanted[40, 50], "clockwise: the left end goes up"
    assert not slanted[40, 30]
    item = {"bbox": [20, 25, 40, 10], "segmentation": [], "attributes": {"rotation": 90.0}}
    assert np.array_equal(
        shown(read_labels(coco(tmp_path / "a.json", item), VIDEO), 0), filled(35, 10, 45, 50)
    )


def test_a_long_attribute_of_cvat_takes_time_by_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expat looks at an attribute again with each piece that it reads, so the pieces are few."""
    lengths, read = [], cvat_reader._GrowingReads.read

    def counted(self: cvat_reader._GrowingReads, size: int | None = -1) -> str:
        text = read(self, size)
        lengths.append(len(text))
        return text

    monkeypatch.setattr(cvat_reader._GrowingReads, "read", counted)
    length = 8 << 20
    shape = f'<track id="0" label="a"><polygon frame="0" points="{"1,2;" * (length // 4)}"/></track>'
    with pytest.raises(SegueError, match="points"):
        read_labels(cvat(tmp_path / "a.xml", shape), VIDEO)
    scanned = sum(sum(lengths[:i]) for i in range(1, len(lengths) + 1))
    assert sum(lengths) > length, "the attribute was read"
    assert scanned < 16 * length


def test_ellipses_of_cvat_are_areas(tmp_path: Path) -> None:
    shape = "<track id='0' label='a'>"
    shape += "<ellipse frame='2' cx='40' cy='30' rx='20' ry='10' rotation='90'/></track>"
    mask = shown(read_labels(cvat(tmp_path / "a.xml", shape), VIDEO), 2)
    assert mask[12, 40]
    assert mask[48, 40]
    assert mask[30, 32]
    assert not mask[30, 25]
    assert mask.sum() == pytest.approx(np.pi * 200, rel=0.05)


@pytest.mark.parametrize("kind", ["coco", "rle", "ytvis", "track", "image"])
@pytest.mark.parametrize(
    ("size", "fits"), [((24, 32), True), ((120, 160), True), ((640, 640), False), ((80, 60), False)]
)
def test_shapes_of_images_of_another_size_are_scaled_or_refused(
    tmp_path: Path, kind: str, size: tuple[int, int], fits: bool
) -> None:
    height, width = size
    part = np.zeros(size, np.bool_)
    part[height // 4 : height // 2, width // 4 : width // 2] = True
    corners = [
        width // 4,
        height // 4,
        width // 2,
        height // 4,
        width // 2,
        height // 2,
        width // 4,
        height // 2,
    ]
    points = ";".join(f"{x},{y}" for x, y in zip(corners[::2], corners[1::2], strict=True))
    polygon = f"<polygon frame='0' label='car' points='{points}'/>"
    path = tmp_path / f"a.{'xml' if kind in ('track', 'image') else 'json'}"
    image = {"id": 1, "file_name": "frame_000000.png", "height": height, "width": width}
    if kind == "coco":
        coco(path, {"segmentation": [corners]}, images=[image])
    elif kind == "rle":
        coco(path, {"segmentation": encode_rle(part)}, images=[image])
    elif kind == "ytvis":
        video = {
            "id": 1,
            "height": height,
            "width": width,
            "length": 1,
            "file_names": ["dog/frame_000000.jpg"],
        }
        item = {"id": 1, "video_id": 1, "category_id": 3, "segmentations": [encode_rle(part)]}
        path.write_text(json.dumps({"videos": [video], "categories": CAR, "annotations": [item]}))
    elif kind == "track":
        meta = f"<task><original_size><width>{width}</width><height>{height}</height></original_size></task>"
        cvat(path, f"<track id='0' label='car'>{polygon}</track>", meta)
    else:
        cvat(
            path, f"<image id='0' name='frame_000000.png' width='{width}' height='{height}'>{polygon}</image>"
        )
    if fits:
        assert np.array_equal(shown(read_labels(path, VIDEO), 0), filled(20, 15, 40, 30))
    else:
        with pytest.raises(SegueError, match=rf"{width}x{height}.*80x60"):
            read_labels(path, VIDEO)


KEY = {
    "box": "<box frame='{0}' keyframe='1' outside='{1}' xtl='{2}' ytl='10' xbr='{3}' ybr='30'/>",
    "polygon": "<polygon frame='{0}' keyframe='1' outside='{1}' points='{2},10;{3},10;{3},30;{2},30'/>",
    "shifted": "<polygon frame='{0}' keyframe='1' outside='{1}' "
    "points='{3},30;{3},10;{2},10;{2},20;{2},30'/>",
    "ellipse": "<ellipse frame='{0}' keyframe='1' outside='{1}' cx='{2}' cy='20' rx='10' ry='8'/>",
}


@pytest.mark.parametrize("kind", ["box", "polygon", "ellipse"])
def test_frames_between_key_frames_are_those_that_cvat_shows(tmp_path: Path, kind: str) -> None:
    """In a straight line from key frame to key frame, then up to "outside"; out of order in the file."""
    keys = [KEY[kind].format(frame, int(frame == 8), 10 + 4 * frame, 30 + 4 * frame) for frame in (8, 0, 5)]
    path = cvat(tmp_path / "a.xml", f"<track id='0' label='a'>{''.join(keys)}</track>")
    labels = read_labels(path, VIDEO)
    assert sorted(labels.masks) == [*range(8)]
    for index in range(8):
        assert np.array_equal(shown(labels, index), np.roll(shown(labels, 0), 4 * index, axis=1))


def test_polygons_of_other_corners_are_met_in_the_middle(tmp_path: Path) -> None:
    keys = KEY["polygon"].format(0, 0, 10, 30) + KEY["shifted"].format(4, 0, 30, 50)
    labels = read_labels(cvat(tmp_path / "a.xml", f"<track id='0' label='a'>{keys}</track>"), VIDEO)
    assert sorted(labels.masks) == [*range(10)], "without an end it stays to the last frame"
    middle, expected = shown(labels, 2), filled(20, 10, 40, 30)
    assert (middle & expected).sum() / (middle | expected).sum() > 0.9
    assert np.array_equal(shown(labels, 9), filled(30, 10, 50, 30))


def test_a_track_ends_with_its_task_and_masks_fill_no_frames(tmp_path: Path) -> None:
    mask = "<mask frame='1' keyframe='1' outside='0' rle='0, 4' left='0' top='0' width='2' height='2'/>"
    tracks = f"<track id='0' label='a'>{KEY['box'].format(0, 0, 10, 30)}</track>"
    tracks += f"<track id='1' label='b'>{mask}</track>"
    meta = "<task><size>4</size><original_size><width>80</width><height>60</height></original_size></task>"
    labels = read_labels(cvat(tmp_path / "a.xml", tracks, meta), VIDEO)
    assert sorted(labels.masks) == [0, 1, 2, 3]
    assert [len(labels.planes(index)) for index in range(4)] == [1, 2, 1, 1]


@pytest.mark.parametrize("missing", [{"segmentation": []}, {"segmentation": None}, {}])
def test_a_box_without_a_segmentation_is_the_area(tmp_path: Path, missing: dict[str, Any]) -> None:
    items = [
        {"image_id": i + 1, "bbox": [20, 15, 20, 15], "attributes": {"track_id": 0}, **missing}
        for i in range(10)
    ]
    labels = read_labels(coco(tmp_path / "a.json", *items), VIDEO)
    assert labels.names == {1: "car"}
    assert labels.class_of == {1: "car"}
    assert labels.colour_of == {1: "#12ab34"}
    assert all(np.array_equal(shown(labels, i), filled(20, 15, 40, 30)) for i in range(10))


def test_tracks_of_every_fifth_frame_lie_on_these(tmp_path: Path) -> None:
    video: Any = SimpleNamespace(size=SIZE, count=20, names=tuple(f"{i:05d}" for i in range(20)))
    frames = [0, 5, 10, 15]
    masks = [encode_rle(filled(i, 0, i + 9, 9)) for i in frames]
    about = {
        "id": 1,
        "height": 60,
        "width": 80,
        "length": 4,
        "file_names": [f"vid/{i:05d}.jpg" for i in frames],
    }
    item = {"id": 1, "video_id": 1, "category_id": 3, "segmentations": masks}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"videos": [about], "categories": CAR, "annotations": [item]}))
    labels = read_labels(path, video)
    assert sorted(labels.masks) == frames
    assert all(np.array_equal(shown(labels, i), filled(i, 0, i + 9, 9)) for i in frames)
    about["file_names"] = [f"vid/{name}.jpg" for name in "abcd"]
    path.write_text(json.dumps({"videos": [about], "categories": CAR, "annotations": [item]}))
    with pytest.raises(SegueError):
        read_labels(path, video)


@pytest.mark.parametrize(
    "name", [r"D:\proj1\images\frame_000003.png", "frame_000003_png.rf.d1c6a9e2f0b34c1a8e7712345678abcd.jpg"]
)
def test_names_from_windows_and_roboflow_are_found(tmp_path: Path, name: str) -> None:
    image = {"id": 1, "file_name": name, "height": 60, "width": 80}
    item = {"segmentation": [[20, 15, 40, 15, 40, 30, 20, 30]]}
    assert list(read_labels(coco(tmp_path / "a.json", item, images=[image]), VIDEO).masks) == [3]


def test_shapes_that_are_no_areas_are_counted_and_make_no_object(tmp_path: Path) -> None:
    tracks = (
        "<track id='0' label='eye'><points frame='0' points='3,4'/><points frame='1' points='3,4'/></track>"
        "<track id='1' label='lane'><polyline frame='0' points='3,4;9,9;9,20'/></track>"
        "<track id='2' label='body'>"
        "<skeleton frame='0'><points label='hand' points='3,4'/></skeleton></track>"
        "<track id='3' label='car'><box frame='0' xtl='1' ytl='1' xbr='9' ybr='9'/></track>"
    )
    labels = read_labels(cvat(tmp_path / "a.xml", tracks), VIDEO)
    assert labels.names == {1: "car"}
    assert skipped_text(labels) == "2 points, 1 lines, 1 skeletons"
    image = "<image id='0' name='frame_000001.png'><tag label='day'/></image>"
    points = [
        {"segmentation": [[3, 4]]},
        {"segmentation": [[3, 4, 9, 9]]},
        {"keypoints": [3, 4, 2], "bbox": [1, 1, 9, 9]},
    ]
    for path, counted in (
        (cvat(tmp_path / "b.xml", image), "1 tags"),
        (coco(tmp_path / "a.json", *points), "1 points, 1 lines, 1 skeletons"),
    ):
        with pytest.raises(SegueError, match=counted):
            read_labels(path, VIDEO)


def test_objects_of_coco_without_an_area_are_counted_once_each(tmp_path: Path) -> None:
    outside = {"segmentation": [[90, 10, 95, 10, 95, 20]]}  # beside a frame of 80 pixels
    square = {"segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]}
    labels = read_labels(coco(tmp_path / "a.json", outside, square, outside), VIDEO)
    assert (len(labels.names), labels.skipped) == (1, {"shapes without an area": 2})
    empty = encode_rle(np.zeros(SIZE, bool))
    items = [
        {"id": number, "video_id": 1, "category_id": 3, "segmentations": [mask, None]}
        for number, mask in enumerate((empty, encode_rle(filled(5, 5, 20, 20)), None), start=1)
    ]
    video = {"id": 1, "height": SIZE[0], "width": SIZE[1], "length": 2}
    path = tmp_path / "tracks.json"
    path.write_text(json.dumps({"videos": [video], "categories": CAR, "annotations": items}))
    labels = read_labels(path, VIDEO)
    assert (len(labels.names), labels.skipped) == (1, {"objects without a mask": 2})


def test_the_task_of_the_video_is_taken_from_a_project_of_cvat(tmp_path: Path) -> None:
    task = (
        "<task><id>{}</id><name>{}</name><original_size><width>{}</width><height>{}</height></original_size>"
        "<source>{}</source></task>"
    )
    tasks = task.format(7, "first", 640, 480, "cat.mp4") + task.format(8, "second", 160, 120, "dog.mp4")
    track = "<track id='{0}' label='car' task_id='{1}'>"
    track += "<box frame='0' xtl='{2}' ytl='0' xbr='20' ybr='20'/></track>"
    path = cvat(
        tmp_path / "a.xml",
        track.format(0, 7, 0) + track.format(1, 8, 10),
        f"<project><tasks>{tasks}</tasks></project>",
    )
    labels = read_labels(path, VIDEO)
    assert len(labels.names) == 1
    assert np.array_equal(shown(labels, 0), filled(5, 0, 10, 10))
    with pytest.raises(SegueError):
        read_labels(path, SimpleNamespace(size=SIZE, count=10, names=None, name="bird"))


def region(kind: str, value: dict[str, Any], number: str = "r1", **more: Any) -> dict[str, Any]:
    size = {"original_width": 160, "original_height": 120}
    return {"id": number, "type": kind, "from_name": "tag", "value": {**value, kind: ["car"]}, **size, **more}


def tasks(path: Path, *results: list[dict[str, Any]]) -> Path:
    given = [
        {
            "id": 40 + i,
            "data": {"image": f"/data/upload/2/1a2b3c4d-frame_00000{i}.png"},
            "annotations": [{"was_cancelled": True, "result": [{}]}, {"result": result}],
        }
        for i, result in enumerate(results)
    ]
    path.write_text(json.dumps(given))
    return path


def test_shapes_of_label_studio_are_in_percent(tmp_path: Path) -> None:
    rectangle = {"x": 25, "y": 25, "width": 25, "height": 25, "rotation": 0}
    corners = {"points": [[25, 25], [50, 25], [50, 50], [25, 50]], "closed": True}
    path = tasks(
        tmp_path / "a.json",
        [region("rectanglelabels", rectangle)],
        [region("polygonlabels", corners)],
        [region("rectanglelabels", rectangle | {"x": 50, "rotation": 90})],
        [region("ellipselabels", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0})],
        [region("keypointlabels", {"x": 5, "y": 5, "width": 1})],
    )
    labels = read_labels(path, VIDEO)
    assert set(labels.names.values()) == {"car"}
    assert np.array_equal(shown(labels, 0), filled(20, 15, 40, 30))
    assert np.array_equal(shown(labels, 1), filled(20, 15, 40, 30))
    assert np.array_equal(shown(labels, 2), filled(25, 15, 40, 35)), "about its first corner"
    assert shown(labels, 3).sum() == pytest.approx(np.pi * 20 * 15, rel=0.05)
    assert skipped_text(labels) == "1 points"


@pytest.mark.parametrize(("frames", "duration"), [(10, 1 / 3), (8, 1 / 3), (25, 1 / 3)])
def test_boxes_of_a_video_of_label_studio_follow_the_rate_of_the_tag(
    tmp_path: Path, frames: int, duration: float
) -> None:
    rate = frames / duration
    sides = {"y": 0, "width": 25, "height": 25, "rotation": 0}
    keys = [
        {"frame": 1, "x": 0, "enabled": True, **sides},
        {"frame": round(6 / 30 * rate) + 1, "x": 60, "enabled": False, **sides},
    ]
    value = {"sequence": keys, "framesCount": frames, "duration": duration, "labels": ["car"]}
    item = {
        "id": 1,
        "data": {"video": "dog.mp4"},
        "annotations": [{"result": [region("videorectangle", value)]}],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps([item]))
    labels = read_labels(path, VIDEO)
    last = max(labels.masks)
    assert abs(last - 6) <= 1
    found = shown(labels, 3)
    assert found[:15].any()
    assert not found[15:].any()
    assert abs(np.flatnonzero(found.any(0))[0] - 24) <= 80 * 0.6 / 6 * max(1, 30 / rate)


def test_frames_of_a_tag_of_label_studio_are_moments(tmp_path: Path) -> None:
    """The tag counts 10 frames a second; the video has three frames in its first second, then one a 0.1 s."""
    times = [0, 0.4, 0.8, *(1 + i / 10 for i in range(11))]
    video: Any = SimpleNamespace(size=SIZE, count=14, names=None, name="dog", fps=7.0, time=times.__getitem__)
    sides = {"y": 0, "width": 25, "height": 25, "rotation": 0}
    keys = [{"frame": 1, "x": 0, **sides}, {"frame": 11, "x": 50, **sides}, {"frame": 16, "x": 0, **sides}]
    value = {"sequence": keys, "framesCount": 20, "duration": 2.0, "labels": ["car"]}
    item = {
        "id": 1,
        "data": {"video": "dog.mp4"},
        "annotations": [{"result": [region("videorectangle", value)]}],
    }
    (tmp_path / "a.json").write_text(json.dumps([item]))
    labels = read_labels(tmp_path / "a.json", video)
    left = [int(np.flatnonzero(shown(labels, frame).any(0))[0]) for frame in range(14)]
    assert left == [0, 16, 32, 40, 32, 24, 16, 8, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("form", ["coco", "cvat", "yolo"])
def test_ids_that_two_classes_have_are_two_objects(tmp_path: Path, form: str) -> None:
    left, right = filled(0, 0, 20, 20), filled(40, 0, 60, 20)
    if form == "coco":
        boxes: Any = [{"bbox": [0, 0, 20, 20], "category_id": 3}, {"bbox": [40, 0, 20, 20], "category_id": 4}]
        path = coco(tmp_path / "a.json", *({"track_id": 1} | box for box in boxes))
    elif form == "cvat":
        box = '<box frame="0" xtl="{2}" xbr="{3}" ytl="0" ybr="20"/>'
        track = f'<track id="{{0}}" label="{{1}}" group_id="1">{box}</track>'
        path = cvat(tmp_path / "a.xml", track.format(0, "cat", 0, 20) + track.format(1, "dog", 40, 60))
    else:
        line = "{} {} 0.16666667 0.25 0.33333333 {}\n"
        text = line.format(0, 0.125, 7) + line.format(1, 0.625, 7)
        path = yolo(tmp_path, {"labels/frame_000000.txt": text})
    labels = read_labels(path, VIDEO)
    assert len(set(labels.names.values())) == 2
    planes = labels.planes(0)
    assert np.array_equal(planes[1], left)
    assert np.array_equal(planes[2], right)


def test_records_of_sam_are_read(tmp_path: Path) -> None:
    record = {
        "bbox": [20, 15, 20, 15],
        "predicted_iou": 0.5,
        "stability_score": 0.9,
        "crop_box": [0, 0, 80, 60],
    }
    records = [{**record, "segmentation": encode_rle(filled(20, 15, 40, 30))}]
    video: Any = SimpleNamespace(size=SIZE, count=1, names=("a",))
    (tmp_path / "a.json").write_text(json.dumps(records))
    whole = {
        "image": {"image_id": 7, "file_name": "sa_7.jpg", "height": 60, "width": 80},
        "annotations": records,
    }
    (tmp_path / "b.json").write_text(json.dumps(whole))
    for name in ("a.json", "b.json"):
        labels = read_labels(tmp_path / name, video)
        assert np.array_equal(shown(labels, 0), filled(20, 15, 40, 30))
        assert labels.score(0, 1) == 0.5


def test_folders_as_davis_voc_and_yolo_have_them_are_read(tmp_path: Path) -> None:
    mask = filled(20, 15, 40, 30).astype(np.uint8)
    for root, masks, images in (
        ("davis", "Annotations/480p/dog", "JPEGImages/480p/dog"),
        ("voc", "SegmentationObject", "JPEGImages"),
        ("both", "Annotations/dog", "Annotations/cat"),
    ):
        for folder, values in ((masks, mask), (images, np.full(SIZE, 77, np.uint8))):
            (tmp_path / root / folder).mkdir(parents=True)
            Image.fromarray(values).save(tmp_path / root / folder / "frame_000004.png")
        labels = read_labels(tmp_path / root, VIDEO)
        assert list(labels.masks) == [4]
        assert np.array_equal(shown(labels, 4), mask > 0)
    folder = tmp_path / "yolo" / "labels" / "train"
    folder.mkdir(parents=True)
    (folder / "frame_000004.txt").write_text("1 0.375 0.375 0.25 0.25\n")
    (folder / "frame_000005.txt").write_text("1 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5\n")
    (tmp_path / "yolo" / "data.yaml").write_text("names: [cat, 'dog']\n")
    labels = read_labels(tmp_path / "yolo", VIDEO)
    assert labels.names == {1: "dog"}
    assert np.array_equal(shown(labels, 4), mask > 0)
    assert np.array_equal(shown(labels, 5), filled(20, 15, 41, 31)), (
        "corners are pixels, as ultralytics has it"
    )


@pytest.mark.parametrize("name", ["annotations.xml", "annotations/instances_default.json", "tasks.json"])
def test_an_archive_with_images_is_read_by_its_annotations(tmp_path: Path, name: str) -> None:
    if name.endswith(".xml"):
        cvat(
            tmp_path / "a",
            "<image id='0' name='frame_000001.png'>"
            "<box label='a' xtl='20' ytl='15' xbr='40' ybr='30'/></image>",
        )
    elif name == "tasks.json":
        tasks(tmp_path / "a", [], [region("rectanglelabels", {"x": 25, "y": 25, "width": 25, "height": 25})])
    else:
        coco(tmp_path / "a", {"image_id": 2, "bbox": [20, 15, 20, 15]})
    Image.fromarray(np.full(SIZE, 77, np.uint8)).save(tmp_path / "frame.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a", name)
        archive.write(tmp_path / "frame.png", "images/default/frame_000001.png")
    assert np.array_equal(shown(read_labels(tmp_path / "a.zip", VIDEO), 1), filled(20, 15, 40, 30))


def test_a_text_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.json", '{"annotations": [' + " " * 50_000_000 + "]}")
    with pytest.raises(SegueError, match="unpacks to"):
        read_labels(tmp_path / "a.zip", VIDEO)


SQUARE = [20, 15, 40, 15, 40, 30, 20, 30]

SITUATIONS: dict[str, dict[str, Any]] = {
    "several polygons, some of two corners": {"segmentation": [[20, 15, 20, 20], SQUARE, [1, 1, 1, 2, 2, 1]]},
    "a flat polygon": {"segmentation": SQUARE},
    "a class that is not listed": {"segmentation": [SQUARE], "category_id": 77},
    "run lengths as a list": {"segmentation": {"size": [60, 80], "counts": [1215, *[15, 45] * 19, 15, 2430]}},
    "a box of floats": {"bbox": [20.0, 15.0, 20.0, 15.0]},
}


@pytest.mark.parametrize("item", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_ways_of_writing_an_area_of_coco(tmp_path: Path, item: dict[str, Any]) -> None:
    labels = read_labels(coco(tmp_path / "a.json", item), VIDEO)
    assert np.array_equal(shown(labels, 0), filled(20, 15, 40, 30))
    assert labels.names == {1: "class 77" if "category_id" in item else "car"}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"segmentation": [203, 7, 427]}, "pairs of numbers"),
        ({"segmentation": [SQUARE], "image_id": 55}, "image 55"),
        ({"bbox": ["20", "15", "20", "15"]}, "four numbers"),
        ({"segmentation": {"size": [80, 60], "counts": [4800]}}, "60x80.*80x60"),
        ({"segmentation": {"size": [60, 80], "counts": [10**18, 1]}}, "run lengths"),
        ({"segmentation": {"size": [10**6, 10**6], "counts": [1]}}, "beyond"),
    ],
)
def test_invalid_coco_entries_are_refused_in_one_line(
    tmp_path: Path, item: dict[str, Any], words: str
) -> None:
    with pytest.raises(SegueError, match=words):
        read_labels(coco(tmp_path / "a.json", item), VIDEO)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": "frame_000000.PNG", "height": 60, "width": 80} for i in (1, 2)]
    area = {"segmentation": [SQUARE]}
    assert [*read_labels(coco(tmp_path / "a.json", area, images=images[:1]), VIDEO).masks] == [0]
    with pytest.raises(SegueError):
        read_labels(coco(tmp_path / "a.json", area, images=images), VIDEO)


def test_a_folder_for_each_object_is_read_as_objects(tmp_path: Path) -> None:
    for number, name in enumerate(("000", "001")):
        (tmp_path / name).mkdir()
        for index in range(2):
            mask = filled(20 * number, 0, 20 * number + 5, 5).astype(np.uint8) * 255
            Image.fromarray(mask).save(tmp_path / name / f"{index:05d}.png")
    labels = read_labels(tmp_path, VIDEO)
    assert labels.names == {1: "000", 2: "001"}
    assert np.array_equal(labels.mask(1) == 2, filled(20, 0, 25, 5))


@pytest.mark.parametrize("ending", [".tif", ".bmp", ".jpg"])
def test_white_masks_may_have_other_endings_than_png(tmp_path: Path, ending: str) -> None:
    mask = filled(24, 16, 40, 32).astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / f"frame_000003{ending}")
    assert np.array_equal(shown(read_labels(tmp_path, VIDEO), 3), mask > 0)


def test_a_rectangle_drawn_upwards_is_the_same(tmp_path: Path) -> None:
    value = {"x": 25, "y": 50, "width": 25, "height": -25}
    labels = read_labels(tasks(tmp_path / "a.json", [region("rectanglelabels", value)]), VIDEO)
    assert np.array_equal(shown(labels, 0), filled(20, 15, 40, 30))


def test_a_region_of_label_studio_has_the_class_that_an_entry_of_its_own_names(tmp_path: Path) -> None:
    box = {"x": 25, "y": 25, "width": 25, "height": 25}
    corners = {"points": [[25, 25], [50, 25], [50, 50], [25, 50]]}
    for shape, value in (("rectangle", box), ("polygon", corners)):
        regions = [
            region("rectanglelabels", {}) | {"type": kind, "value": about}
            for kind, about in ((shape, value), ("labels", value | {"labels": ["dog"]}))
        ]
        labels = read_labels(tasks(tmp_path / "a.json", regions), VIDEO)
        assert labels.names == {1: "dog"}
        assert labels.class_of == {1: "dog"}
        assert np.array_equal(shown(labels, 0), filled(20, 15, 40, 30))


def test_regions_of_label_studio_that_segue_does_not_know_are_counted(tmp_path: Path) -> None:
    regions = [
        region("bitmasklabels", {"imageDataURL": "data:image/png;base64,"}),
        region("rectanglelabels", BOX),
    ]
    labels = read_labels(tasks(tmp_path / "a.json", regions), VIDEO)
    assert skipped_text(labels) == "1 regions of type bitmasklabels"


@pytest.mark.parametrize("form", ["captions", "one task", "short"])
def test_tasks_of_label_studio_name_their_image_by_its_file(tmp_path: Path, form: str) -> None:
    image = "/data/upload/1/ab12cd34-frame_000003.png"
    drawn = region("rectanglelabels", BOX | {"rectanglelabels": ["car"]})
    size = {"original_width": SIZE[1], "original_height": SIZE[0]}
    task: Any = {"id": 1, "data": {"image": image}, "annotations": [{"result": [drawn]}]}
    if form == "captions":
        task["data"] = {"caption": "Two dogs. And 7 cats", "image": image}
    elif form == "short":
        task = {"id": 1, "image": image, "annotator": 1, "label": [drawn["value"] | size]}
    (tmp_path / "a.json").write_text(json.dumps(task if form == "one task" else [task]))
    labels = read_labels(tmp_path / "a.json", VIDEO)
    assert labels.names == {1: "car"}
    assert list(labels.masks) == [3]
    assert np.array_equal(shown(labels, 3), filled(20, 15, 40, 30))


@pytest.mark.parametrize("drawn", [(1,), (0, 1)])
def test_the_task_of_the_video_is_taken_from_tasks_of_label_studio(
    tmp_path: Path, drawn: tuple[int, ...]
) -> None:
    value = {"framesCount": 10, "duration": 1 / 3, "labels": ["car"]}
    value["sequence"] = [{"frame": 1, "enabled": True, "rotation": 0} | BOX]
    given = [
        {"id": n, "data": {"video": f"/data/ab12cd34-{name}.mp4"}, "annotations": [{"result": regions}]}
        for n, name in enumerate(("cat", "dog", "cow"))
        for regions in [[region("videorectangle", value)] if n in drawn else []]
    ]
    (tmp_path / "a.json").write_text(json.dumps(given))
    labels = read_labels(tmp_path / "a.json", VIDEO)
    assert labels.names == {1: "car"}
    assert np.array_equal(shown(labels, 9), filled(20, 15, 40, 30))


def yolo(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "names: {0: cat, 1: dog}\n"),
        ("data.yaml", "names:\n  # what there is\n  0: cat  # small\n  1: dog  # large\n"),
        ("data.yaml", "names: ['cat, small', dog]\n"),
        ("obj.names", "cat\ndog\n"),
        ("data.yaml", "kpt_names:\n  0: [nose, tail]\nnames: [cat, dog]\n"),
        ("data.yaml", "x-all: &all\n  1: |-\n    dog\nnames:\n  <<: *all\n  0: cat\n"),
        ("data.yaml", "names:\n- cat\n- >-\n  dog\n"),
        ("data.yaml", '{"names": {"0": "cat", "1": "d\\u006fg"}}'),
    ],
)
def test_classes_of_yolo_have_their_names(tmp_path: Path, file: str, text: str) -> None:
    box = {"obj_train_data/frame_000004.txt": "1 0.375 0.375 0.25 0.25\n"}
    assert read_labels(yolo(tmp_path, {file: text, **box}), VIDEO).names == {1: "dog"}


@pytest.mark.parametrize("file", ["classes.txt", "obj.names"])
def test_an_empty_line_of_a_list_of_classes_has_a_number_too(tmp_path: Path, file: str) -> None:
    box = " 0.5 0.5 0.2 0.2\n"
    files = {file: "cat\n\ndog\n\n", "labels/frame_000000.txt": f"0{box}2{box}"}
    assert read_labels(yolo(tmp_path, files), VIDEO).names == {1: "cat", 2: "dog"}


def test_an_empty_line_of_the_classes_of_masks_has_a_number_too(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[:10], mask[20:30] = 1, 3
    write_index_mask(tmp_path / "frame_000000.png", mask)
    (tmp_path / "classes.txt").write_text("background\ncat\n\ndog\n")
    assert read_labels(tmp_path, VIDEO).names == {1: "cat", 3: "dog"}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("shape", ["0.5 0.5 0.2 0.2", "0.1 0.1 0.9 0.1 0.5 0.9"])
def test_labels_of_yolo_may_lie_beside_their_images(suffix: str, shape: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in FRAMES[:3]:
        image = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"{name}{suffix}")
    for name in FRAMES[:2]:  # an image without objects needs no file
        (tmp_path / f"{name}.txt").write_text(f"0 {shape}\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    labels = read_labels(tmp_path, VIDEO)
    assert labels.names == {1: "cat"}
    assert sorted(labels.masks) == [0, 1]


def test_masks_with_notes_beside_them_are_masks(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "frame_000000.png", np.ones(SIZE, np.uint8))
    (tmp_path / "frame_000000.txt").write_text("drawn on Monday\n")
    assert read_labels(tmp_path, VIDEO).mask(0).all()


@pytest.mark.parametrize(
    "corners",
    [
        "0 0 0.5 0 1 0 1 0.5 1 1 0.5 1 0 1",
        "0.5 0.5 0.4 0.4 0.6 0.1 1 0.1 1 1 0.3 1 0 0.8",
        "0 0 0.5 0 1 0 1 0.5 1 1 0.5 1 0 1 0 0.5",
        "0.5 0.5 0.2 0.2 0.9 0 1 0.2 0.9 1 0.1 1 0 1 0 0",
    ],
)
def test_an_outline_along_the_border_is_no_pose(corners: str, tmp_path: Path) -> None:
    labels = read_labels(yolo(tmp_path, {"labels/frame_000000.txt": f"0 {corners}\n"}), VIDEO)
    expected = np.array(corners.split(), float).reshape(-1, 2) * SIZE[::-1]
    drawn = cv2.fillPoly(np.zeros(SIZE, np.uint8), [np.floor(expected + 5e-3).astype(np.int32)], 1)
    assert np.array_equal(labels.mask(0), drawn)


@pytest.mark.parametrize("name", ["no", "1", "1e3", "2026-01-01", "null"])
def test_a_class_of_yolo_may_be_called_what_yaml_takes_for_a_value(tmp_path: Path, name: str) -> None:
    files = {"data.yaml": f"names: [cat, {name}]\n", "labels/frame_000004.txt": "1 0.375 0.375 0.25 0.25\n"}
    assert read_labels(yolo(tmp_path, files), VIDEO).names == {1: name}


@pytest.mark.parametrize(
    "text", ["names: [cat", "names: !!python/object/apply:os.getcwd []", "names: {cat: 1}"]
)
def test_a_list_of_classes_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    files = {"data.yaml": text, "labels/frame_000004.txt": "1 0.375 0.375 0.25 0.25\n"}
    with pytest.raises(SegueError, match=r"data\.yaml"):
        read_labels(yolo(tmp_path, files), VIDEO)


def test_a_folder_of_yolo_labels_alone_is_read(tmp_path: Path) -> None:
    files = {"frame_000004.txt": "1 0.375 0.375 0.25 0.25\n", "classes.txt": "cat\ndog\n"}
    labels = read_labels(yolo(tmp_path, files), VIDEO)
    assert labels.names == {1: "dog"}
    assert list(labels.masks) == [4]


@pytest.mark.parametrize("score", ["", " 0.87"])
@pytest.mark.parametrize("outline", [False, True])
def test_ids_of_tracks_that_ultralytics_saves_are_kept(tmp_path: Path, score: str, outline: bool) -> None:
    left, right = "0.125 0.5 0.25 1", "0.875 0.5 0.25 1"
    if outline:
        left, right = "0 0 0.2 0 0.2 0.9 0 0.9", "0.8 0 0.9 0 0.9 0.9 0.8 0.9"
    files = {
        "labels/frame_000000.txt": f"0 {left}{score} 7\n0 {right}{score} 2\n",
        "labels/frame_000001.txt": f"0 {right}{score} 2\n0 {left}{score} 7\n",
    }
    labels = read_labels(yolo(tmp_path, files), VIDEO)
    assert set(labels.names) == {2, 7}
    for frame in (0, 1):
        assert labels.planes(frame)[7][5, 5]
        assert labels.planes(frame)[2][5, 70]
        assert not (labels.planes(frame)[7] & labels.planes(frame)[2]).any()


LOWER_RIGHT = ["0.5 1 0.5 0.5 1 0.5 1 1", "0.4 0.4 0.9 0.5 0.9 1"]
"""Outlines in shares of the image whose last corner lies on its lower edge."""


@pytest.mark.parametrize("outline", LOWER_RIGHT)
def test_an_outline_may_end_at_the_lower_edge(tmp_path: Path, outline: str) -> None:
    files = {f"labels/{name}.txt": f"0 {outline}\n" for name in FRAMES[:4]}
    labels = read_labels(yolo(tmp_path, files), VIDEO)
    corners = (np.array(outline.split(), float).reshape(-1, 2) * SIZE[::-1]).astype(np.int32)
    expected = cv2.fillPoly(np.zeros(SIZE, np.uint8), [corners], 1) > 0
    assert labels.names == {1: "class 0"}
    for frame in range(4):
        assert np.array_equal(shown(labels, frame), expected)


@pytest.mark.parametrize("shape", ["0.5 0.5 0.25 0.5", "0.4 0.4 0.6 0.4 0.6 0.7 0.4 0.7"])
def test_one_track_has_one_id_with_and_without_a_score(tmp_path: Path, shape: str) -> None:
    alone = read_labels(yolo(tmp_path / "a", {"labels/frame_000000.txt": f"0 {shape}\n"}), VIDEO)
    for end in ("1", "0.9 1"):
        files = {f"labels/{name}.txt": f"0 {shape} {end}\n" for name in FRAMES[:4]}
        labels = read_labels(yolo(tmp_path / end, files), VIDEO)
        assert labels.names == alone.names
        assert [labels.masks[frame] for frame in range(4)] == 4 * [alone.masks[0]]


@pytest.mark.parametrize("shapes", [("0.2 0.5 0.2 0.5", "0.7 0.5 0.2 0.5"), LOWER_RIGHT])
def test_scores_of_one_are_no_ids(tmp_path: Path, shapes: tuple[str, str]) -> None:
    both = "".join(f"0 {shape} 1\n" for shape in shapes)
    labels = read_labels(yolo(tmp_path, {f"labels/{name}.txt": both for name in FRAMES[:3]}), VIDEO)
    assert [list(masks) for masks in labels.masks.values()] == 3 * [[1, 2]]


def test_lines_of_frames_without_tracks_have_no_ids(tmp_path: Path) -> None:
    box = "0.5 0.5 0.25 0.5"
    files = {"labels/frame_000000.txt": f"0 {box}\n", "labels/frame_000001.txt": f"0 {box} 7\n0 {box} 2\n"}
    assert read_labels(yolo(tmp_path, files), VIDEO).ids == {2: 7, 3: 2}


def test_ultralytics_counts_the_frames_of_a_video_from_one(tmp_path: Path) -> None:
    video: Any = SimpleNamespace(size=SIZE, count=10, names=None, name="dog", fps=30.0)
    files = {f"labels/dog_{number}.txt": "1 0.375 0.375 0.25 0.25\n" for number in (1, 4, 10)}
    assert sorted(read_labels(yolo(tmp_path, files), video).masks) == [0, 3, 9]


def test_instance_ids_of_coco_videos_are_objects(tmp_path: Path) -> None:
    square = {"segmentation": [[20, 15, 40, 15, 40, 30, 20, 30]]}
    one, other = {"instance_id": 5, "image_id": 1} | square, {"instance_id": 5, "image_id": 3} | square
    labels = read_labels(coco(tmp_path / "a.json", one, other), VIDEO)
    assert {frame: list(masks) for frame, masks in labels.masks.items()} == {0: [5], 2: [5]}


@pytest.mark.parametrize("listed", [True, False])
def test_images_of_this_video_are_taken_from_a_file_of_several(tmp_path: Path, listed: bool) -> None:
    images = [
        {"id": 20 * v + i, "video_id": v, "file_name": f"{video}/{name}.png"}
        for v, video in enumerate(("cat", "dog"))
        for i, name in enumerate(FRAMES)
    ]
    squares = [
        {"image_id": 20 * v + 3, "instance_id": 1, "segmentation": [[x, 15, x + 20, 15, x + 20, 30, x, 30]]}
        for v, x in enumerate((50, 20))
    ]
    path = coco(tmp_path / "a.json", *squares, images=images)
    if listed:
        videos = [{"id": v, "name": video} for v, video in enumerate(("cat", "dog"))]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"videos": videos}))
    labels = read_labels(path, VIDEO)
    assert list(labels.masks) == [3]
    assert np.array_equal(shown(labels, 3), filled(20, 15, 40, 30))


RUNS = encode_rle(filled(0, 0, 5, 5))
OTHERS: dict[str, tuple[str, str, str]] = {
    "another kind": ("a.json", json.dumps({"size": {"height": 60}, "tags": [{"name": "a"}]}), "size, tags"),
    "several videos": (
        "a.json",
        json.dumps(
            [{"video_id": v, "category_id": 1, "score": 1.0, "segmentations": [RUNS]} for v in (1, 2)]
        ),
        "2 videos",
    ),
    "Pascal VOC": ("a.xml", "<annotation><object><name>car</name></object></annotation>", "CVAT"),
    "poses of YOLO": (
        "labels/frame_000000.txt",
        "0 0.5 0.5 0.2 0.2" + " 0.5 0.5 2" * 17,
        "pose",
    ),
}


@pytest.mark.parametrize(("name", "text", "named"), OTHERS.values(), ids=OTHERS.keys())
def test_a_file_without_areas_of_this_video_is_named_by_what_it_has(
    tmp_path: Path, name: str, text: str, named: str
) -> None:
    with pytest.raises(SegueError, match=named):
        read_labels(yolo(tmp_path, {name: text}), VIDEO)


def test_a_folder_for_each_image_is_read_as_its_objects(tmp_path: Path) -> None:
    for image, objects in (("frame_000003", "12"), ("frame_000004", "2")):
        (tmp_path / image).mkdir()
        for one in objects:
            mask = filled(20 * int(one), 0, 20 * int(one) + 5, 5).astype(np.uint8) * 255
            Image.fromarray(mask).save(tmp_path / image / f"{one}.png")
    labels = read_labels(tmp_path, VIDEO)
    assert labels.names == {1: "1", 2: "2"}
    assert {frame: list(masks) for frame, masks in labels.masks.items()} == {3: [1, 2], 4: [2]}
    assert np.array_equal(labels.mask(4) == 2, filled(40, 0, 45, 5))


def test_void_of_masks_is_no_object_and_is_told_once_for_all_files(tmp_path: Path) -> None:
    mask = filled(0, 0, 20, 20).astype(np.uint8)
    mask[30:32] = 255
    (tmp_path / "masks").mkdir()
    for i in range(3):
        write_index_mask(tmp_path / f"masks/{i:05d}.png", mask)
    labels = read_labels(tmp_path / "masks", VIDEO)
    assert set(labels.names) == {1}
    assert skipped_text(labels) == "3 areas of void"
    assert np.array_equal(shown(labels, 0), filled(0, 0, 20, 20))


@pytest.mark.parametrize("place", ["a.tif", "folder", "a.zip"])
def test_a_stack_of_masks_has_a_page_for_each_frame(tmp_path: Path, place: str) -> None:
    masks = [filled(4 * frame, 0, 4 * frame + 20, 20).astype(np.int32) * 3 for frame in range(10)]
    first, *others = map(Image.fromarray, masks)
    file = tmp_path / ("folder/a.tif" if place == "folder" else "a.tif")
    file.parent.mkdir(exist_ok=True)
    first.save(file, save_all=True, append_images=others)
    if place == "a.zip":
        with zipfile.ZipFile(tmp_path / place, "w") as archive:
            archive.write(file, "masks/a.tif")
    labels = read_labels(tmp_path / place, VIDEO)
    assert labels.ids == {3: 3}
    for frame, mask in enumerate(masks):
        assert np.array_equal(labels.mask(frame), mask)
    first.save(file, save_all=True, append_images=others[:4])
    if place != "a.zip":
        with pytest.raises(SegueError, match=r"5 pages.*10 frames"):
            read_labels(tmp_path / place, VIDEO)


def coloured(mask: np.ndarray, colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    image = np.zeros((*SIZE, 3), np.uint8)
    for value, colour in colours.items():
        image[mask == value] = colour
    return Image.fromarray(image)


def save_cvat_masks(folder: Path, objects: list[dict[int, tuple[int, int]]], of_objects: bool = True) -> Path:
    """Segmentation mask 1.1 of CVAT: each object of a frame by its number, with its left side and class."""
    classes = {1: (255, 0, 204), 2: (0, 255, 133)}
    listed = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:255,0,204::\nwall:0,255,133::\n"
    folder.mkdir()
    (folder / "labelmap.txt").write_text(listed)
    for frame, shown in enumerate(objects):
        by_object, by_class = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        for number, (left, kind) in shown.items():
            by_object[5:15, left : left + 10], by_class[5:15, left : left + 10] = number, kind
        numbered = {number: DAVIS_PALETTE[number] for number in shown}
        images = {"SegmentationClass": coloured(by_class, classes)}
        images |= {"SegmentationObject": coloured(by_object, numbered)} if of_objects else {}
        for name, image in images.items():
            (folder / name).mkdir(exist_ok=True)
            image.save(folder / name / f"{FRAMES[frame]}.png")
    return folder


@pytest.mark.parametrize("of_objects", [True, False])
def test_classes_of_masks_of_cvat_are_those_of_the_label_map(tmp_path: Path, of_objects: bool) -> None:
    folder = save_cvat_masks(tmp_path / "a", [{1: (0, 1), 2: (40, 2)}, {1: (10, 1), 2: (50, 2)}], of_objects)
    labels = read_labels(folder, VIDEO)
    assert sorted(labels.class_of.values()) == ["cell", "wall"]
    assert set(labels.names.values()) == {"cell", "wall"}
    cell = next(number for number, name in labels.class_of.items() if name == "cell")
    assert labels.colour_of[cell] == "#ff00cc"
    for frame in (0, 1):
        expected = filled(10 * frame, 5, 10 * frame + 10, 15)
        assert np.array_equal(labels.planes(frame)[cell], expected)


def test_numbers_that_count_the_objects_of_each_image_follow_the_classes(tmp_path: Path) -> None:
    """The cell leaves: the wall is the first object of the second image."""
    labels = read_labels(save_cvat_masks(tmp_path / "a", [{1: (0, 1), 2: (40, 2)}, {1: (40, 2)}]), VIDEO)
    wall = next(number for number, name in labels.class_of.items() if name == "wall")
    assert next(iter(labels.planes(0))) != wall
    for frame in (0, 1):
        assert np.array_equal(labels.planes(frame)[wall], filled(40, 5, 50, 15))


@pytest.mark.parametrize(
    ("form", "count"),
    [("coco", 2), ("cvat", 2), ("label-studio", 2), ("labelme", 1), ("via", 1), ("yolo", 1)],
)
def test_shapes_without_ids_on_two_images_are_one_object_or_two(
    tmp_path: Path, form: str, count: int
) -> None:
    square = [[20, 15], [40, 15], [40, 30], [20, 30]]
    names, path = FRAMES[:2], tmp_path / "a.json"
    if form == "coco":
        outline = [[x for point in square for x in point]]
        coco(path, *({"image_id": i, "segmentation": outline} for i in (1, 2)))
    elif form == "cvat":
        shape = "<box label='car' xtl='20' ytl='15' xbr='40' ybr='30'/>"
        images = (f"<image id='{i}' name='{name}.png'>{shape}</image>" for i, name in enumerate(names))
        path = cvat(tmp_path / "a.xml", "".join(images))
    elif form == "label-studio":
        tasks(path, *([region("rectanglelabels", BOX)] for _ in names))
    elif form == "labelme":
        path = tmp_path
        for name in names:
            one: dict[str, Any] = {
                "label": "car",
                "points": square,
                "shape_type": "polygon",
                "group_id": None,
                "flags": {},
            }
            head = {"imagePath": f"{name}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
            (path / f"{name}.json").write_text(json.dumps({"version": "5.5.0", "shapes": [one], **head}))
    elif form == "via":
        area = {"name": "rect", "x": 20, "y": 15, "width": 20, "height": 15}
        regions = [{"shape_attributes": area, "region_attributes": {"label": "car"}}]
        path.write_text(
            json.dumps({n: {"filename": f"{n}.png", "size": 1, "regions": regions} for n in names})
        )
    else:
        path = yolo(tmp_path, {f"{name}.txt": "0 0.375 0.375 0.25 0.25\n" for name in names})
    labels = read_labels(path, VIDEO)
    assert len(labels.names) == count
    assert sorted(labels.masks) == [0, 1]


POLYGON = [[20, 15], [40, 15], [40, 30]]


@pytest.mark.parametrize(
    ("content", "program"),
    [
        ({"version": "2.0", "item": {"name": "a.mp4"}, "annotations": [{"name": "ball"}]}, "V7 Darwin"),
        ({"imgHeight": 60, "imgWidth": 80, "objects": [{"label": "car", "polygon": POLYGON}]}, "Cityscapes"),
        (
            {
                "images": [{"id": 1, "file_name": "a.jpg"}],
                "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 7}]}],
                "categories": CAR,
            },
            "COCO panoptic",
        ),
        ({"info": {}, "categories": {}, "items": [{"id": "a"}]}, "Datumaro"),
        ([{"data_row": {"id": 1}, "projects": {}}], "Labelbox"),
        ([{"name": "a.jpg", "labels": []}], "BDD100K"),
        ([{"image": "a.jpg", "annotations": []}], "Create ML"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_json_of_other_programs_is_named(
    tmp_path: Path, content: object, program: str, encoding: str
) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(content), encoding)
    for place in (tmp_path, tmp_path / "a.json"):
        with pytest.raises(SegueError, match=f"is a file of .*{program}"):
            read_labels(place, VIDEO)


def test_files_in_utf_16_are_read_as_in_utf_8(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", {"bbox": [20, 15, 20, 15]})
    path.write_text(path.read_text(), "utf-16")
    assert np.array_equal(shown(read_labels(path, VIDEO), 0), filled(20, 15, 40, 30))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.json")
    assert np.array_equal(shown(read_labels(tmp_path / "a.zip", VIDEO), 0), filled(20, 15, 40, 30))
    box = "<track id='0' label='a'><box frame='0' xtl='20' ytl='15' xbr='40' ybr='30'/></track>"
    text = cvat(tmp_path / "a.xml", box).read_text()
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0" encoding="utf-16"?>{text}', "utf-16")
    assert np.array_equal(shown(read_labels(tmp_path / "a.xml", VIDEO), 0), filled(20, 15, 40, 30))


def test_regions_that_kitti_ignores_are_no_object(tmp_path: Path) -> None:
    values = 2001 * filled(20, 15, 40, 30).astype(np.uint16) + 10000 * filled(0, 0, 10, 10).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"{FRAMES[0]}.png")
    labels = read_labels(tmp_path, VIDEO)
    assert [*labels.names] == [2001]
    assert labels.skipped == {"areas of void": 1}
    (tmp_path / "other").mkdir()
    values[values == 2001] = 1
    Image.fromarray(values).save(tmp_path / "other" / f"{FRAMES[0]}.png")
    assert [*read_labels(tmp_path / "other", VIDEO).names] == [1, 10000]


def test_ids_that_are_texts_are_those_of_numbers(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", {"bbox": [20, 15, 20, 15], "image_id": "1", "category_id": "3"})
    assert read_labels(path, VIDEO).names == {1: "car"}
    path = coco(tmp_path / "b.json", {"bbox": [20, 15, 20, 15], "category_id": "van"})
    assert read_labels(path, VIDEO).names == {1: "van"}


def test_flags_of_cvat_may_be_words(tmp_path: Path) -> None:
    keys = KEY["box"].format(0, 0, 10, 30) + KEY["box"].format(3, 1, 10, 30)
    keys = keys.replace("='1'", "='True'").replace("outside='0'", "outside='False'")
    labels = read_labels(cvat(tmp_path / "a.xml", f"<track id='0' label='a'>{keys}</track>"), VIDEO)
    assert sorted(labels.masks) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "", "is empty"),
        ("a.xml", " \n", "is empty"),
        ("a.xml", "<annotation><object/></annotation>", "Pascal VOC"),
    ],
)
def test_files_that_hold_no_areas_say_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SegueError, match=message):
        read_labels(tmp_path / name, VIDEO)


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_for_each_frame_of_a_video_file_has_the_objects(tmp_path: Path, first: int) -> None:
    video = SimpleNamespace(**{**vars(VIDEO), "names": None})
    for frame in range(video.count):
        folder = tmp_path / "masks" / f"{frame + first:05d}"
        folder.mkdir(parents=True)
        for number in (1, 2):
            write_index_mask(folder / f"{number}.png", filled(frame, 5 * number, frame + 9, 5 * number + 4))
    labels = read_labels(tmp_path / "masks", video)
    assert [*labels.names.values()] == ["1", "2"]
    assert sorted(labels.masks) == [*range(video.count)]
    assert np.array_equal(shown(labels, 3), filled(3, 5, 12, 9) | filled(3, 10, 12, 14))


def test_folders_of_objects_stay_objects(tmp_path: Path) -> None:
    video = SimpleNamespace(**{**vars(VIDEO), "names": None})
    for number in range(video.count):
        (tmp_path / "masks" / f"{number:03d}").mkdir(parents=True)
        for frame in range(video.count):
            path = tmp_path / "masks" / f"{number:03d}" / f"{frame:05d}.png"
            write_index_mask(path, filled(number, 5, number + 9, 9))
    assert len(read_labels(tmp_path / "masks", video).names) == video.count


@pytest.mark.parametrize(("numbers", "said"), [((1, 2, 3), True), ((0, 1, 2), False), ((2, 3), False)])
def test_masks_of_a_part_that_are_numbered_from_one_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers: tuple[int, ...], said: bool
) -> None:
    video = SimpleNamespace(**{**vars(VIDEO), "names": None})
    for number in numbers:
        write_index_mask(tmp_path / f"matte_{number:04d}.png", filled(5, 5, 15, 9))
    assert sorted(read_labels(tmp_path, video).masks) == [*numbers]
    assert ("masks are numbered from 1" in capsys.readouterr().err) == said


@pytest.mark.parametrize("names", [None, tuple(f"in{i:06d}" for i in range(101, 111))])
def test_foreground_of_cdnet_is_read_on_its_frames(tmp_path: Path, names: tuple[str, ...] | None) -> None:
    # The records beside the masks name objects, but the files hold no ids: all was void.
    mask = filled(10, 10, 30, 30) * np.uint8(7)
    frame = Frame(0, 0.0, np.zeros((*SIZE, 3), np.uint8))
    with CdnetSink(tmp_path / "out", names=names) as sink:
        for index in (3, 4):
            sink.write(frame, Segmentation(index, 0.0, mask, (ObjectInfo(7), ObjectInfo(9))))
    video = SimpleNamespace(**{**vars(VIDEO), "names": names})
    labels = read_labels(tmp_path / "out", video)
    assert sorted(labels.masks) == [3, 4]
    assert (shown(labels, 4) == (mask > 0)).all()


def test_cutouts_of_a_run_are_read_by_their_opacity(tmp_path: Path) -> None:
    mask = filled(10, 10, 30, 30) * np.uint8(7)
    frame = Frame(0, 0.0, np.zeros((*SIZE, 3), np.uint8))
    with CutOutSink(tmp_path / "out") as sink:
        sink.write(frame, Segmentation(2, 0.0, mask, (ObjectInfo(7),)))
    assert (shown(read_labels(tmp_path / "out", VIDEO), 2) == (mask > 0)).all()

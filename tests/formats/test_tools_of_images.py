"""Files of labelme, X-AnyLabeling and VIA: shapes, objects through a video, damage."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.errors import SegueError
from segue.formats.labels import Labels
from segue.formats.reading import read_labels, skipped_text

SIZE = (60, 80)
FRAMES = tuple(f"frame_{i:06d}" for i in range(4))
VIDEO: Any = SimpleNamespace(size=SIZE, count=4, names=FRAMES, name="dog", fps=30.0, time=lambda i: i / 30)
BOX = [[1, 1], [5, 5]]
SQUARE = [[20, 10], [40, 10], [40, 30], [20, 30]]


def filled(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(x: float, y: float, across: float, down: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.asarray(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1)


def shown(labels: Labels, frame: int) -> np.ndarray:
    return np.asarray(labels.mask(frame) > 0)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def shape(
    label: str = "dog", kind: str | None = "polygon", points: Any = SQUARE, **more: Any
) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def labelme(path: Path, *shapes: Any, **head: Any) -> Path:
    about = {"imagePath": "frame_000001.jpg", "imageData": None, "imageHeight": 60, "imageWidth": 80}
    path.write_text(json.dumps({"version": "5.5.0", "flags": {}, "shapes": [*shapes], **about, **head}))
    return path


@pytest.mark.parametrize(
    ("one", "mask"),
    [
        (shape(), filled(20, 10, 40, 30)),
        (shape(kind=None), filled(20, 10, 40, 30)),
        (shape(kind="rectangle", points=[[40, 30], [20, 10]]), filled(20, 10, 40, 30)),
        (shape(kind="rectangle"), filled(20, 10, 40, 30)),
        (shape(kind="rotation", direction=0.5), filled(20, 10, 40, 30)),
        (shape(kind="circle", points=[[40, 30], [40, 45]]), disc(40, 30, 15, 15)),
        (
            shape(kind="mask", points=[[30.4, 20.9], [37, 24]], mask=png(np.eye(5, 8))),
            np.pad(np.eye(5, 8), ((20, 35), (30, 42))) > 0,
        ),
    ],
)
def test_shapes_of_labelme_are_areas(tmp_path: Path, one: dict[str, Any], mask: np.ndarray) -> None:
    labels = read_labels(labelme(tmp_path / "a.json", one), VIDEO)
    assert [*labels.masks] == [1]
    assert labels.names == {1: "dog"}
    assert labels.class_of == {1: "dog"}
    found = shown(labels, 1)
    assert overlap(found, mask) > 0.98 if one["shape_type"] == "circle" else np.array_equal(found, mask)


def test_lines_and_points_of_labelme_are_counted(tmp_path: Path) -> None:
    others = [shape(kind=kind, points=[[1, 1], [2, 2]]) for kind in ("line", "point", "linestrip", "cuboid")]
    labels = read_labels(labelme(tmp_path / "a.json", shape(), *others), VIDEO)
    assert skipped_text(labels) == "2 lines, 1 points, 1 shapes of type cuboid"
    assert labels.names == {1: "dog"}


@pytest.mark.parametrize("packed", [True, False])
def test_the_files_of_a_folder_of_labelme_are_one_video(tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    right = [[x + 30, y] for x, y in SQUARE]
    for i, name in enumerate(FRAMES[:3]):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{name}.png")  # images, not masks
        shapes = [shape(group_id=7, points=right), shape("cat")] if i < 2 else []
        # Paths are names alone: nothing is opened there.
        place = ("..\\images\\{}.png", "/etc/{}.png", "../../{}.png")[i].format(name)
        labelme(folder / f"{name}.json", *shapes[:: 1 - 2 * i], imagePath=place)
    path = folder
    if packed:
        path = tmp_path / "images.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)
    labels = read_labels(path, VIDEO)
    assert labels.names == {1: "dog", 2: "cat"}
    assert labels.ids == {1: 7}
    assert {frame: sorted(masks) for frame, masks in labels.masks.items()} == {0: [1, 2], 1: [1, 2], 2: []}
    assert np.array_equal(labels.planes(1)[1], filled(50, 10, 70, 30))


def test_shapes_of_one_group_are_one_object_and_others_are_counted_by_label(tmp_path: Path) -> None:
    low = [[x, y + 25] for x, y in SQUARE]
    shapes = [shape(group_id=1), shape(group_id=1, points=low), shape("cat", group_id=1), shape(), shape()]
    labels = read_labels(labelme(tmp_path / "a.json", *shapes), VIDEO)
    assert [*labels.names.values()] == ["dog", "cat", "dog", "dog"]
    assert np.array_equal(labels.planes(1)[1], filled(20, 10, 40, 30) | filled(20, 35, 40, 55))


def test_fields_of_x_anylabeling_are_kept(tmp_path: Path) -> None:
    one = shape(score=0.5, difficult=True, description="far", attributes={"pose": "sits"}, kie_linking=[])
    labels = read_labels(labelme(tmp_path / "a.json", one, checked=True), VIDEO)
    assert labels.attributes == {1: {"pose": "sits", "description": "far", "difficult": "true"}}
    assert labels.score(1, 1) == 0.5


BOMB = png(np.zeros((2000, 2000)))


@pytest.mark.parametrize(
    ("head", "one", "words"),
    [
        ({}, shape(points=[[1, "2"], [3, 4], [5, 6]]), r"shapes\[0\]\.points"),
        ({}, shape(points=[[1e9, 1], [3, 4], [5, 6]]), r"shapes\[0\]: .*far outside"),
        ({}, shape(kind="circle"), r"shapes\[0\]: .*4 points, not 2"),
        ({}, shape(kind="mask", points=BOX, mask="no base64"), r"shapes\[0\]: mask: is no base64"),
        ({}, shape(kind="mask", points=BOX, mask=png(np.eye(5))[:60]), r"shapes\[0\]: mask: "),
        (
            {},
            shape(kind="mask", points=BOX, mask=BOMB),
            r"shapes\[0\]: mask: .*2000x2000 are refused",
        ),
        (
            {},
            shape(kind="mask", points=[[78, 1], [5, 5]], mask=png(np.eye(5))),
            r"shapes.*outside",
        ),
        ({}, shape(kind="mask", points=[], mask=png(np.eye(5))), r"shapes\[0\]: .*0 points, not 2"),
        ({}, {"points": SQUARE}, r"shapes\[0\]\.label"),
        ({}, 5, r"shapes\[0\]"),
        ({"imageHeight": 10**9, "imageWidth": 10**9}, shape(), "imageHeight, imageWidth: .*beyond"),
        ({"imageHeight": "60"}, shape(), "imageHeight: "),
        ({"imageHeight": 200, "imageWidth": 60}, shape(), "imageHeight, imageWidth: .*60x200"),
        ({"imagePath": None}, shape(), "imagePath: "),
        ({"imagePath": "dog_77.png"}, shape(), "dog_77.png names no frame"),
        ({"shapes": {"label": "dog"}}, shape(), "shapes is no list"),
    ],
)
def test_a_damaged_file_of_labelme_is_one_line_with_its_field(
    tmp_path: Path, head: dict[str, Any], one: Any, words: str
) -> None:
    with pytest.raises(SegueError, match=rf"^\S+a\.json: {words}"):
        read_labels(labelme(tmp_path / "a.json", one, **head), VIDEO)


def test_two_files_of_labelme_of_one_image_are_refused(tmp_path: Path) -> None:
    labelme(tmp_path / "a.json", shape())
    assert [*read_labels(tmp_path, VIDEO).masks] == [1]
    labelme(tmp_path / "b.json", shape())
    with pytest.raises(SegueError):
        read_labels(tmp_path, VIDEO)


def test_a_file_of_coco_among_those_of_labelme_is_not_left_out(tmp_path: Path) -> None:
    labelme(tmp_path / "a.json", shape())
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "frame_000001.png")
    assert [*read_labels(tmp_path, VIDEO).masks] == [1]
    (tmp_path / "instances.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(SegueError):
        read_labels(tmp_path, VIDEO)


def via_2(path: Path, *regions: Any, form: str = "project", **about: Any) -> Path:
    image = {"filename": "frame_000002.jpg", "size": 99, "regions": [*regions], "file_attributes": {}} | about
    if form == "old":
        image["regions"] = {str(i): one for i, one in enumerate(regions)}
    images = {f"{image['filename']}99": image}
    project = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}}
    path.write_text(json.dumps(project if form == "project" else images))
    return path


def region(name: str, about: dict[str, Any] | None = None, **numbers: Any) -> dict[str, Any]:
    return {"shape_attributes": {"name": name, **numbers}, "region_attributes": about or {}}


CORNERS = {"all_points_x": [20, 40, 40, 20], "all_points_y": [10, 10, 30, 30]}
CLOSED = {key: [*values, values[0]] for key, values in CORNERS.items()}


@pytest.mark.parametrize("form", ["project", "annotations", "old"])
def test_shapes_of_via_2_are_areas(tmp_path: Path, form: str) -> None:
    regions = [
        region("polygon", {"name": "dog"}, **CORNERS),
        region("polyline", {"name": "cat"}, **CLOSED),
        region("rect", {"name": "box"}, x=20, y=10, width=20, height=20),
        region("circle", {"name": "ball"}, cx=40, cy=30, r=15),
        region("ellipse", {"name": "egg"}, cx=40, cy=30, rx=20, ry=10, theta=np.pi / 2),
        region("polyline", {"name": "way"}, **CORNERS),
        region("point", {"name": "nose"}, cx=1, cy=1),
    ]
    labels = read_labels(via_2(tmp_path / "a.json", *regions, form=form), VIDEO)
    assert [*labels.masks] == [2]
    assert [*labels.names.values()] == ["dog", "cat", "box", "ball", "egg"]
    planes = labels.planes(2)
    assert all(np.array_equal(planes[i], filled(20, 10, 40, 30)) for i in (1, 2, 3))
    assert overlap(planes[4], disc(40, 30, 15, 15)) > 0.98
    assert overlap(planes[5], disc(40, 30, 10, 20)) > 0.98
    assert skipped_text(labels) == "1 lines, 1 points"


def test_attributes_of_via_name_class_and_object(tmp_path: Path) -> None:
    about = [{"colour": "red", "type": "car", "track": str(i)} for i in (4, 5, 4)]
    images = {
        f"frame_00000{i}.jpg": {
            "filename": f"frame_00000{i}.jpg",
            "regions": [region("polygon", one, **CORNERS) for one in (about[:2], about[2:])[i]],
        }
        for i in (0, 1)
    }
    (tmp_path / "a.json").write_text(json.dumps(images))
    labels = read_labels(tmp_path / "a.json", VIDEO)
    assert labels.class_of == {4: "car", 5: "car"}
    assert labels.attributes[5]["colour"] == "red"
    assert {frame: [*masks] for frame, masks in labels.masks.items()} == {0: [4, 5], 1: [4]}


def test_each_class_of_via_has_ids_of_its_own(tmp_path: Path) -> None:
    about: list[list[dict[str, Any]]] = [
        [{"class": "cat", "id": 1}, {"class": "dog", "id": 1}],
        [{"class": "dog", "id": 1}, {"class": "bird", "id": 2}],
        [{"id": 2}, {"class": "cat", "id": 1}],
    ]
    images = {
        name: {"filename": name, "regions": [region("polygon", one, **CORNERS) for one in each]}
        for name, each in zip(
            ("frame_000000.jpg", "frame_000001.jpg", "frame_000002.jpg"), about, strict=True
        )
    }
    (tmp_path / "a.json").write_text(json.dumps(images))
    labels = read_labels(tmp_path / "a.json", VIDEO)
    assert labels.class_of == {1: "cat", 2: "dog", 3: "bird"}
    assert {frame: {*masks} for frame, masks in labels.masks.items()} == {0: {1, 2}, 1: {2, 3}, 2: {1, 3}}


def via_3(path: Path, *metadata: Any, files: Any = (("frame_000001.jpg", 2),)) -> Path:
    project = {
        "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": ["1"]},
        "config": {},
        "attribute": {"1": {"aname": "name", "type": 4, "options": {"0": "dog", "1": "cat"}}},
        "file": {
            str(i): {"fid": str(i), "fname": name, "type": kind} for i, (name, kind) in enumerate(files, 1)
        },
        "metadata": {f"{i}_ab": {"vid": "1", "flg": 0, **one} for i, one in enumerate(metadata)},
        "view": {str(i): {"fid_list": [str(i)]} for i in range(1, len(files) + 1)},
    }
    path.write_text(json.dumps(project))
    return path


FLAT = [value for point in SQUARE for value in point]


def test_shapes_of_via_3_are_areas(tmp_path: Path) -> None:
    regions: list[dict[str, Any]] = [
        {"xy": [7, *FLAT], "av": {"1": "0"}},
        {"xy": [2, 20, 10, 20, 20], "av": {"1": "1"}},
        {"xy": [8, 20, 15, 30, 10, 40, 20, 25, 30], "av": {"1": "1"}},
        {"xy": [3, 40, 30, 15]},
        {"xy": [9, 40, 15, 55, 30, 25, 30]},
        {"xy": [4, 40, 30, 20, 10]},
        {"xy": [5, 1, 1, 2, 2]},
        {"xy": [], "av": {"1": "0"}},
    ]
    labels = read_labels(via_3(tmp_path / "a.json", *regions), VIDEO)
    assert [*labels.names.values()] == ["dog", "cat", "cat", "Object 4", "Object 5", "Object 6"]
    planes = labels.planes(1)
    assert all(np.array_equal(planes[i], filled(20, 10, 40, 30)) for i in (1, 2, 3))
    assert all(overlap(planes[i], disc(40, 30, 15, 15)) > 0.98 for i in (4, 5))
    assert overlap(planes[6], disc(40, 30, 20, 10)) > 0.98
    assert skipped_text(labels) == "1 tags, 1 lines"


def video_at(times: list[float]) -> Any:
    """A video with frames at these times."""
    rate = (len(times) - 1) / times[-1]
    return SimpleNamespace(
        size=SIZE, count=len(times), names=None, name="dog", fps=rate, time=times.__getitem__
    )


def test_times_of_via_3_are_exact_where_the_rate_varies(tmp_path: Path) -> None:
    video = video_at([0, 0.1, 0.2, 0.3, 1.3, 2.3, 2.333, 2.366, 2.4, 4.4])
    shown = {0.0: 0, 0.133: 1, 0.2: 2, 1.2995: 4, 1.25: 3, 2.35: 6, 4.0: 8, 4.5: 9}
    for time, frame in shown.items():
        path = via_3(tmp_path / "a.json", {"z": [time], "xy": [7, *FLAT]}, files=(("dog.mp4", 4),))
        assert [*read_labels(path, video).masks] == [frame], time


def test_times_of_via_3_are_frames_of_this_video(tmp_path: Path) -> None:
    video = video_at([i / 24 for i in range(100)])
    regions = [{"z": [z], "xy": [7, *FLAT], "av": {"1": "0"}} for z in (0.042, 0.917, 0.95)]
    other = {"vid": "2", "z": [1.0], "xy": [7, *FLAT], "av": {}}
    span = {"z": [0.5, 1.5], "xy": [], "av": {"1": "1"}}
    files = (("dog.mp4", 4), ("cat.mp4", 4))
    labels = read_labels(via_3(tmp_path / "a.json", *regions[:2], other, span, files=files), video)
    # 1/24 s and 22/24 s, to the millisecond.
    assert [*labels.masks] == [1, 22]
    assert labels.names == {1: "dog"}
    assert skipped_text(labels) == "1 spans of time"
    with pytest.raises(SegueError):
        read_labels(via_3(tmp_path / "a.json", {"z": [9.0], "xy": [7, *FLAT]}, files=files[:1]), video)


REGION, METADATA = r"frame_000002\.jpg99\.regions\[0\]", r"metadata\.0_ab"


@pytest.mark.parametrize(
    ("tool", "one", "field"),
    [
        (via_2, region("polygon", all_points_x=[1, 2], all_points_y=[1]), f"{REGION}: .*2 all_points_x"),
        (via_2, region("rect", x=1, y=2, width=3), rf"{REGION}\.shape_attributes: a rect lacks"),
        (via_2, region("rect", x=1, y=2, width=3, height="4"), rf"{REGION}\.shape_attributes: a rect lacks"),
        (via_2, region("circle", cx=1e8, cy=1, r=1), f"{REGION}: .*far outside"),
        (via_2, {"region_attributes": {}}, rf"{REGION}\.shape_attributes"),
        (via_2, 3, REGION),
        (via_3, {"xy": [77, 1, 1]}, rf"{METADATA}\.xy: 77"),
        (via_3, {"xy": [2, 1, 1]}, f"{METADATA}: a rect has 2 numbers, not 4"),
        (via_3, {"xy": [2, 1, 1, None, 3]}, rf"{METADATA}\.xy"),
        (via_3, {"xy": [9, 1, 1, 2, 2, 3, 3]}, f"{METADATA}: .*on a line"),
        (via_3, {"vid": "9", "xy": [7, *FLAT]}, rf"{METADATA}\.vid: 9"),
    ],
)
def test_a_damaged_file_of_via_is_one_line_with_its_field(
    tmp_path: Path, tool: Callable[..., Path], one: Any, field: str
) -> None:
    with pytest.raises(SegueError, match=rf"^\S+a\.json: {field}"):
        read_labels(tool(tmp_path / "a.json", one), VIDEO)


ODD: list[Any] = [
    None,
    True,
    "",
    "x",
    -1,
    0,
    1e9,
    10**400,
    [],
    [[]],
    [None],
    {},
    {"0": []},
    "\ud800",
    [1, 2, 3],
]
"""Values that stand nowhere in these files."""


def places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to every value in a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*where, key)
        yield from places(part, (*where, key))


def test_any_odd_value_anywhere_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    stored = shape(kind="mask", points=BOX, mask=png(np.eye(5)))
    shapes = [shape(group_id=1), stored, shape(kind="circle", points=BOX)]
    regions = [region("polygon", {"id": "1"}, **CORNERS), region("ellipse", cx=9, cy=9, rx=3, ry=3, theta=1)]
    files = (("frame_000001.jpg", 2), ("dog.mp4", 4))
    metadata = [{"xy": [7, *FLAT], "av": {"1": "0"}}, {"vid": "2", "z": [0.04], "xy": [9, 1, 1, 9, 1, 5, 5]}]
    path = tmp_path / "a.json"
    written = [labelme(path, *shapes).read_text(), via_2(path, *regions).read_text()]
    written.append(via_3(path, *metadata, files=files).read_text())
    refused = taken = 0
    for text in written:
        for *way, last in places(json.loads(text)):
            for odd in (*ODD, KeyError):
                value = json.loads(text)
                part = reduce(lambda one, key: one[key], way, value)
                if odd is KeyError:
                    del part[last]
                else:
                    part[last] = odd
                path.write_text(json.dumps(value))
                try:
                    labels = read_labels(path, VIDEO)
                    assert all(0 <= frame < VIDEO.count for frame in labels.masks)
                    taken += 1
                except SegueError as error:
                    line = str(error)
                    assert line.startswith(f"{path}: ")
                    assert "\n" not in line
                    assert "it is damaged, or of another format" not in line, (way, last, odd)
                    refused += 1
    assert refused > 500
    assert taken > 500

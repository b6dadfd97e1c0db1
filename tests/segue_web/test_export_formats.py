"""Exports for training and scoring are read back: by public readers where they are installed."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from segue.errors import SegueError
from segue.formats.reading import read_labels
from segue.formats.schema import schema_of
from segue.masks import Edge, opacity
from segue.masks.edges import detailed_edge
from segue.masks.outlines import parts_of, single_outline
from segue_web.annotate import AnnotateBackend
from segue_web.exports import Snapshot, export_formats, export_job, snapshot, steps
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.importing import additions, effects, store
from segue_web.project.project import Project
from segue_web.video import Video
from tests.needs import needs
from tests.segue_web.videos import numbered, write_video
from tests.sinks.test_exr import read as read_exr

FORMATS = export_formats()
COUNT, SIZE = 6, (48, 64)
FRAMES = (1, 2, 4)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return Video(write_video(tmp_path_factory.mktemp("video") / "video.mp4", numbered(COUNT)))


def planes(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A ring that moves, and a thing in two parts."""
    ring, parts = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    cv2.circle(ring, (14 + 4 * index, 18), 9, 1, -1)
    cv2.circle(ring, (14 + 4 * index, 18), 4, 0, -1)
    parts[32:44, 8:20] = parts[30:36, 40:60] = 1
    return ring > 0, parts > 0


@pytest.fixture(scope="module")
def project(video: Video, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("p") / "p", video.describe(), video.size)
    with project.change("draw"):
        ids = [project.add_object(name) for name in ("person", "<box> & co")]
        for index in FRAMES:
            marked = [(plane, FrameAnnotation("given")) for plane in planes(index)]
            project.put(index, dict(zip(ids, marked, strict=True)))
    return project


def exported(video: Video, taken: Snapshot, form: str, folder: Path) -> Path:
    target = folder / f"video-{form}{FORMATS[form].suffix}"
    job = export_job(SimpleNamespace(video=video), taken, form, target)
    assert len(list(job)) == steps(taken, form)
    return target


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_only_the_frames_from_first_to_last_go_out(
    form: str, video: Video, project: Project, tmp_path: Path
) -> None:
    taken = snapshot(project, video, first=2, last=3)
    assert taken.frames == [2]
    assert list(taken.span) == [2, 3]
    path = exported(video, taken, form, tmp_path)
    images = sorted(p.name for p in path.rglob("*.jpg")) if path.is_dir() else []
    if images:
        assert images in (["00002.jpg"], ["000001.jpg"])
    if form == "overlay":
        assert Video(path).count == 2
    with pytest.raises(SegueError, match="from 5"):
        snapshot(project, video, first=5)


def test_coco_with_images_beside_it(video: Video, project: Project, tmp_path: Path) -> None:
    folder = exported(video, snapshot(project, video), "coco_images", tmp_path)

    read = COCO(str(folder / "annotations" / "instances_default.json"))
    assert set(read.dataset) == {"info", "licenses", "images", "annotations", "categories", "objects"}
    assert read.dataset["info"]["description"]
    names = [image["file_name"] for image in read.loadImgs(read.getImgIds())]
    assert names == [f"{index:05d}.jpg" for index in FRAMES]
    assert sorted(path.name for path in (folder / "images" / "default").iterdir()) == names


def test_yolo(video: Video, project: Project, tmp_path: Path) -> None:
    folder = exported(video, snapshot(project, video), "yolo", tmp_path)

    about = yaml.safe_load((folder / "data.yaml").read_text())
    assert "path" not in about, "ultralytics would take it from the working directory"
    assert all((folder / about[part]).is_dir() for part in ("train", "val"))
    names = about["names"]
    assert names == {0: "person", 1: "<box> & co"}
    for index in FRAMES:
        assert (folder / "images" / "train" / f"{index:05d}.jpg").is_file()
        lines = (folder / "labels" / "train" / f"{index:05d}.txt").read_text().splitlines()
        for line, plane in zip(lines, planes(index), strict=True):
            kind, *numbers = line.split()
            corners = np.array(numbers, np.float64).reshape(-1, 2) * SIZE[::-1]
            assert 0 < float(max(numbers)) <= 1
            found = cv2.fillPoly(np.zeros(SIZE, np.uint8), [corners.astype(np.int32)], 1) > 0
            assert overlap(found, plane) > (0.97 if kind == "0" else 0.9), "parts are joined by a line"


def test_ultralytics_reads_its_labels(video: Video, project: Project, tmp_path: Path) -> None:
    utils = pytest.importorskip("ultralytics.data.utils", reason="ultralytics is not installed")
    folder = exported(video, snapshot(project, video), "yolo", tmp_path)
    given = (
        str(folder / kind / "train" / f"00001.{end}") for kind, end in (("images", "jpg"), ("labels", "txt"))
    )
    _, labels, shape, segments, _, _, _, _, corrupt, message = utils.verify_image_label(
        (*given, "", False, 2, 0, 0, False)
    )
    assert (shape, corrupt, message) == (SIZE, 0, "")
    assert labels[:, 0].tolist() == [0, 1]
    corners = [segment * SIZE[::-1] for segment in segments]
    found = utils.polygons2masks(SIZE, [corner.reshape(-1) for corner in corners], 1)
    for mask, plane in zip(found, planes(1), strict=True):
        assert overlap(mask > 0, plane) > 0.9


def test_outlines_hold_what_is_thin_empty_or_full() -> None:
    assert parts_of(np.zeros((5, 5), np.bool_)) == []
    assert single_outline(np.zeros((5, 5), np.bool_)).shape == (0, 2)
    full = single_outline(np.ones((5, 7), np.bool_))
    assert cv2.fillPoly(np.zeros((5, 7), np.uint8), [full], 1).all()
    noise = np.random.default_rng(0).random((40, 40)) > 0.4
    found = cv2.fillPoly(np.zeros((40, 40), np.uint8), [single_outline(noise)], 1) > 0
    assert found[noise].all()


def test_soft_edges_are_between_inside_and_outside(video: Video, project: Project, tmp_path: Path) -> None:
    needs("pymatting")
    folder = exported(video, snapshot(project, video, first=1, last=1, soft=True), "png", tmp_path)
    alpha = cv2.imread(str(folder / "00001.png"), cv2.IMREAD_UNCHANGED)[..., 3]
    parts = planes(1)[1].astype(np.uint8)
    brush = np.ones((7, 7), np.uint8)
    assert (alpha[cv2.erode(parts, brush) > 0] == 255).all()
    outside = cv2.dilate(sum(planes(1)).astype(np.uint8), brush) == 0
    assert not alpha[outside].any()


def test_soft_edges_follow_the_image_not_the_mask() -> None:
    needs("pymatting")
    ramp = np.clip((np.arange(80) - 36) / 8, 0, 1)  # from ground to object within 8 pixels
    image = np.zeros((60, 80, 3), np.uint8)
    image[...] = np.round(30 + 200 * ramp)[None, :, None]
    mask = np.zeros((60, 80), np.bool_)
    mask[:, 40:] = True
    edge = detailed_edge(mask.shape)
    alpha = opacity(mask, edge, image)
    row = alpha[30]
    assert (np.diff(row) >= -0.02).all()
    assert ((row > 0.1) & (row < 0.9)).sum() >= 2
    assert row[:30].max() == 0
    assert row[50:].min() == 1
    assert not opacity(np.zeros((60, 80), np.bool_), edge, image).any()
    dot = np.zeros((60, 80), np.bool_)
    dot[30, 60] = True
    assert opacity(dot, edge, image).sum() == 1, "too thin to learn from: as it is"


@pytest.fixture(scope="module")
def soft(video: Video, project: Project) -> Snapshot:
    """A ring with a soft edge, and a thing without one."""
    taken = snapshot(project, video, first=1, last=2)
    return replace(taken, edges={1: Edge(grow=1, width=4)})


def alphas(index: int) -> tuple[np.ndarray, np.ndarray]:
    """The opacity of both, and of what comes of them one over the other."""
    ring, parts = planes(index)
    return opacity(ring, Edge(grow=1, width=4)), parts.astype(np.float32)


def over(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first + second - first * second


@pytest.mark.parametrize("premultiplied", [False, True])
def test_a_cut_out_of_16_bits_has_the_soft_edge(
    video: Video, soft: Snapshot, tmp_path: Path, premultiplied: bool
) -> None:
    taken = replace(soft, premultiplied=premultiplied)
    folder = exported(video, taken, "png16", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["00001.png", "00002.png"]
    image = cv2.imread(str(folder / "00002.png"), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]] / 65535
    alpha = over(*alphas(2))
    assert np.allclose(image[..., 3], alpha, atol=1 / 65535)
    colours = video.frame(2).image / 255 * (alpha > 0)[..., None]
    expected = colours * alpha[..., None] if premultiplied else colours
    assert np.allclose(image[..., :3], expected, atol=2 / 65535)


def test_a_matte_of_16_bits_is_the_opacity(video: Video, soft: Snapshot, tmp_path: Path) -> None:
    folder = exported(video, soft, "matte", tmp_path)
    image = cv2.imread(str(folder / "00001.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, np.round(65535 * over(*alphas(1))))


def test_openexr_has_a_layer_for_each_object_in_linear_light(
    video: Video, soft: Snapshot, tmp_path: Path
) -> None:
    needs("OpenEXR")
    folder = exported(video, replace(soft, premultiplied=True), "exr", tmp_path)
    path = folder / "00002.exr"
    light = np.where(
        (values := video.frame(2).image / 255) <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    ring, parts = alphas(2)
    for name, alpha in (("", over(ring, parts)), ("person", ring), ("_box____co", parts)):
        image = read_exr(path, name)
        assert np.allclose(image[..., 3], alpha, atol=1e-3), name
        assert np.allclose(image[..., :3], light * alpha[..., None], atol=1e-3), name


def test_openexr_is_premultiplied_unless_it_is_said(video: Video, soft: Snapshot, tmp_path: Path) -> None:
    needs("OpenEXR")
    light = np.where(
        (values := video.frame(2).image / 255) <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    alpha = over(*alphas(2))
    assert ((alpha > 0.1) & (alpha < 0.9)).any()
    for premultiplied, factor in ((None, alpha), (True, alpha), (False, alpha > 0)):
        place = tmp_path / str(premultiplied)
        place.mkdir()
        folder = exported(video, replace(soft, premultiplied=premultiplied), "exr", place)
        image = read_exr(folder / "00002.exr", "")
        assert np.allclose(image[..., :3], light * factor[..., None], atol=1e-3), premultiplied
    for form in ("png16", "png"):
        assert not FORMATS[form].premultiplied


def test_prores_has_the_soft_edge_and_the_frame_numbers(video: Video, soft: Snapshot, tmp_path: Path) -> None:
    target = exported(video, soft, "prores", tmp_path)
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["timecode"] == "00:00:00:01"
        first = next(container.decode(video=0)).reformat(format="rgba64le").to_ndarray()
    assert np.abs(first[..., 3] / 65535 - over(*alphas(1))).max() < 0.02


def test_each_object_is_exported_by_itself(video: Video, soft: Snapshot, tmp_path: Path) -> None:
    taken = replace(soft, each=True)
    target = tmp_path / "out"
    assert (
        steps(taken, "matte") == len([*export_job(SimpleNamespace(video=video), taken, "matte", target)]) == 4
    )
    assert sorted(path.name for path in target.iterdir()) == ["_box____co", "person"]
    for name, alpha in zip(("person", "_box____co"), alphas(1), strict=True):
        image = cv2.imread(str(target / name / "00001.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, np.round(65535 * alpha)), name


def test_attributes_and_groups_go_where_a_format_has_a_place(video: Video, tmp_path: Path) -> None:
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("draw"):
        ids = [project.add_object(name) for name in ("person", "car")]
        project.put(
            1, dict(zip(ids, [(plane, FrameAnnotation("given")) for plane in planes(1)], strict=True))
        )
        project.set_object(ids[0], group="left", attributes={"pose": "sits & <reads>"})
    taken = snapshot(project, video)
    project.close()
    own = {"group": "left", "pose": "sits & <reads>"}

    for form in ("coco", "ytvis"):
        read = json.loads(exported(video, taken, form, tmp_path).read_text())
        assert [item.get("attributes") for item in read["annotations"]] == [own, None]
    folder = exported(video, taken, "labelstudio", tmp_path)
    (task,) = json.loads((folder / "tasks.json").read_text())
    brush, *texts, other = task["annotations"][0]["result"]
    assert [(item["type"], item["id"]) for item in texts] == [("textarea", brush["id"])] * 2
    assert other["type"] == brush["type"] == "brushlabels"
    areas = ET.parse(folder / "labels.xml").getroot().findall("TextArea")
    assert {item["from_name"]: item["value"]["text"] for item in texts} == dict(
        zip([area.get("name") for area in areas], [["left"], ["sits & <reads>"]], strict=True)
    )
    assert {(area.get("toName"), area.get("perRegion")) for area in areas} == {("image", "true")}

    root = ET.parse(exported(video, taken, "cvat", tmp_path)).getroot()
    masks = [{item.get("name"): item.text for item in mask.iter("attribute")} for mask in root.iter("mask")]
    assert masks == [own, {}]
    assert [
        item.findtext("name") for item in root.findall(".//label[name='person']/attributes/attribute")
    ] == [*own]


@pytest.mark.parametrize("form", ["coco", "ytvis", "cvat"])
def test_attributes_and_groups_come_back(form: str, video: Video, tmp_path: Path) -> None:
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("draw"):
        ids = [project.add_object(name) for name in ("person", "car")]
        project.put(
            1, dict(zip(ids, [(plane, FrameAnnotation("given")) for plane in planes(1)], strict=True))
        )
        project.set_object(ids[0], group="left", attributes={"pose": "sits & <reads>", "empty": ""})
    path = exported(video, snapshot(project, video), form, tmp_path)
    project.close()
    backend = AnnotateBackend(video, tmp_path / "again")
    given = read_labels(path, video)
    backend.import_all(given, effects(backend.project, given))
    shown = [(row["name"], row["group"], row["attributes"]) for row in backend.project.objects()]
    backend.project.close()
    assert shown == [("person", "left", {"pose": "sits & <reads>", "empty": ""}), ("car", "", {})]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", [name for name, one in FORMATS.items() if one.group not in ("", "Videos")])
def test_exports_of_the_page_can_be_imported(
    form: str, packed: bool, video: Video, project: Project, tmp_path: Path
) -> None:
    path = exported(video, snapshot(project, video), form, tmp_path)
    if packed and path.is_file():
        pytest.skip("is one file")
    if packed:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", path.parent, path.name))
    labels = read_labels(path, video)
    assert sorted(index for index, masks in labels.masks.items() if masks) == list(FRAMES)
    for index in FRAMES:
        found = list(labels.planes(index).values())
        assert len(found) == 2
        for one, plane in zip(found, planes(index), strict=True):
            assert overlap(one, plane) > (0.9 if form == "yolo" else 0.999)
    if form != "davis":
        assert list(labels.names.values()) == ["person", "<box> & co"]


@pytest.mark.parametrize("form", ["coco", "coco_images", "ytvis", "cvat", "labelstudio"])
def test_name_class_colour_and_attributes_come_back(form: str, video: Video, tmp_path: Path) -> None:
    one = Project(tmp_path / "one", video.describe(), video.size)
    with one.change("draw"):
        number = one.add_object("Rex")
        about = {"category": "dog", "colour": "#12ab34", "group": "pets", "attributes": {"pose": "sits"}}
        one.set_object(number, **about)
        one.put(1, {number: (planes(1)[0], FrameAnnotation("given"))})
    path = exported(video, snapshot(one, video), form, tmp_path)
    labels = read_labels(path, video)
    (same,) = effects(one, labels)
    assert same.text == "1 unchanged"
    before = one.objects(), one.timeline()
    with one.change("import"):
        store(one, labels, [same])
    assert (one.objects(), one.timeline()) == before

    other = Project(tmp_path / "other", video.describe(), video.size)
    with other.change("import"):
        store(other, labels, effects(other, labels))
    (row,) = other.objects()
    assert {key: row[key] for key in about} == about
    # CVAT and Label Studio have no place for a name beside the class.
    assert row["name"] == ("dog" if form in ("cvat", "labelstudio") else "Rex")
    one.close()
    other.close()


def test_labelme_gets_the_parts_of_an_object_as_a_group(video: Video, tmp_path: Path) -> None:
    one = Project(tmp_path / "one", video.describe(), video.size)
    ring = np.zeros(SIZE, np.bool_)
    ring[5:25, 5:25] = ring[30:35, 5:25] = True
    ring[10:20, 10:20] = False
    with one.change("draw"):
        number = one.add_object("Rex")
        one.set_object(number, category="dog", group="pets", attributes={"pose": "sits"})
        one.put(1, {number: (ring, FrameAnnotation("given"))})
    folder = exported(video, snapshot(one, video), "labelme", tmp_path)
    one.close()
    image = json.loads((folder / "00001.json").read_text())
    assert (folder / image["imagePath"]).is_file()
    assert [(item["label"], item["group_id"]) for item in image["shapes"]] == [("dog", number)] * 2
    for path in (folder, folder / "00001.json"):
        labels = read_labels(path, video)
        assert labels.ids == {1: number}
        assert labels.class_of == {1: "dog"}
        assert labels.attributes == {1: {"group": "pets", "pose": "sits"}}
        assert np.array_equal(labels.planes(1)[1], ring), "its hole too"


def test_an_import_lists_the_attributes_that_it_changes(video: Video, tmp_path: Path) -> None:
    one = Project(tmp_path / "one", video.describe(), video.size)
    with one.change("draw"):
        number = one.add_object("Rex")
        one.set_object(number, attributes={"pose": "sits"})
        one.put(1, {number: (planes(1)[0], FrameAnnotation("given"))})
    labels = read_labels(exported(video, snapshot(one, video), "coco", tmp_path), video)
    with one.change("edit"):
        one.set_object(number, attributes={"pose": "runs"}, colour="#000001")
    (effect,) = effects(one, labels)
    assert effect.text == "sets pose; 1 unchanged"
    with one.change("import"):
        store(one, labels, [effect])
    assert one.objects()[0]["attributes"] == {"pose": "sits"}
    assert one.objects()[0]["colour"] == "#000001"
    one.close()


SCHEMA = {
    "classes": [
        {
            "name": "car",
            "colour": "#12ab34",
            "key": "c",
            "attributes": [
                {"name": "paint", "type": "choice", "values": ["red", "deep blue"]},
                {"name": "plate"},
                {"name": "door", "type": "choice", "of": "frame", "values": ["open", "shut"]},
            ],
        },
        {"name": "bus", "colour": "#0000ff", "attributes": [{"name": "school", "type": "check"}]},
    ],
    "attributes": [{"name": "occluded", "type": "check", "of": "frame"}],
}


@pytest.fixture
def traffic(video: Video, tmp_path: Path) -> Iterator[Project]:
    """A project with a schema: a car that is occluded on frame 2 alone and whose door opens on frame 4."""
    project = Project(tmp_path / "traffic", video.describe(), video.size)
    with project.change("draw"):
        project.set_schema(schema_of(SCHEMA))
        ids = [project.add_object(name) for name in ("one", "two")]
        for index in FRAMES:
            marked = [(plane, FrameAnnotation("given")) for plane in planes(index)]
            project.put(index, dict(zip(ids, marked, strict=True)))
        project.set_object(1, category="car", attributes={"paint": "deep blue", "note": "free"})
        project.set_object(2, category="bus", attributes={"school": "true"})
        for frame, values in ((2, {"occluded": "true"}), (3, {"occluded": "false"}), (4, {"door": "open"})):
            project.set_frame_attributes(1, frame, values)
    yield project
    project.close()


def test_a_schema_goes_to_cvat(traffic: Project, video: Video, tmp_path: Path) -> None:
    root = ET.parse(exported(video, snapshot(traffic, video), "cvat", tmp_path)).getroot()
    labels = {label.findtext("name"): label for label in root.iter("label")}
    assert {name: label.findtext("color") for name, label in labels.items()} == {
        "car": "#12ab34",
        "bus": "#0000ff",
    }
    given = {
        item.findtext("name"): [item.findtext(key) for key in ("input_type", "mutable", "values")]
        for item in labels["car"].iter("attribute")
    }
    assert given == {
        "note": ["text", "False", ""],
        "occluded": ["checkbox", "True", "false"],
        "paint": ["select", "False", "\nred\ndeep blue"],
        "plate": ["text", "False", ""],
        "door": ["select", "True", "\nopen\nshut"],
    }
    cars = [track.find("mask") for track in root.iter("track") if track.get("label") == "car"]
    assert [mask.get("occluded") for mask in cars if mask is not None] == ["0", "1", "0"]
    said = [
        {one.get("name"): one.text for one in mask.iter("attribute")} for mask in cars if mask is not None
    ]
    assert said[0] == {"paint": "deep blue", "note": "free"}
    assert said[1] == said[0] | {"occluded": "true"}
    assert said[2] == said[0] | {"occluded": "false", "door": "open"}


def test_a_schema_goes_to_label_studio(traffic: Project, video: Video, tmp_path: Path) -> None:
    folder = exported(video, snapshot(traffic, video), "labelstudio", tmp_path)
    config = ET.parse(folder / "labels.xml").getroot()
    assert [(one.get("value"), one.get("background"), one.get("hotkey")) for one in config.iter("Label")] == [
        ("car", "#12ab34", "c"),
        ("bus", "#0000ff", None),
    ]
    controls = {
        header.get("value"): part for part in config.findall("View") for header in part.iter("Header")
    }
    assert {name: part.get("whenLabelValue") for name, part in controls.items()} == {
        "paint": "car",
        "plate": "car",
        "door": "car",
        "school": "bus",
    }
    assert [one.get("value") for one in controls["paint"].iter("Choice")] == ["red", "deep blue"]
    tasks = json.loads((folder / "tasks.json").read_text())
    chosen = [
        [one["value"]["choices"] for one in task["annotations"][0]["result"] if one["type"] == "choices"]
        for task in tasks
    ]
    assert chosen == [
        [["deep blue"], ["school"]],
        [["occluded"], ["deep blue"], ["school"]],
        [["deep blue"], ["open"], ["school"]],
    ]


def test_a_schema_goes_to_coco(traffic: Project, video: Video, tmp_path: Path) -> None:
    read = json.loads(exported(video, snapshot(traffic, video), "coco", tmp_path).read_text())
    assert read["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    assert schema_of(read["label_schema"]) == schema_of(SCHEMA)
    about = [one["attributes"] for one in read["annotations"] if one["category_id"] == 1]
    own = {"paint": "deep blue", "note": "free"}
    assert about == [own, own | {"occluded": True}, own | {"occluded": False, "door": "open"}]
    assert {one["attributes"]["school"] for one in read["annotations"] if one["category_id"] == 2} == {True}


@pytest.mark.parametrize("form", ["coco", "coco_images", "cvat", "labelstudio"])
def test_a_schema_and_its_values_come_back(form: str, traffic: Project, video: Video, tmp_path: Path) -> None:
    labels = read_labels(exported(video, snapshot(traffic, video), form, tmp_path), video)
    again = effects(traffic, labels)
    assert [effect.text for effect in again] == ["3 unchanged"] * 2
    other = Project(tmp_path / "other", video.describe(), video.size)
    assert additions(other, labels)[:2] == ["car", "bus"]
    with other.change("import"):
        store(other, labels, effects(other, labels))
    schema, rows = other.schema, other.objects()
    known = traffic.objects()
    shown = [labels.attributes_at(index, 1) for index in FRAMES]
    other.undo()
    assert not other.schema
    other.close()

    assert schema.names == ("car", "bus")
    assert [one.colour for one in schema.classes] == ["#12ab34", "#0000ff"]
    for name in schema.names:
        wanted = set(schema_of(SCHEMA).attributes_of(name))
        assert wanted <= set(schema.attributes_of(name))
    if form != "cvat":
        assert schema.classes[0].key == "c"
    assert [row["category"] for row in rows] == ["car", "bus"]
    assert [row["attributes"] for row in rows] == [row["attributes"] for row in known]
    assert [one.get("occluded", "false") for one in shown] == ["false", "true", "false"]
    assert [one.get("door", "") for one in shown] == ["", "", "open"]


def test_occluded_becomes_a_frame_attribute(video: Video, tmp_path: Path) -> None:
    box = '<box frame="{}" outside="0" occluded="{}" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    tracks = [
        f'<track id="{number}" label="car">{"".join(map(box.format, range(3), occluded))}</track>'
        for number, occluded in enumerate(((0, 1, 0), (0, 0, 0)))
    ]
    path = tmp_path / "a.xml"
    path.write_text(f"<annotations>{''.join(tracks)}</annotations>")
    labels = read_labels(path, video)

    assert labels.frame_attributes[1] == {"occluded": {1: "true", 2: "false"}}
    assert labels.attributes_at(2, 2) == {}
    assert [one.name for one in labels.schema.attributes] == ["occluded"]

"""Exports are read back by programs that are not ours, or by the readers of data sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import av
import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from pycocotools.coco import COCO

from segue.datasets.davis import DavisFolder
from segue.datasets.ytvis import YTVISDataset
from segue.errors import SegueError
from segue.formats.files import MAX_BYTES, MAX_ENTRY
from segue.formats.labels import MAX_OBJECTS
from segue.formats.reading import read_labels
from segue.masks import Edge, encode_rle, write_index_mask
from segue.utils.files import PartialFile
from segue_web.annotate import AnnotateBackend
from segue_web.exports import Snapshot, export_formats, export_job, remove_unfinished, snapshot
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.importing import effects
from segue_web.project.project import Project
from segue_web.video import Video
from tests.formats.test_sound import film, heard, pitch, pitch_at
from tests.needs import needs
from tests.segue_web.videos import numbered, write_video

FORMATS = export_formats()
COUNT, SIZE = 5, (48, 64)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return Video(write_video(tmp_path_factory.mktemp("video") / "video.mp4", numbered(COUNT)))


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    masks = np.zeros((COUNT, *SIZE), np.uint8)
    for index in range(COUNT):
        cv2.circle(masks[index], (14 + 4 * index, 20), 9, 1, -1)
        cv2.circle(masks[index], (14 + 4 * index, 20), 3, 0, -1)  # a hole
        if index != 2:
            masks[index, 30:44, 40:52] = 2
    return masks


def lengths(mask: np.ndarray) -> dict[int, str]:
    return {int(i): encode_rle(mask == i)["counts"] for i in np.unique(mask) if i}


@pytest.fixture(scope="module")
def taken(masks: np.ndarray) -> Snapshot:
    return Snapshot(
        SIZE,
        {1: "ring", 2: "<box> & co"},
        dict(enumerate(map(lengths, masks))),
        {(0, 1): 0.75},
        span=range(COUNT),
        frames=range(COUNT),
        colours={"ring": "#ff0000", "<box> & co": "#00ff00"},
    )


def exported(video: Video, taken: Snapshot, form: str, folder: Path) -> Path:
    target = folder / f"video-{form}{FORMATS[form].suffix}"
    assert list(export_job(SimpleNamespace(video=video), taken, form, target)) == list(range(COUNT))
    assert [path.name for path in folder.iterdir()] == [target.name]
    return target


@pytest.fixture(scope="module")
def deep_video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """A film of 10 bits, lossless: a dark ramp of which 8 bits have 17 levels."""
    path = tmp_path_factory.mktemp("deep") / "deep.mkv"
    height, width = SIZE
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=width, height=height, pix_fmt="yuv420p10le")
        for _ in range(COUNT):
            frame = av.VideoFrame(width, height, "yuv420p10le")
            luma = np.broadcast_to(np.arange(width) + 100, (height, width)).astype("<u2")
            for plane, values in zip(
                frame.planes, (luma, np.full((height // 2, width // 2), 512, "<u2")), strict=False
            ):
                rows = np.frombuffer(plane, "<u2").reshape(values.shape[0], -1)
                rows = rows.copy()
                rows[:, : values.shape[1]] = values
                plane.update(rows)
            frame.planes[2].update(bytes(frame.planes[1]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Video(path)


@pytest.mark.parametrize("is_soft", [False, True])
@pytest.mark.parametrize("form", ["png16", "exr", "prores"])
def test_colours_of_deep_films_are_exported_with_their_bits(
    deep_video: Video, taken: Snapshot, form: str, is_soft: bool, tmp_path: Path
) -> None:
    assert deep_video.bits == deep_video.display()["bits"] == 10
    whole = replace(
        taken,
        names={1: "all"},
        masks={i: lengths(np.ones(SIZE, np.uint8)) for i in range(COUNT)},
        edges={1: Edge(width=2)} if is_soft else {},
    )
    path = exported(deep_video, whole, form, tmp_path)
    inner = slice(8, -8)
    if form == "png16":
        row = cv2.imread(str(next(path.iterdir())), cv2.IMREAD_UNCHANGED)[20, inner, 1] / 65535
    elif form == "exr":
        with needs("OpenEXR").File(str(next(path.iterdir())), separate_channels=True) as image:
            linear = image.channels()["G"].pixels[20, inner].astype(float)
        row = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    else:
        with av.open(str(path)) as container:
            row = next(container.decode(video=0)).to_ndarray(format="rgb48le")[20, inner, 1] / 65535
    expected = (np.arange(SIZE[1])[inner] + 100 - 64) / (940 - 64)
    assert len(np.unique(np.round(row * 1023))) > 0.8 * len(row), "no bands"
    assert np.abs(row - expected).max() < (0.01 if form == "prores" else 0.002)
    shown = deep_video.frame(0).image[20, inner, 1] / 255
    assert np.abs(row - shown).max() < 0.012, "as it is shown, but for the bits"


def test_a_film_of_8_bits_has_no_further_bits(video: Video) -> None:
    assert video.bits == 8
    assert video.frame(0).colours.dtype == np.uint8


def test_davis(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    folder = exported(video, taken, "davis", tmp_path)

    (sequence,) = DavisFolder(folder, "val")
    for index in range(COUNT):
        assert np.array_equal(sequence.read_mask(index), masks[index])
        assert abs(sequence.read_image(index).astype(int) - video.frame(index).image).mean() < 8


def test_coco(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    read = COCO(str(exported(video, taken, "coco", tmp_path)))

    for index, image in enumerate(sorted(read.getImgIds())):
        found = np.zeros(SIZE, np.uint8)
        for item in read.loadAnns(read.getAnnIds(image)):
            found[read.annToMask(item) > 0] = item["track_id"]
        assert np.array_equal(found, masks[index])
    assert {item["name"] for item in read.loadCats(read.getCatIds())} == {"ring", "<box> & co"}


def test_youtube_vis(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    read = YTVISDataset(exported(video, taken, "ytvis", tmp_path))

    video = read.video(1)
    for number, instance in enumerate(read.annotations(video), 1):
        for index in range(COUNT):
            assert np.array_equal(instance.masks.decode(index), masks[index] == number)
    assert [instance.masks.areas[2] for instance in read.annotations(video)][1] == 0


def test_cvat(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    root = ET.parse(exported(video, taken, "cvat", tmp_path)).getroot()

    assert root.findtext("version") == "1.1"
    assert [label.findtext("name") for label in root.iter("label")] == ["ring", "<box> & co"]
    found = np.zeros_like(masks)
    for track in root.iter("track"):
        (shape,) = track
        left, top, width, height = (int(shape.get(key)) for key in ("left", "top", "width", "height"))
        value, flat = False, []
        for run in shape.get("rle").split(", "):
            flat += [value] * int(run)
            value = not value
        part = found[int(shape.get("frame")), top : top + height, left : left + width]
        part[np.array(flat).reshape(height, width)] = int(track.get("group_id"))
        assert track.get("label") == taken.names[int(track.get("group_id"))]
    assert np.array_equal(found, masks)


def _read_brush(data: list[int]) -> np.ndarray:
    """The published reader of Label Studio's brush run lengths, in a few lines: values, RGBA."""
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def take(size: int) -> int:
        nonlocal place
        place += size
        return int(bits[place - size : place], 2)

    count, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        same, length = take(1), take(sizes[take(2)]) + 1
        values += [take(word)] * length if same else [take(word) for _ in range(length)]
    return np.array(values, np.uint8)


def test_label_studio(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    folder = exported(video, taken, "labelstudio", tmp_path)

    tasks = json.loads((folder / "tasks.json").read_text())
    numbers = [(task["id"], task["annotations"][0]["id"]) for task in tasks]
    assert numbers == [(n, n) for n in range(1, COUNT + 1)], "its converter asks for both"
    for index, task in enumerate(tasks):
        found = np.zeros(SIZE, np.uint8)
        for result in task["annotations"][0]["result"]:
            rgba = _read_brush(result["value"]["rle"]).reshape(*SIZE, 4)
            (name,) = result["value"]["brushlabels"]
            found[rgba[..., 3] > 0] = 1 if name == "ring" else 2
        assert np.array_equal(found, masks[index])
        assert (folder / "frames" / Path(task["data"]["image"]).name).exists()
    labels = ET.parse(folder / "labels.xml").getroot().iter("Label")
    assert [label.get("value") for label in labels] == ["ring", "<box> & co"]


def test_overlay(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    shown = Video(exported(video, taken, "overlay", tmp_path))

    assert (shown.count, shown.size) == (COUNT, SIZE)
    change = abs(shown.frame(3).image.astype(int) - video.frame(3).image).sum(axis=2)
    assert change[masks[3] > 0].mean() > 5 * change[:28][masks[3][:28] == 0].mean()


@pytest.mark.parametrize("form", ["overlay", "prores", "vp9"])
def test_exported_videos_have_the_sound_of_their_frames(form: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    video = Video(film(tmp_path / "loud.mp4"))
    mask = np.zeros(video.size, np.uint8)
    mask[10:30, 10:30] = 1
    span = range(22, 32)
    masks = {index: lengths(mask) for index in span}
    taken = Snapshot(video.size, {1: "ring"}, masks, span=span, frames=span, colours={"ring": "#ff0000"})
    target = tmp_path / "out" / f"part{FORMATS[form].suffix}"
    assert list(export_job(SimpleNamespace(video=video), taken, form, target)) == list(span)
    times, _ = heard(target)
    assert times[-1] - times[0] == pytest.approx(1, abs=0.1)
    assert pitch_at(target, times[0] + 0.05) == pytest.approx(pitch(2), abs=5)


@pytest.mark.parametrize(
    ("form", "codec", "pixels"), [("prores", "prores", "yuva444p"), ("vp9", "vp9", "yuva420p")]
)
def test_cut_outs_keep_their_transparency(
    video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path, form: str, codec: str, pixels: str
) -> None:
    path = exported(video, taken, form, tmp_path)

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name.startswith(codec)
        if form == "vp9":  # FFmpeg's own decoder passes the alpha layer by; libvpx reads it
            assert stream.metadata["alpha_mode"] == "1"
            context = av.CodecContext.create("libvpx-vp9", "r")
            frames = [frame for packet in container.demux(stream) for frame in context.decode(packet)]
        else:
            frames = list(container.decode(stream))
    assert len(frames) == COUNT
    for index, frame in enumerate(frames):
        assert frame.format.name.startswith(pixels)
        alpha = frame.to_ndarray(format="rgba")[..., 3]
        wrong = (alpha > 127) != (masks[index] > 0)
        assert wrong.mean() < 0.01


def test_image_sequence(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    folder = exported(video, taken, "png", tmp_path)

    for index in range(COUNT):
        image = cv2.imread(str(folder / f"{index:05d}.png"), cv2.IMREAD_UNCHANGED)
        inside = masks[index] > 0
        assert np.array_equal(image[..., 3], inside * np.uint8(255))
        assert np.array_equal(image[..., 2::-1][inside], video.frame(index).image[inside])


def test_unfinished_exports_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    target, other = tmp_path / "video-overlay.mp4", tmp_path / "video-davis"
    partial = PartialFile(target)
    for path in (partial.path, PartialFile(other).path, tmp_path / "video-coco.json"):
        path.touch()
    mine = tmp_path / "mine.partial"
    folder = PartialFile(other).path
    earlier = tmp_path / ".video-davis.segue.partial"  # as earlier versions called it
    for path in (folder, earlier, mine):
        path.mkdir()

    remove_unfinished(tmp_path, target)
    assert not partial.path.exists()
    assert folder.exists()
    assert earlier.exists()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.partial", "video-coco.json"]


def test_frames_of_which_nothing_is_known_stay_out_of_data_sets(video: Video, tmp_path: Path) -> None:
    project = Project(tmp_path / "p", video.describe(), video.size)
    plane = np.zeros(SIZE, np.bool_)
    plane[10:20, 10:20] = True
    with project.change("draw"):
        one, other = project.add_object("cat"), project.add_object("dog")
        project.put(1, {one: (plane, FrameAnnotation("given"))})
        project.put(
            2, {one: (np.zeros(SIZE, np.bool_), FrameAnnotation("given"))}
        )  # known to be out of sight
        project.put(4, {other: (plane, FrameAnnotation("given"))})
    taken = {
        "cat": snapshot(project, video, [one]),
        "both": snapshot(project, video),
        "all": snapshot(project, video, [one], all_frames=True),
    }
    expected = {"cat": [1, 2], "both": [1, 2, 4], "all": list(range(COUNT))}
    for name, frames in expected.items():
        for form in (form for form, written in FORMATS.items() if written.known_only):
            target = tmp_path / f"{name}-{form}{FORMATS[form].suffix}"
            job = export_job(SimpleNamespace(video=video), taken[name], form, target)
            assert list(job) == list(frames)
        masks = (tmp_path / f"{name}-davis" / "Annotations").rglob("*.png")
        images = (tmp_path / f"{name}-davis" / "JPEGImages").rglob("*.jpg")
        assert sorted(int(path.stem) for path in masks) == sorted(int(path.stem) for path in images) == frames
        coco = json.loads((tmp_path / f"{name}-coco.json").read_text())
        assert [image["file_name"] for image in coco["images"]] == [f"{i:05d}.jpg" for i in frames]
        assert {item["image_id"] for item in coco["annotations"]} == {i + 1 for i in frames} - {1, 3, 4} - (
            {5} if name == "all" else set()
        )
        tasks = json.loads((tmp_path / f"{name}-labelstudio" / "tasks.json").read_text())
        assert [task["data"]["frame"] for task in tasks] == frames
    with_masks = snapshot(project, video, only_with_masks=True)
    assert with_masks.span == range(with_masks.frames[0], with_masks.frames[-1] + 1)
    assert len(with_masks.span) < video.count == len(snapshot(project, video).span)
    with pytest.raises(SegueError):
        snapshot(project, video, [])
    project.close()


def test_an_export_that_fails_leaves_nothing(video: Video, taken: Snapshot, tmp_path: Path) -> None:
    class Gone(dict[int, dict[int, str]]):
        def get(self, index: int, default: object = None) -> dict[int, str]:  # type: ignore[override]
            if index == 3:
                raise SegueError("the mask of frame 3 is gone")
            return self[index]

    gone = replace(taken, masks=Gone(taken.masks))
    for form, entry in FORMATS.items():
        with pytest.raises(SegueError):
            list(export_job(SimpleNamespace(video=video), gone, form, tmp_path / f"video{entry.suffix}"))
        assert list(tmp_path.iterdir()) == [], form


@pytest.mark.parametrize("form", ["coco", "ytvis", "cvat", "davis"])
def test_an_export_comes_back_as_the_same_objects_or_as_new_ones(
    form: str, video: Video, tmp_path: Path
) -> None:
    """Two objects overlap: one corrected and tracked, one hidden on a frame and renamed."""
    backend = AnnotateBackend(Video(video.path), tmp_path / "p")
    project = backend.project
    one, two = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    one[5:30, 5:30], two[20:40, 20:45] = True, True
    with project.change("make"):
        first, second = project.add_object("ring"), project.add_object("box")
        project.put(0, {first: (one, FrameAnnotation("given")), second: (two, FrameAnnotation("given"))})
        project.put(
            1, {first: (one, FrameAnnotation("tracked", 0.8)), second: (two, FrameAnnotation("tracked", 0.6))}
        )
        project.put(2, {first: (one, FrameAnnotation("tracked", 0.8))})
        project.put(2, {second: (np.zeros(SIZE, np.bool_), FrameAnnotation("given"))})
        project.set_object(second, name="crate")
    before = {i: (project.masks(i), project.marks(i)) for i in range(video.count)}
    target = tmp_path / f"p-{form}{FORMATS[form].suffix}"
    list(export_job(SimpleNamespace(video=video), snapshot(project, video), form, target))
    path = target / "Annotations" / "Full-Resolution" / target.name if form == "davis" else target

    given = read_labels(path, video)
    own = {effect.name: (effect.target, effect.same) for effect in effects(project, given)}
    if form == "davis":  # masks name no objects, and one of these has another name than its number
        assert {name: target for name, (target, _) in own.items()} == {"Object 1": None, "Object 2": None}
    else:
        assert own == {"ring": (first, 3), "crate": (second, 2)}
        backend.import_all(given, effects(project, given))
        assert before == {i: (project.masks(i), project.marks(i)) for i in range(video.count)}
    backend.import_all(given, effects(project, given, {}))

    after = {i: (project.masks(i), project.marks(i)) for i in range(video.count)}
    kept = {
        i: [{k: v for k, v in part.items() if k <= second} for part in parts] for i, parts in after.items()
    }
    assert kept == {i: list(parts) for i, parts in before.items()}
    added = {row["name"]: row["id"] for row in project.objects() if row["id"] > second}
    assert list(added) == (["Object 1", "Object 2"] if form == "davis" else ["ring", "crate"])
    bottom, top = added.get("ring", second + 1), added.get("crate", second + 2)
    covered = one & ~two if form == "davis" else one  # index masks have room for one object at a pixel
    for index, shown in ((0, covered), (1, covered), (2, one)):
        assert np.array_equal(project.plane(index, bottom), shown)
        assert np.array_equal(project.plane(index, top), two if index < 2 else np.zeros_like(two))
    backend.close()


@pytest.mark.parametrize("form", ["coco", "ytvis", "cvat"])
def test_imported_objects_keep_their_order(form: str, video: Video, tmp_path: Path) -> None:
    """The second object is seen first, and lies on top."""
    backend = AnnotateBackend(Video(video.path), tmp_path / "p")
    project = backend.project
    plane = np.zeros(SIZE, np.bool_)
    plane[5:30, 5:30] = True
    with project.change("make"):
        first, second = project.add_object("below"), project.add_object("above")
        project.put(0, {second: (plane, FrameAnnotation("given"))})
        project.put(1, {first: (plane, FrameAnnotation("given")), second: (plane, FrameAnnotation("given"))})
    target = tmp_path / f"p{FORMATS[form].suffix}"
    list(export_job(SimpleNamespace(video=video), snapshot(project, video), form, target))
    given = read_labels(target, video)
    backend.import_all(given, effects(project, given, {}))
    assert [row["name"] for row in project.objects()] == ["below", "above"] * 2
    backend.close()


def test_a_zip_of_masks_comes_in(video: Video, taken: Snapshot, masks: np.ndarray, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        for index, mask in enumerate(masks):
            write_index_mask(tmp_path / "mask.png", mask)
            archive.write(tmp_path / "mask.png", f"masks/{index:05d}.png")

    labels = read_labels(tmp_path / "masks.zip", video)

    assert set(labels.names) == {1, 2}
    for index in labels.masks:
        assert np.array_equal(labels.mask(index), masks[index])


def stills(*numbers: int) -> Any:
    """What labels ask of a video whose images have numbers in their names."""
    names = tuple(f"in{number:06d}" for number in numbers)
    return SimpleNamespace(size=SIZE, count=len(names), names=names)


def test_masks_bear_the_numbers_of_the_images(tmp_path: Path) -> None:
    for number in (7, 9):
        PillowImage.fromarray(np.full(SIZE, number, np.uint8)).save(tmp_path / f"gt{number:06d}.png")

    labels = read_labels(tmp_path, stills(5, 7, 8, 9))

    assert {index: int(labels.mask(index)[0, 0]) for index in labels.masks} == {1: 7, 3: 9}
    with pytest.raises(SegueError, match="gt000009"):
        read_labels(tmp_path, stills(6, 7, 8))


def test_polygons_and_boxes_of_cvat_come_in(video: Video, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        """<annotations><version>1.1</version><track id="0" label="car">
        <box frame="1" outside="0" keyframe="1" xtl="10" ytl="5" xbr="20" ybr="15" z_order="0"></box>
        <box frame="2" outside="1" keyframe="1" xtl="10" ytl="5" xbr="20" ybr="15" z_order="0"></box>
        </track><track id="1" label="tree">
        <polygon frame="1" outside="0" occluded="0" keyframe="1" points="30,10;50,10;50,40;30,40"></polygon>
        </track></annotations>"""
    )
    labels = read_labels(tmp_path / "a.xml", video)

    assert dict(labels.names) == {1: "car", 2: "tree"}
    mask = labels.mask(1)
    assert (mask[5:15, 10:20] == 1).all()
    assert (mask == 1).sum() == 100
    assert [(labels.mask(i) == 1).any() for i in labels.masks] == [True, *[False] * (len(labels.masks) - 1)]
    assert list(labels.masks) == [1, 2, 3, 4], "a shape without a further key frame stays to the end"
    assert {int((labels.mask(i) == 2).sum()) for i in labels.masks} == {600}


TRACK = "<annotations><track id='0' label='a'>{}</track></annotations>"

MANY_TRACKS = "".join(f"<track id='{i}' label='a'/>" for i in range(MAX_OBJECTS + 1))

NINES = "9" * 31

BOMB = '<!DOCTYPE a [<!ENTITY x "xx">]><annotations><track id="0" label="&x;"/></annotations>'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xml", BOMB),
        ("a.xml", "<annotations><track id='0'>"),
        ("a.xml", "<annotations><track id='0' label='a'><box frame='9' outside='0'/></track></annotations>"),
        ("a.xml", "<annotations><track id='0' label='a'><mask frame='1' outside='0' rle='9' left='0' top='0' "
                  "width='99' height='99'/></track></annotations>"),
        ("a.xml", TRACK.format("<mask frame='1' rle='a,b' left='0' top='0' width='2' height='1'/>")),
        ("a.xml", TRACK.format("<mask frame='1' rle='1,,1' left='0' top='0' width='2' height='1'/>")),
        ("a.xml", TRACK.format(f"<mask frame='1' rle='{NINES}' left='0' top='0' width='2' height='1'/>")),
        ("a.xml", TRACK.format("<mask frame='1' rle='1,1' left='1e400' top='0' width='2' height='1'/>")),
        ("a.xml", TRACK.format("<mask frame='1' rle='1,1' left='0' top='0' width='2'/>")),
        ("a.xml", TRACK.format("<box frame='1' xtl='0' ytl='0'/>")),
        ("a.xml", TRACK.format("<box frame='1' xtl='0' ytl='0' xbr='nan' ybr='5'/>")),
        ("a.xml", TRACK.format("<box frame='1.5' xtl='0' ytl='0' xbr='5' ybr='5'/>")),
        ("a.xml", TRACK.format("<box frame='1e999' xtl='0' ytl='0' xbr='5' ybr='5'/>")),
        ("a.xml", TRACK.format("<polygon frame='1' points='1,2;3'/>")),
        ("a.xml", TRACK.format("<polygon frame='1'/>")),
        ("a.xml", "<annotations><box frame='1' xtl='0' ytl='0' xbr='5' ybr='5'/></annotations>"),
        ("a.xml", f"<annotations>{MANY_TRACKS}</annotations>"),
        ("a.json", json.dumps({"annotations": [{"id": i} for i in range(MAX_OBJECTS + 1)]})),
        ("a.json", json.dumps([{"category_id": 1, "segmentations": []} for _ in range(MAX_OBJECTS + 1)])),
        ("a.json", '[{"category_id": 1, "segmentations": [null], "score": null}, {"category_id": 1}]'),
        ("a.json", '[{"category_id": 1, "segmentations": [{"size": [48, 64], "counts": null}]}]'),
        ("a.json", '[{"category_id": 1, "segmentations": [], "score": "much"}]'),
        ("a.json", '[{"category_id": 1, "segmentations": [], "score": 1e999}]'),
        ("a.json", '[{"category_id": 1, "segmentations": ' + "[" * 100_000),
        ("a.json", "null"),
        ("a.json", "7"),
        ("a.json", '{"annotations": null}'),
        ("a.json", '{"annotations": [null], "images": [null]}'),
        ("a.json", "{}"),
        ("a.json", "[1, 2]"),
        ("a.json", '{"images": [{"id": 1, "file_name": "77.png"}], "annotations": []}'),
        ("a.json", "[" * 100000),
        ("a.zip", "no archive"),
        ("a.png", "no image"),
        ("a.txt", "?"),
    ],
    ids=lambda text: text if len(text) < 30 else None,
)  # fmt: skip
def test_invalid_label_files_raise_one_clear_line(
    video: Video, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    begun = time.monotonic()
    with pytest.raises(SegueError) as caught:
        read_labels(tmp_path / name, video)
    assert time.monotonic() - begun < 60
    assert str(caught.value).startswith(str(tmp_path / name)) or "video" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SegueError) as uploaded:
        read_labels(tmp_path / name, video, "upload.x")
    assert str(tmp_path) not in str(uploaded.value), "a page says the name that the person knows"
    assert "Error" not in str(uploaded.value), "nor is the name of an exception shown"


def test_an_archive_with_a_damaged_member_is_one_clear_line(video: Video, tmp_path: Path) -> None:
    write_index_mask(tmp_path / "0.png", np.ones(video.size, np.uint8))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "0.png", "0.png")
    data = bytearray(path.read_bytes())
    data[60] ^= 255  # inside the member, whose checksum no longer agrees
    path.write_bytes(data)
    with pytest.raises(SegueError, match=r"a\.zip: "):
        read_labels(path, video)


def test_an_entry_beyond_the_limit_is_refused_before_it_is_taken_apart(video: Video, tmp_path: Path) -> None:
    for begin in ("[[", '{"annotations": [{"a": "]]", "b": ['):
        (tmp_path / "a.json").write_text(begin + " " * (MAX_ENTRY + 1))
        with pytest.raises(SegueError, match=r"a\.json.*entry"):
            read_labels(tmp_path / "a.json", video)


def test_a_file_beyond_the_limit_is_refused(video: Video, tmp_path: Path) -> None:
    for name in ("a.xml", "a.json"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, MAX_BYTES + 1)  # nothing of it lies on the disk
        with pytest.raises(SegueError, match=f"{name}.*{MAX_BYTES}"):
            read_labels(tmp_path / name, video)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory that was taken from /proc")
@pytest.mark.parametrize("kind", ["ytvis", "coco", "lists"])
def test_a_large_file_takes_a_bounded_part_of_the_memory(tmp_path: Path, kind: str) -> None:
    """60 MB took 1.8 GiB."""
    video = write_video(tmp_path / "video.mp4", numbered(12))
    path = tmp_path / "a.json"
    if kind == "lists":
        path.write_text('{"annotations": [' + "[]," * 20_000_000 + "[]]}")
    elif kind == "ytvis":
        noise = np.random.default_rng(0).random((48, 64)) > 0.5
        item = json.dumps({"category_id": 1, "segmentations": [dict(encode_rle(noise))] * 12})
        path.write_text("[" + ",".join([item] * (60_000_000 // len(item))) + "]")
    else:
        angles = np.linspace(0, 7, 1000)
        corners = np.stack([30 + 20 * np.cos(angles), 24 + 20 * np.sin(angles)], 1).ravel().round(3).tolist()
        item = json.dumps({"category_id": 1, "segmentation": [corners], "track_id": 1, "image_id": 0})
        items = (item[:-1] + f', "id": {i}}}' for i in range(60_000_000 // len(item)))
        path.write_text('{"images": [{"id": 0}], "annotations": [' + ",".join(items) + "]}")
    assert path.stat().st_size > 40e6
    code = (
        "import re, sys; from pathlib import Path; from segue_web.video import Video\n"
        "from segue.formats.reading import read_labels; from segue.errors import SegueError\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "video = Video(Path(sys.argv[1])); before = peak()\n"
        "try: print(len(read_labels(Path(sys.argv[2]), video).names), file=sys.stderr)\n"
        "except SegueError as error: print(error, file=sys.stderr)\n"
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(video), str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
        check=True,
    )
    print(kind, path.stat().st_size, int(done.stdout) >> 10, "MiB", done.stderr)
    assert 50 << 10 < int(done.stdout) < 500 << 10


def test_at_most_max_objects_are_read(video: Video, tmp_path: Path) -> None:
    numbers = np.arange(1, COUNT * video.size[0] * video.size[1] + 1, dtype=np.uint16)
    numbers[MAX_OBJECTS:] = 0
    masks = numbers.reshape(COUNT, *video.size)
    for index, mask in enumerate(masks):
        PillowImage.fromarray(mask).save(tmp_path / f"{index:05d}.png")
    assert len(read_labels(tmp_path, video).names) == MAX_OBJECTS
    masks[-1, -1, -1] = MAX_OBJECTS + 1
    PillowImage.fromarray(masks[-1]).save(tmp_path / f"{COUNT - 1:05d}.png")
    with pytest.raises(SegueError):
        read_labels(tmp_path, video)


NAMES = {
    "gaps in the numbers": ("img_0003", "img_0004", "img_0007", "img_0010"),
    "no numbers": ("früh am Tag", "nachts & spät #1", "x", "y?"),
    "several endings": ("1.jpg", "2.png", "3.webp", "4.png"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("form", ["davis", "coco", "coco_images", "ytvis", "cvat"])
def test_masks_of_images_come_back_to_the_images_they_are_of(
    form: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    files = [name if "." in name else f"{name}.png" for name in names]
    for name in files:
        PillowImage.new("RGB", (32, 24), (90, 60, 30)).save(folder / name)
    video = Video(folder)
    ordered = [video.file_name(index) for index in range(4)]
    assert sorted(ordered) == sorted(files)
    drawn = {1: np.zeros((24, 32), np.uint8), 2: np.zeros((24, 32), np.uint8)}
    drawn[1][4:9, 5:9], drawn[2][10:20, 8:30] = 1, 1
    masks_drawn = {i: lengths(mask) for i, mask in drawn.items()}
    taken = Snapshot(
        video.size,
        {1: "ring"},
        masks_drawn,
        span=range(video.count),
        frames=list(drawn),
        colours={"ring": "#ff0000"},
    )
    target = tmp_path / f"p-{form}{FORMATS[form].suffix}"
    list(export_job(SimpleNamespace(video=video), taken, form, target))

    if form == "davis":
        masks = target / "Annotations" / "Full-Resolution" / target.name
        called = [video.frame_name(index) for index in drawn]
        assert sorted(path.stem for path in masks.iterdir()) == called
        assert called == (
            ["00001", "00002"] if video.names is None else [Path(ordered[i]).stem for i in drawn]
        )
        target = masks
    if form == "coco":
        assert [image["file_name"] for image in json.loads(target.read_text())["images"]] == ordered[1:3]
    if form == "coco_images":
        target /= "annotations/instances_default.json"
    labels = read_labels(target, video)
    found = {index: mask for index in labels.masks if (mask := labels.mask(index)).any()}
    assert found.keys() == drawn.keys()
    assert all(np.array_equal(found[index] > 0, drawn[index] > 0) for index in drawn)


@pytest.mark.parametrize("form", ["yolo", "labelstudio"])
def test_images_of_exports_are_called_as_those_of_the_video(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("img 7", "img 9 & #2"):
        PillowImage.new("RGB", (32, 24), (90, 60, 30)).save(folder / f"{name}.png")
    mask = np.zeros((24, 32), np.uint8)
    mask[4:20, 5:20] = 1
    taken = Snapshot(
        (24, 32), {1: "ring"}, {1: lengths(mask)}, span=range(1, 2), frames=[1], colours={"ring": "#ff0000"}
    )
    target = tmp_path / f"p-{form}"
    list(export_job(SimpleNamespace(video=Video(folder)), taken, form, target))
    assert [path.name for path in target.rglob("*.jpg")] == ["img 9 & #2.jpg"]
    if form == "yolo":
        assert (target / "labels" / "train" / "img 9 & #2.txt").read_text().startswith("0 ")
    if form == "labelstudio":
        (task,) = json.loads((target / "tasks.json").read_text())
        query = parse_qs(urlsplit(task["data"]["image"]).query)
        assert query == {"d": ["p-labelstudio/frames/img 9 & #2.jpg"]}

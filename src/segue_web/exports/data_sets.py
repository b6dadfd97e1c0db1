"""Masks of a project as data sets: DAVIS, COCO, YouTube-VIS, YOLO, MOT and MOTS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from segue.datasets.ytvis import track_entry, video_entry
from segue.errors import SegueError
from segue.masks import encode_objects, measure, rle_box, write_index_mask
from segue.video import CocoSink
from segue.video.file_sinks import info
from segue.video.partial import write_complete
from segue_web.exports.outlines import single_outline
from segue_web.exports.snapshot import Snapshot
from segue_web.exports.writing import complete_folder, write_pictures
from segue_web.video import Video

RESOLUTION = "Full-Resolution"
"""The folder of DAVIS between ``JPEGImages`` and the sequences, for images of any size."""

COCO_SUBSET = "default"
"""Name that CVAT and datumaro give to the images of a task with one part."""

MOT_NAMES = (
    "pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non-motorized vehicle",
    "static person", "distractor", "occluder", "occluder on the ground", "full occluder", "reflection",
    "crowd",
)  # fmt: skip
"""Classes of the MOT Challenge, from 1 on."""

MOT_CLASSES = {name: number for number, name in enumerate(MOT_NAMES, 1)} | {"person": 1, "motorcycle": 5}
"""Their numbers by name; other names get numbers from :data:`MOT_FREE` on."""

MOT_FREE = 14

MOTS_CLASSES = {"car": 1, "pedestrian": 2, "person": 2}
"""Classes of MOTS by name; other names get numbers from :data:`MOTS_FREE` on."""

MOTS_NAMES = ("car", "pedestrian")
"""Names of the classes of MOTS, from 1 on."""

MOTS_FREE, MOTS_IGNORED = 3, 10

MOTS_OBJECTS = 1000
"""MOTS writes an object as this number times its class, plus its own number, which is smaller."""


def davis(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """The tree of DAVIS 2017, which `segue eval davis` and the official tools read."""
    name = target.name
    with complete_folder(target) as folder:
        pictures, masks = (folder / kind / RESOLUTION / name for kind in ("JPEGImages", "Annotations"))
        masks.mkdir(parents=True)
        lists = folder / "ImageSets" / "2017"
        lists.mkdir(parents=True)
        for part in ("train", "val"):
            (lists / f"{part}.txt").write_text(f"{name}\n")
        for done, index in write_pictures(video, taken, pictures):
            write_index_mask(masks / f"{video.frame_name(index)}.png", taken.mask(index, video.size))
            yield done


def coco(
    video: Video, taken: Snapshot, target: Path, name: Callable[[int], str] | None = None
) -> Iterator[int]:
    """One COCO annotation file; its images are those of the video, ``00012.jpg``, or as ``name`` says."""
    names = tuple((name or video.file_name)(index) for index in range(video.count))
    with CocoSink(target, names=names, size=video.size, attributes=taken.attributes) as sink:
        for done, index in enumerate(taken.frames, 1):
            sink.write_lengths(taken.result(index, video), taken.lengths(index, video.size), video.size)
            yield done


def coco_images(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """The annotation file of COCO and its images, in the folders that CVAT and datumaro look for."""
    with complete_folder(target) as folder:
        pictures = write_pictures(video, taken, folder / "images" / COCO_SUBSET)
        (folder / "annotations").mkdir()
        file = folder / "annotations" / f"instances_{COCO_SUBSET}.json"
        named = coco(video, taken, file, lambda index: f"{video.frame_name(index)}.jpg")
        for _, done in zip(pictures, named, strict=True):
            yield done


def ytvis(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """An annotation file of YouTube-VIS: videos, annotations, and the objects' names as categories."""
    tracks: dict[int, list[Any]] = {i: [] for i in taken.names}
    span = taken.span
    for done, index in enumerate(span, 1):
        lengths = taken.lengths(index, video.size)
        for i, track in tracks.items():
            track.append(lengths.get(i))
        yield done
    categories = taken.categories()
    annotations = []
    for i, track in tracks.items():
        entry = track_entry(i, 1, categories[taken.names[i][0]], track, video.size)
        about = taken.attributes.get(i)
        annotations.append({**entry, "attributes": about} if about else entry)
    names = [f"{video.name}/{video.file_name(index)}" for index in span]
    listed = [{"id": n, "name": name, "supercategory": "object"} for name, n in categories.items()]
    found = {
        "videos": [video_entry(1, names, video.size)],
        "categories": listed,
        "annotations": annotations,
    }
    write_complete(target, json.dumps({"info": info(), "licenses": [], **found}).encode())


def yolo(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """Images, and outlines of one polygon an object, as ultralytics' segmentation models are trained on."""
    height, width = video.size
    classes = {name: number - 1 for name, number in taken.categories().items()}
    with complete_folder(target) as folder:
        labels = folder / "labels" / "train"
        labels.mkdir(parents=True)
        names = "".join(f"  {number}: {json.dumps(name)}\n" for name, number in classes.items())
        # Without "path", which ultralytics takes from the working directory, all begins beside this file.
        text = f"train: images/train\nval: images/train\nnames:\n{names}"
        (folder / "data.yaml").write_text(text, "utf-8")
        for done, index in write_pictures(video, taken, folder / "images" / "train"):
            lines = []
            for i, plane in taken.planes(index, video.size):
                corners = (single_outline(plane) + 0.5) / (width, height)
                if len(corners) > 2:
                    numbers = " ".join(f"{value:.6f}" for value in corners.ravel().tolist())
                    lines.append(f"{classes[taken.names[i][0]]} {numbers}\n")
            (labels / f"{video.frame_name(index)}.txt").write_text("".join(lines))
            yield done


def mot(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """A sequence of the MOT Challenge: boxes in ``gt/gt.txt``; frames are numbered from 1 without gaps."""
    classes = _classes(taken.categories(), MOT_CLASSES, (number for number in count(MOT_FREE)))

    def lines(number: int, index: int) -> Iterator[str]:
        for i, rle in taken.lengths(index, video.size).items():
            x0, y0, x1, y1 = (int(side) for side in rle_box(rle) or (0, 0, 0, 0))
            kind = classes[taken.names[i][0]]
            yield f"{number},{i},{x0 + 1},{y0 + 1},{x1 - x0},{y1 - y0},1,{kind},1"

    yield from _challenge(video, taken, target, lines, _listed(MOT_NAMES, classes))


def mots(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """A sequence of MOTS: run lengths in ``gt/gt.txt``; frames as in :func:`mot`."""
    if max(taken.names) >= MOTS_OBJECTS:
        raise SegueError(f"MOTS has room for objects up to {MOTS_OBJECTS - 1}; leave {max(taken.names)} out")
    free = (number for number in count(MOTS_FREE) if number != MOTS_IGNORED)
    classes = _classes(taken.categories(), MOTS_CLASSES, free)
    height, width = video.size

    def lines(number: int, index: int) -> Iterator[str]:
        mask = taken.mask(index, video.size)
        for i, rle in encode_objects(mask, measure(mask)).items():
            kind = classes[taken.names[i][0]]
            yield f"{number} {MOTS_OBJECTS * kind + i} {kind} {height} {width} {rle['counts']}"

    yield from _challenge(video, taken, target, lines, _listed(MOTS_NAMES, classes))


def _challenge(
    video: Video, taken: Snapshot, target: Path, lines: Any, names: Sequence[str]
) -> Iterator[int]:
    """The folder of a sequence of the MOT Challenge; ``lines`` of a frame by its number and its index."""
    frames = list(taken.frames)
    height, width = video.size
    about = {"name": target.name, "imDir": "img1", "frameRate": round(video.fps), "seqLength": len(frames),
             "imWidth": width, "imHeight": height, "imExt": ".jpg"}  # fmt: skip
    with complete_folder(target) as folder:
        (folder / "gt").mkdir()
        ini = "".join(f"{key}={value}\n" for key, value in about.items())
        (folder / "seqinfo.ini").write_text(f"[Sequence]\n{ini}", "utf-8")
        (folder / "gt" / "labels.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
        (folder / "frames.txt").write_text("".join(f"{index}\n" for index in frames))
        with (folder / "gt" / "gt.txt").open("w", encoding="utf-8") as stream:
            for done, index in write_pictures(video, taken, folder / "img1", lambda n, _: f"{n:06d}.jpg"):
                stream.writelines(f"{line}\n" for line in lines(done, index))
                yield done


def _classes(names: Iterable[str], known: Mapping[str, int], free: Iterator[int]) -> dict[str, int]:
    """Number of each class: the challenge's own, or the next free one."""
    return {name: known[name.lower()] if name.lower() in known else next(free) for name in names}


def _listed(known: Sequence[str], classes: Mapping[str, int]) -> list[str]:
    """Names of classes by their numbers, from 1 on; a number that nothing has is ``unused``."""
    names = {**{number: name for name, number in classes.items()}, **dict(enumerate(known, 1))}
    return [names.get(number, "unused") for number in range(1, max(names) + 1)]

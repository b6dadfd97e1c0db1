"""Masks of a project as data sets: DAVIS, COCO, YouTube-VIS and YOLO."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from segue.datasets.ytvis import track_entry, video_entry
from segue.masks import write_index_mask
from segue.masks.outlines import yolo_line, yolo_list
from segue.sinks import CocoSink
from segue.sinks.files import info
from segue.utils.files import write_complete
from segue_web.exports.snapshot import Snapshot, complete_folder, write_images
from segue_web.video import Video

RESOLUTION = "Full-Resolution"
"""The folder of DAVIS between ``JPEGImages`` and the sequences, for images of any size."""

COCO_SUBSET = "default"
"""Name that CVAT and datumaro give to the images of a task with one part."""


def davis(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The tree of DAVIS 2017, which `segue eval davis` and the official tools read."""
    name = target.name
    with complete_folder(target) as folder:
        images, masks = (folder / kind / RESOLUTION / name for kind in ("JPEGImages", "Annotations"))
        masks.mkdir(parents=True)
        lists = folder / "ImageSets" / "2017"
        lists.mkdir(parents=True)
        for part in ("train", "val"):
            (lists / f"{part}.txt").write_text(f"{name}\n")
        for index in write_images(video, annotations, images):
            write_index_mask(masks / f"{video.frame_name(index)}.png", annotations.mask(index))
            yield index


def coco(
    video: Video, annotations: Snapshot, target: Path, name: Callable[[int], str] | None = None
) -> Iterator[int]:
    """One COCO annotation file; its images are those of the video, ``00012.jpg``, or as ``name`` says."""
    names = tuple((name or video.file_name)(index) for index in range(video.count))
    # The numbers of a schema's classes are the same for all videos.
    categories = annotations.categories() if annotations.schema.classes else None
    with CocoSink(
        target,
        names=names,
        size=video.size,
        attributes=annotations.values_at,
        objects=annotations.objects,
        categories=categories,
        label_schema=annotations.schema.as_json(),
    ) as sink:
        for index in annotations.frames:
            sink.write_lengths(annotations.result(index, video), annotations.lengths(index), video.size)
            yield index


def coco_images(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The annotation file of COCO and its images, in the folders that CVAT and datumaro look for."""
    with complete_folder(target) as folder:
        (folder / "annotations").mkdir()
        file = folder / "annotations" / f"instances_{COCO_SUBSET}.json"
        images = write_images(video, annotations, folder / "images" / COCO_SUBSET)
        annotated = coco(video, annotations, file, lambda index: f"{video.frame_name(index)}.jpg")
        for index, _ in zip(images, annotated, strict=True):
            yield index


def ytvis(video: Video, snapshot: Snapshot, target: Path) -> Iterator[int]:
    """An annotation file of YouTube-VIS: videos, annotations, and the objects' names as categories."""
    lengths = [snapshot.lengths(index) for index in snapshot.span]
    categories = snapshot.categories()
    annotations = []
    for i, name in snapshot.names.items():
        entry = track_entry(i, 1, categories[name], [content.get(i) for content in lengths], video.size)
        about = snapshot.attributes.get(i)
        annotations.append({**entry, "attributes": about} if about else entry)
    names = [f"{video.name}/{video.file_name(index)}" for index in snapshot.span]
    content = {
        "videos": [video_entry(1, names, video.size)],
        "categories": [{"id": n, "name": name, "supercategory": "object"} for name, n in categories.items()],
        "annotations": annotations,
        "objects": [*snapshot.objects],
    }
    write_complete(target, json.dumps({"info": info(), "licenses": [], **content}).encode())
    yield from snapshot.span


def yolo(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """Images, and outlines of one polygon an object, as ultralytics' segmentation models are trained on."""
    classes = {name: number - 1 for name, number in annotations.categories().items()}
    with complete_folder(target) as folder:
        labels = folder / "labels" / "train"
        labels.mkdir(parents=True)
        names = {number: name for name, number in classes.items()}
        (folder / "data.yaml").write_text(yolo_list(names), "utf-8")
        for index in write_images(video, annotations, folder / "images" / "train"):
            planes = annotations.planes(index).items()
            lines = [yolo_line(classes[annotations.names[i]], plane) for i, plane in planes]
            (labels / f"{video.frame_name(index)}.txt").write_text("".join(lines))
            yield index

"""Masks of a project for annotation tools; the formats stand beside their readers in ``segue.labels``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from segue.labels.cvat import write_cvat
from segue.labels.label_studio import write_tasks
from segue.labels.labelme import labelme_text
from segue_web.exports.snapshot import Snapshot, complete_folder, write_images
from segue_web.video import Video


def cvat(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """One XML of CVAT for video 1.1."""
    return write_cvat(
        annotations, target, annotations.span, annotations.colours, name=video.name, length=video.count
    )


def label_studio(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """Tasks of Label Studio beside the images they are of, and the set-up of their project."""

    def address(index: int) -> str:
        image = quote(f"{target.name}/frames/{video.frame_name(index)}.jpg")
        return f"/data/local-files/?d={image}"

    with complete_folder(target) as folder:
        images = write_images(video, annotations, folder / "frames")
        yield from write_tasks(annotations, folder, images, annotations.colours, address)


def labelme(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """Images, and beside each a file of labelme and X-AnyLabeling."""
    with complete_folder(target) as folder:
        for index in write_images(video, annotations, folder):
            name = video.frame_name(index)
            (folder / f"{name}.json").write_text(labelme_text(annotations, index, f"{name}.jpg"), "utf-8")
            yield index

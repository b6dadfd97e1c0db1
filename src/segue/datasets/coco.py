"""Reader of still images with instance masks in the COCO format, as videos of one frame each.

Annotation file (JSON)::

    images       id, width, height, file_name
    categories   id, name
    annotations  id, image_id, category_id, iscrowd, area, segmentation

A segmentation is a list of polygons or, for crowds, a run length.
"""

from __future__ import annotations

from typing import Any, ClassVar

from segue.datasets.instances import AnnotationNumber, Area, Number, Record
from segue.datasets.json_files import validated
from segue.datasets.ytvis import AnnotationRecord, VideoRecord, YTVISDataset


class CocoImages(YTVISDataset):
    """The images of an annotation file; each is a video whose only frame is 0.

    >>> dataset = CocoImages.open("coco", "train2017")
    >>> image = dataset.videos[0]
    >>> dataset.read_image(image, 0), dataset.instances(image, [0]).masks
    """

    _frames_key: ClassVar[str] = "images"

    def _video_record(self, value: Any, where: str) -> VideoRecord:
        record = validated(_ImageRecord, value, where)
        return VideoRecord(
            id=record.id,
            width=record.width,
            height=record.height,
            length=1,
            file_names=[record.file_name],
        )

    def _annotation_record(self, value: Any, where: str) -> AnnotationRecord:
        record = validated(_ObjectRecord, value, where)
        return AnnotationRecord(
            id=record.id,
            video_id=record.image_id,
            category_id=record.category_id,
            iscrowd=record.iscrowd,
            segmentations=[record.segmentation],
            areas=[record.area],
        )


class _ImageRecord(Record):
    id: Number
    width: int
    height: int
    file_name: str


class _ObjectRecord(Record):
    id: AnnotationNumber
    image_id: Number
    category_id: Number
    iscrowd: int
    segmentation: Any
    area: Area

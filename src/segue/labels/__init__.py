"""Readers of annotation files: COCO, YouTube-VIS, CVAT, Label Studio, YOLO, and folders or archives of masks.

All give :class:`~segue.labels.labels.Labels`, for the page, `segue view` and scores.
"""

from segue.labels.labels import Labels
from segue.labels.reading import read_labels

__all__ = ["Labels", "read_labels"]

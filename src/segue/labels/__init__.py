"""Readers of annotation files: COCO, YouTube-VIS, CVAT, Label Studio, YOLO, and folders or archives of masks.

All give :class:`~segue.labels.labels.Labels`, for the page, `segue view` and scores.
"""

"""Readers of annotation files of other programs, and of folders and archives of masks.

All give :class:`~segue.labels.labels.Labels`, for the page, `segue view` and scores.
"""

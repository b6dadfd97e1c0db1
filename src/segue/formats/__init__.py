"""Readers of annotation files of other programs, and of folders and archives of masks.

All give :class:`~segue.formats.labels.Labels`, for the page, `segue view` and scores.
"""

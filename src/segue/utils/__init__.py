"""Helpers for arrays, files, names and processes, independent of video segmentation."""

"""Helpers for arrays, files, names and processes; nothing here knows video segmentation."""

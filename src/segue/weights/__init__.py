"""Weights: the catalogue of networks, strict loading, and conversion of the official files.

A file that is missing, unsafe, damaged or of another network is a :class:`~segue.errors.CheckpointError`, one
that cannot be had a :class:`~segue.errors.DownloadError`.
"""

from segue.weights.catalogue import recognise
from segue.weights.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from segue.weights.loading import convert, keep_networks, load, load_for, load_strict
from segue.weights.pretrained import from_pretrained, save_pretrained

__all__ = [
    "Checkpoint",
    "convert",
    "from_pretrained",
    "keep_networks",
    "load",
    "load_for",
    "load_strict",
    "read_checkpoint",
    "recognise",
    "save_pretrained",
    "write_checkpoint",
]

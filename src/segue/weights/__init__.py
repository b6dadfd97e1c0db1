"""Weights: the catalogue, strict loading, and conversion of the official files."""

from segue.weights.catalogue import CATALOGUE, Entry, find
from segue.weights.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from segue.weights.convert import convert
from segue.weights.loading import load, load_strict

__all__ = [
    "CATALOGUE",
    "Checkpoint",
    "Entry",
    "convert",
    "find",
    "load",
    "load_strict",
    "read_checkpoint",
    "write_checkpoint",
]

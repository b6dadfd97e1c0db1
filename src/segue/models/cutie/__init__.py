"""Cutie: object-level memory reading for video object segmentation."""

from segue.models.cutie.network import Cutie
from segue.models.cutie.tracker import CutieSchedule, CutieTracker

__all__ = ["Cutie", "CutieSchedule", "CutieTracker"]

"""Measures of segmentation quality; their numbers equal those of the official tools."""

from segue.metrics.davis import (
    DavisAccumulator,
    DavisReport,
    contour_accuracy,
    evaluate_folder,
    region_similarity,
)

__all__ = ["DavisAccumulator", "DavisReport", "contour_accuracy", "evaluate_folder", "region_similarity"]

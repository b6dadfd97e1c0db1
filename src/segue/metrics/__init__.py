"""Measures of segmentation quality; their numbers equal those of the official tools."""

from segue.metrics.davis import DavisAccumulator
from segue.metrics.davis_results import evaluate_davis
from segue.metrics.davis_unsupervised import UnsupervisedAccumulator
from segue.metrics.evaluation import Evaluation, FrameView, Series
from segue.metrics.measures import contour_accuracy, region_similarity
from segue.metrics.report import DavisReport
from segue.metrics.ytvos import evaluate_ytvos

__all__ = [
    "DavisAccumulator",
    "DavisReport",
    "Evaluation",
    "FrameView",
    "Series",
    "UnsupervisedAccumulator",
    "contour_accuracy",
    "evaluate_davis",
    "evaluate_ytvos",
    "region_similarity",
]

"""Measures of segmentation quality, equal to those of the official tools.

Missing or inconsistent data raise a :class:`~segue.errors.DatasetError`.
"""

from segue.metrics.agreement import ObjectAgreement, agreement
from segue.metrics.compare import Comparison, Interval, compare
from segue.metrics.davis import DavisAccumulator, UnsupervisedAccumulator
from segue.metrics.davis_results import evaluate_davis
from segue.metrics.evaluation import Evaluation, FrameView, Series
from segue.metrics.foreground.cdnet import evaluate_foreground
from segue.metrics.foreground.counts import ForegroundAccumulator
from segue.metrics.further import with_metrics
from segue.metrics.measures import contour_accuracy, region_similarity
from segue.metrics.report import DavisReport
from segue.metrics.ytvis import YTVISAccumulator, evaluate_ytvis
from segue.metrics.ytvos import evaluate_ytvos

__all__ = [
    "Comparison",
    "DavisAccumulator",
    "DavisReport",
    "Evaluation",
    "ForegroundAccumulator",
    "FrameView",
    "Interval",
    "ObjectAgreement",
    "Series",
    "UnsupervisedAccumulator",
    "YTVISAccumulator",
    "agreement",
    "compare",
    "contour_accuracy",
    "evaluate_davis",
    "evaluate_foreground",
    "evaluate_ytvis",
    "evaluate_ytvos",
    "region_similarity",
    "with_metrics",
]

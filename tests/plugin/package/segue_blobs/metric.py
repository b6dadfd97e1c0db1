"""A metric: the share of the truth that the result covers."""

from segue.registry import MetricEntry

COVERED = MetricEntry("covered", lambda result, truth: (result & truth).sum() / max(1, truth.sum()))

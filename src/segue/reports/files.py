"""Scores for other programs: JSON in full precision, and the official result files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.errors import SinkError
from segue.metrics.compare import CONFIDENCE, RESAMPLES, Comparison
from segue.metrics.evaluation import Evaluation, Measures
from segue.utils.files import prepare, write_complete
from segue.utils.version import __version__

Pairs = Mapping[str, tuple[float, float]]
"""Values of the first and the second result by name."""


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """Convert an evaluation to values that JSON can hold.

    Args:
        evaluation: scores of a data set.

    Returns:
        ``protocol``, ``headline``, ``global`` (measures of the whole set by their official names),
        ``sequences``, ``objects``, ``categories`` and ``groups`` (measures by name), ``remarks`` and ``segue
        version``; None is a measure without a value.
    """
    return {
        "protocol": evaluation.protocol,
        "headline": evaluation.headline,
        "global": _values(evaluation.overall),
        "sequences": _tables(evaluation.sequences),
        "objects": _tables(evaluation.objects),
        "categories": _tables(evaluation.categories),
        "groups": _tables(evaluation.groups),
        "remarks": list(evaluation.remarks),
        "segue version": __version__,
    }


def comparison_values(comparison: Comparison) -> dict[str, Any]:
    """Convert a comparison to values that JSON can hold.

    Args:
        comparison: two results on one data set.

    Returns:
        ``protocol``, ``headline``, ``results`` (names of the two), ``global`` and ``sequences`` (``first``,
        ``second`` and ``difference``, second minus first, of each measure), ``bootstrap`` (``resamples``,
        ``confidence``, ``seed`` and, of each measure, ``mean``, ``low``, ``high`` and number of
        ``sequences``), ``remarks`` and ``segue version``.
    """
    first, second = comparison.first, comparison.second
    return {
        "protocol": first.protocol,
        "headline": first.headline,
        "results": list(comparison.names),
        "global": _differences(first.overall, second.overall),
        "sequences": {
            name: _differences(first.sequences[name], second.sequences[name]) for name in first.sequences
        },
        "bootstrap": {
            "resamples": RESAMPLES,
            "confidence": CONFIDENCE,
            "seed": comparison.seed,
            "measures": {
                key: _values({"mean": item.mean, "low": item.low, "high": item.high})
                | {"sequences": item.sequences}
                for key, item in comparison.intervals.items()
            },
        },
        "remarks": list(comparison.remarks),
        "segue version": __version__,
    }


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values without NaN and infinities as JSON; the file appears when it is complete.

    Args:
        path: file to write; an existing one is replaced.
        values: result of :func:`evaluation_values` or :func:`comparison_values`.

    Raises:
        SinkError: it cannot be written.
    """
    prepare(path)
    write_complete(path, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode("ascii"))


def write_csv(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write the official result files, byte for byte as the official tool does.

    Args:
        folder: folder of the files, made if need be.
        evaluation: scores of a data set.

    Returns:
        Paths of the files.

    Raises:
        SinkError: the protocol has no official files, or they cannot be written.
    """
    if not evaluation.files:
        raise SinkError(f"{evaluation.protocol} has no official result files; take --json instead of --csv")
    paths = []
    for name, text in evaluation.files.items():
        path = folder / name
        prepare(path)
        write_complete(path, text.encode("utf-8", "surrogateescape"))
        paths.append(path)
    return paths


def _tables(tables: Mapping[str, Measures]) -> dict[str, dict[str, float | None]]:
    return {name: _values(measures) for name, measures in tables.items()}


def _values(measures: Measures) -> dict[str, float | None]:
    return {key: float(value) if math.isfinite(value) else None for key, value in measures.items()}


def paired(first: Measures, second: Measures) -> Pairs:
    """Pair each of the first measures with the second result; NaN if missing there."""
    return {key: (value, second.get(key, math.nan)) for key, value in first.items()}


def _differences(first: Measures, second: Measures) -> dict[str, dict[str, float | None]]:
    return {
        key: _values({"first": a, "second": b, "difference": b - a})
        for key, (a, b) in paired(first, second).items()
    }

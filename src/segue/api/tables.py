"""Results as a table: one row for each object on each frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segue.errors import SegueError
from segue.types import Segmentation

COLUMNS = {
    "frame": "int64",
    "time": "float64",
    "id": "int64",
    "label": "object",
    "score": "float64",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
    "area": "int64",
}
"""Columns of the table with their types."""


def to_pandas(results: Iterable[Segmentation]) -> Any:
    """A table of results; see :meth:`segue.api.Results.to_pandas`."""
    try:
        import pandas
    except ImportError:
        raise SegueError("a table needs pandas, which is not installed: pip install pandas") from None
    rows = [
        (result.index, result.time, item.id, item.label, item.score, *(item.box or (None,) * 4), item.area)
        for result in results
        for item in result.objects
    ]
    # As objects first: pandas would turn None among labels into NaN.
    return pandas.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(COLUMNS)

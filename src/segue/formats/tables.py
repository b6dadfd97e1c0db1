"""Results as a table of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from segue.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas

COLUMNS = ("frame", "time", "id", "label", "score", "area", "x0", "y0", "x1", "y1")


def table_of(results: Iterable[Any]) -> pandas.DataFrame:
    """Create a ``pandas.DataFrame`` of results, a row per visible object and frame."""
    try:
        import pandas  # the user's own: it is no dependency
    except ImportError as error:
        raise MissingExtraError("a table needs pandas: pip install pandas") from error
    rows = [
        (result.index, result.time, item.id, item.label, item.score, item.area, *item.box)
        for result in results
        for item in result.objects
        if item.box is not None and item.area > 0
    ]
    return pandas.DataFrame(rows, columns=COLUMNS)

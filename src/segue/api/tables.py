"""Tables of all results of a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from segue.formats.tables import table_of
from segue.types import Segmentation

if TYPE_CHECKING:
    import pandas

    from segue.masks.measure import Boxes


class ResultTables:
    """Tables of :class:`segue.api.Results` and :class:`segue.Video`."""

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Segmentation]: ...

    def to_df(self) -> pandas.DataFrame:
        """Convert all results to a pandas table, like :meth:`to_pandas`.

        Returns:
            A ``pandas.DataFrame`` with a row for each visible object of each frame.

        Raises:
            SegueError: pandas is not installed, nothing is tracked yet, or some results have been taken by
                another thread.
        """
        return self.to_pandas()

    def to_pandas(self) -> pandas.DataFrame:
        """Convert all results to a pandas table with a row for each visible object of each frame.

        Returns:
            A ``pandas.DataFrame`` with ``frame``, ``time``, ``id``, ``label``, ``score``, ``area``, and the
            box in pixels as ``x0``, ``y0``, ``x1``, ``y1``.

        Raises:
            SegueError: pandas is not installed, nothing is tracked yet, or some results have been taken by
                another thread.
        """
        return table_of(self)

    def to_json(self) -> str:
        """JSON of the visible objects of all results.

        Returns:
            A list with the :meth:`segue.Segmentation.to_json` of each frame.

        Raises:
            SegueError: nothing is tracked yet, or some results have been taken by another thread.
        """
        return f"[{', '.join(result.to_json() for result in self)}]"

    @property
    def boxes(self) -> list[Boxes]:
        """The visible objects of each result as arrays; see :attr:`segue.Segmentation.boxes`."""
        return [result.boxes for result in self]

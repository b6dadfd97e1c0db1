"""A table of rows that grows in place."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from segue.state import Checkpointable


class Rows(Checkpointable):
    """A table that grows by doubling."""

    state_fields: ClassVar[dict[str, Any]] = {"rows": ...}

    def __init__(self, reserve: int = 0, most: int | None = None) -> None:
        self._table: Tensor | None = None
        self._count, self._reserve, self._most = 0, reserve, most

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Tensor:
        """All rows, a view of the table."""
        assert self._table is not None
        return self._table[: self._count]

    @rows.setter
    def rows(self, rows: Tensor) -> None:
        self._table, self._count = rows, len(rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the table, used or not."""
        return 0 if self._table is None else self._table.nbytes

    def put(self, at: int, rows: Tensor) -> None:
        """Write rows (n, ...) from row ``at`` on, over those that are there; rows left out are zeros."""
        count = max(at + len(rows), self._count)
        if self._table is None or len(self._table) < count:
            size = self._reserve if self._table is None else 2 * len(self._table)
            size = max(count, size if self._most is None else min(size, self._most))
            larger = rows.new_zeros(size, *rows.shape[1:])
            if self._table is not None:
                larger[: self._count] = self._table[: self._count]
            self._table = larger
        self._table[at : at + len(rows)] = rows
        self._count = count

    def copy(self, start: int, at: int, count: int) -> None:
        """Write a copy of ``count`` rows, also of such that were cut off last, to row ``at``, as put does."""
        assert self._table is not None
        if start == at and at + count <= len(self._table):
            self._count = max(at + count, self._count)
        else:
            self.put(at, self._table[start : start + count])

    def insert(self, at: int, rows: Tensor) -> None:
        """Put rows (n, ...) before row ``at``."""
        after = self.rows[at:].clone() if self._count else rows[:0]
        self.put(at, rows)
        self.put(at + len(rows), after)

    def cut(self, count: int) -> None:
        """Keep the first ``count`` rows."""
        self._count = count

    def keep(self, places: Tensor, *, anew: bool = False) -> None:
        """Keep the rows at some places, int64, in this order; ``anew`` leaves the table before as it is."""
        kept = self.rows[places]
        if anew and self._table is not None:
            self._table = torch.zeros_like(self._table)
        self.put(0, kept)
        self._count = len(places)

"""A table of rows that grows in place."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from segue.state import Checkpointable, SessionState


class Rows(Checkpointable):
    """A tensor of rows that grows by doubling.

    Attributes:
        rows: existing rows, (N, ...), a view of the table.
    """

    state_fields: ClassVar[dict[str, Any]] = {"rows": ...}

    def __init__(self, reserve: int = 0, max_rows: int | None = None) -> None:
        self.rows = self._table = torch.empty(0)
        self._reserve, self._max_rows = reserve, max_rows

    def restore(self, state: SessionState) -> None:
        super().restore(state)
        self._table = self.rows

    @property
    def nbytes(self) -> int:
        """Size of the allocated tensor in bytes."""
        return self._table.nbytes

    def write(self, at: int, rows: Tensor) -> None:
        """Write rows (n, ...) at row ``at``, replacing existing ones; gaps are zero."""
        count = max(at + len(rows), len(self.rows))
        if len(self._table) < count:
            size = max(self._reserve, 2 * len(self._table))
            size = max(count, size if self._max_rows is None else min(size, self._max_rows))
            larger = rows.new_empty(size, *rows.shape[1:])  # what is never written takes no memory
            if len(self.rows):
                larger[: len(self.rows)] = self.rows
            self._table = larger
        if at > len(self.rows):
            self._table[len(self.rows) : at] = 0
        self._table[at : at + len(rows)] = rows
        self.rows = self._table[:count]

    def copy(self, start: int, count: int) -> None:
        """Append a copy of ``count`` rows from ``start`` on, including rows just cut off."""
        at = len(self.rows)
        if start == at and at + count <= len(self._table):
            self.rows = self._table[: at + count]
        else:
            self.write(at, self._table[start : start + count])

    def insert(self, at: int, rows: Tensor) -> None:
        """Insert rows (n, ...) before row ``at``."""
        following = self.rows[at:].clone() if len(self.rows) else rows[:0]
        self.write(at, rows)
        self.write(at + len(rows), following)

    def keep(self, places: Tensor, *, reallocate: bool = False) -> None:
        """Keep the rows at some indices, int64, in this order; ``reallocate`` frees the old tensor."""
        retained = self.rows[places]
        if reallocate:
            self._table = torch.zeros_like(self._table)
        self.write(0, retained)
        self.rows = self._table[: len(places)]

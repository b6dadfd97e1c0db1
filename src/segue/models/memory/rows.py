"""Tables of rows that grow, are thinned out, and are counted as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

GRAIN = 1024
"""Keys are multiplied in tables of a multiple of so many rows."""

FRESH = 1e-7
"""Age of a new element, so that usage over age exists before the first read."""


class Rows:
    """A table of rows that grows; space for ``reserve`` rows is taken at once, which costs nothing unused.

    The space is a multiple of ``GRAIN`` rows, zeros until they are used.
    """

    def __init__(self, reserve: int = 0) -> None:
        self._table: Tensor | None = None
        self._count, self._reserve = 0, reserve

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Tensor:
        """All rows, a view of the table."""
        assert self._table is not None
        return self._table[: self._count]

    @property
    def padded(self) -> Tensor:
        """All rows, and after them others that mean nothing, up to a multiple of ``GRAIN``; a view.

        oneDNN compiles a product for each size that it meets, and keeps a thousand of them, of up to a
        megabyte each: the number of rows changes with every frame that is remembered.
        """
        assert self._table is not None
        return self._table[: -(-self._count // GRAIN) * GRAIN]

    def insert(self, at: int, rows: Tensor) -> None:
        """Put rows before row ``at``; at the end where that is the number of rows.

        Args:
            at: number of a row, at most the number of rows.
            rows: (n, ...), with the shape and type of the others.
        """
        count = self._count + len(rows)
        if self._table is None or len(self._table) < count:
            size = max(count, self._reserve if self._table is None else 2 * len(self._table))
            larger = rows.new_zeros(-(-size // GRAIN) * GRAIN, *rows.shape[1:])
            if self._table is not None:
                larger[: self._count] = self._table[: self._count]
            self._table = larger
        if at < self._count:
            self._table[at + len(rows) : count] = self._table[at : self._count].clone()
        self._table[at : at + len(rows)] = rows
        self._count = count

    def append(self, rows: Tensor) -> None:
        """Put rows behind the last one.

        Args:
            rows: (n, ...), with the shape and type of the others.
        """
        self.insert(self._count, rows)

    def replace(self, rows: Tensor) -> None:
        """Hold these rows, at most as many as before, and no others.

        Args:
            rows: (n, ...), with the shape and type of the others.
        """
        assert self._table is not None
        self._table[: len(rows)] = rows
        self._count = len(rows)

    def remove(self, start: int, stop: int) -> None:
        """Take a range of rows out."""
        if stop > start:
            self.replace(torch.cat([self.rows[:start], self.rows[stop:]]))


@dataclass(slots=True)
class Usage:
    """How much a row was read, and for how many reads it was there."""

    use: Rows = field(default_factory=Rows)
    life: Rows = field(default_factory=Rows)

    def insert(self, at: int, count: int, like: Tensor) -> None:
        """Add rows that nobody has read."""
        self.use.insert(at, like.new_zeros(count, dtype=torch.float32))
        self.life.insert(at, like.new_full((count,), FRESH, dtype=torch.float32))

    def normalised(self) -> Tensor:
        """Attention received per read, (N,).

        Returns:
            (N,), float32, not below 0.
        """
        return self.use.rows / self.life.rows

"""How a query reads the keys of a memory table: all of them, or the best cells at half resolution first.

A read goes in blocks of query rows. For each it gives the affinities with all keys, the places of the query
that they are for, and the weights of the best keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.memory.selection import cell_members, largest, top_k

BLOCK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Affinities that exist at a time: 4 MiB stay in a processor's cache, a GPU wants large products."""

BLOCK_ROWS = 48
"""Query rows of a block at least; thinner products waste a processor's registers."""


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """Objects that read the same rows: neither the frames ``absent`` nor the first ``skipped`` prototypes."""

    members: list[int]
    absent: list[int]
    skipped: int


@dataclass(frozen=True, slots=True)
class Readable:
    """The rows of frames that a query may read.

    Attributes:
        index: places of the rows, (N,), int64, ascending; None for all.
        starts: where the rows of each frame begin among them, and their number.
        last: place of the frame that was written last.
        distance_biases: masks rows of the last frame outside its window, by row and column of the query.
        frames: number of frames.
    """

    index: Tensor | None
    starts: list[int]
    last: int
    distance_biases: tuple[Tensor, Tensor] | None
    frames: int


class Read(ABC):
    """Rows of a query that read keys, a block of rows at a time.

    Args:
        rows: number of the rows.
        width: rows of the query in a row of its image.
        keys: number of the keys.
        readable: which rows of frames the keys are.
        device: where it is computed.
    """

    def __init__(self, rows: int, width: int, keys: int, readable: Readable, device: torch.device) -> None:
        self._rows, self._width, self._keys = rows, width, keys
        self._readable, self._device = readable, device

    @abstractmethod
    def scores(self, block: slice) -> Tensor:
        """Affinities (Q, N) of a block of rows with all keys."""

    @abstractmethod
    def places(self, block: slice) -> slice | Tensor:
        """Places of the query, (P,), whose weights a block gives."""

    @abstractmethod
    def choose(self, scores: Tensor, group: ReadGroup, block: slice) -> tuple[Tensor, Tensor | None]:
        """Weights (P, k) of the best rows and their places; or of all rows, (P, N), and None."""

    def blocks(self) -> Iterator[slice]:
        """Blocks of rows whose affinities are computed at a time."""
        size = max(BLOCK_ELEMENTS.get(self._device.type, 1 << 21) // self._keys, BLOCK_ROWS)
        if self._readable.distance_biases is not None:  # whole rows of the query
            size = max(size // self._width, 1) * self._width
        return (slice(start, start + size) for start in range(0, self._rows, size))

    def masked(self, affinity: Tensor, group: ReadGroup, start: int, *, shared: bool) -> Tensor:
        """Scores (Q, N) of query rows from ``start`` on, -inf where a group must not read.

        Affinities that other groups share are copied where they change.
        """
        scores, readable = affinity[:, group.skipped :], self._readable
        if not group.absent and readable.distance_biases is None:
            return scores
        scores = scores.clone() if shared else scores
        starts = readable.starts
        frames = scores[:, scores.shape[1] - starts[-1] :]
        for n in group.absent:
            frames[:, starts[n] : starts[n + 1]] = -torch.inf
        # Where the frame with the window is all that there is to read, it is read whole.
        if readable.distance_biases is not None and readable.frames - len(group.absent) > 1:
            rows, columns = readable.distance_biases
            windowed = frames[:, starts[readable.last] : starts[readable.last + 1]]
            by_row = windowed.unflatten(0, (-1, len(columns)))
            begin = start // len(columns)
            by_row += rows[begin : begin + len(by_row), None]
            by_row += columns
        return scores


class DenseRead(Read):
    """Reads the best of all keys.

    Args:
        query: rows (Q, C).
        size: height and width of the query.
        keys: rows of the table (N, C).
        readable: which of them are read.
        count: how many of the best a position reads; None for all.
        rounded: gives the affinities of a block from rounded keys; None computes them from ``keys``.
    """

    def __init__(
        self,
        query: Tensor,
        size: tuple[int, int],
        keys: Tensor,
        readable: Readable,
        count: int | None,
        rounded: Callable[[slice], Tensor] | None,
    ) -> None:
        num_keys = len(keys) if readable.index is None else len(readable.index)
        super().__init__(len(query), size[1], num_keys, readable, query.device)
        if rounded is None and readable.index is not None:
            keys = keys[readable.index]
        self._affinities = rounded or (lambda block: query[block] @ keys.T)
        self._count = count

    def scores(self, block: slice) -> Tensor:
        return self._affinities(block)

    def places(self, block: slice) -> slice:
        return slice(*block.indices(self._rows))

    def choose(self, scores: Tensor, group: ReadGroup, block: slice) -> tuple[Tensor, Tensor | None]:
        starts, every = self._readable.starts, self._readable.index
        present = scores.shape[1] - sum(starts[n + 1] - starts[n] for n in group.absent)
        if self._count is None or self._count >= present:
            return scores.softmax(1), None if every is None else every.expand(len(scores), -1)
        best, index = top_k(scores, self._count)
        return best.softmax(1), index if every is None else every[index]


class CoarseRead(Read):
    """Reads the best keys of the cells of 2x2 positions that match best at half resolution.

    Args:
        query: rows (Q, C) of all positions.
        size: height and width of the query.
        keys: rows of the table (N, C).
        coarse: pooled keys of the cells (M, C).
        readable: which cells are read.
        grid: height and width of a frame of the table.
        count: how many of the best keys a position reads.
        cells: how many cells the best keys are looked for in, at least.
    """

    def __init__(
        self,
        query: Tensor,
        size: tuple[int, int],
        keys: Tensor,
        coarse: Tensor,
        readable: Readable,
        grid: tuple[int, int],
        count: int | None,
        cells: int,
    ) -> None:
        self._asking = cell_members(*size, query.device)
        self._cells = query[self._asking]
        self._pooled = self._cells.mean(1)
        super().__init__(len(self._pooled), size[1] // 2, len(coarse), readable, query.device)
        self._table, self._coarse, self._grid = keys, coarse, grid
        self._count, self._num_cells = count or 0, max(cells, -(-(count or 0) // 4))

    def scores(self, block: slice) -> Tensor:
        return self._pooled[block] @ self._coarse.T

    def places(self, block: slice) -> Tensor:
        return self._asking[block].flatten()

    def choose(self, scores: Tensor, group: ReadGroup, block: slice) -> tuple[Tensor, Tensor]:
        members = cell_members(*self._grid, scores.device)
        present = (self._readable.frames - len(group.absent)) * len(members)
        num_cells = min(self._num_cells, present)
        cell_indices = top_k(scores, num_cells)[1]
        frame_starts = cell_indices // len(members) * members.numel()
        candidates = (members[cell_indices % len(members)] + frame_starts[:, :, None]).flatten(1)
        fine = self._cells[block] @ F.embedding(candidates, self._table).transpose(1, 2)
        best, place = largest(fine, min(self._count, 4 * num_cells))
        index = candidates[:, None].expand(-1, 4, -1).gather(2, place)
        return best.softmax(2).flatten(0, 1), index.flatten(0, 1)


def as_index(places: slice | Tensor) -> Tensor:
    """Places as numbers, (P,), int64."""
    return torch.arange(places.start, places.stop) if isinstance(places, slice) else places

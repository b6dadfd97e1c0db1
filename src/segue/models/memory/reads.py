"""Read a memory table: compare with all keys, or with the best cells at half resolution first.

A read goes in blocks of query rows. For each it gives the affinities with all keys, the places of the query
that they are for, and the weights of the best keys. :func:`attend_best` and :func:`attend_within_cells` are
also the read of exported graphs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.memory.selection import largest, top_k


def attend_best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Softmax weights (Q, k) of the best ``count`` of scores (Q, N), and their indices, int64."""
    best, places = top_k(scores, count)
    return best.softmax(1), places


def attend_within_cells(cells: Tensor, keys: Tensor, candidates: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Weights (4Q, k) of the best candidate keys for each position of a cell, and their rows.

    Cells of a query are (Q, 4, C), the keys of the memory (N, C), and ``candidates`` rows of the memory for
    each cell, (Q, m), int64.
    """
    fine = cells @ F.embedding(candidates, keys).transpose(1, 2)
    best, places = largest(fine, count)
    rows = candidates[:, None].expand(-1, 4, -1).gather(2, places)
    return best.softmax(2).flatten(0, 1), rows.flatten(0, 1)


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """Objects that read the same rows: without frames ``absent`` and the first ``skipped`` prototypes."""

    members: list[int]
    absent: list[int]
    skipped: int


@dataclass(frozen=True, slots=True)
class Readable:
    """Rows of frames that a query may read.

    Attributes:
        index: places of the rows, (N,), int64, ascending; None for all.
        starts: first row of each frame, and the number of rows.
        last: place of the frame that was written last.
        distance_biases: masks rows of the last frame outside its window, by row and column of the query.
        frames: number of frames.
    """

    index: Tensor | None
    starts: list[int]
    last: int
    distance_biases: tuple[Tensor, Tensor] | None
    frames: int


@dataclass(frozen=True, slots=True)
class Read(ABC):
    """Query rows that read keys, in blocks of rows.

    Attributes:
        readable: which rows of frames the keys are.
        query: the rows, (rows, C), as ``scores`` takes them.
        width: rows of the query in a row of its image.
        num_keys: number of the keys.
        count: number of best keys that a position reads; None for all.
        scores: computes the affinities (Q, N) of a block of rows (Q, C) with all keys.
        places: places of the query whose weights a row gives, (rows, 4); None where a row is its own place.
    """

    readable: Readable
    query: Tensor
    width: int
    num_keys: int
    count: int | None
    scores: Callable[[Tensor], Tensor]
    places: Tensor | None

    @abstractmethod
    def choose(self, scores: Tensor, group: ReadGroup, block: slice) -> tuple[Tensor, Tensor | None]:
        """Weights (P, k) of the best rows and their indices; or of all rows, (P, N), and None."""

    def masked(self, affinity: Tensor, group: ReadGroup, start: int, *, shared: bool) -> Tensor:
        """Mask scores (Q, N) of query rows from ``start`` on: -inf for rows that a group must not read.

        Affinities that other groups share are copied where they change.
        """
        scores, readable = affinity[:, group.skipped :], self.readable
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


@dataclass(frozen=True, slots=True)
class DenseRead(Read):
    """Compares with all keys."""

    def choose(self, scores: Tensor, group: ReadGroup, block: slice) -> tuple[Tensor, Tensor | None]:
        starts, every = self.readable.starts, self.readable.index
        present = scores.shape[1] - sum(starts[n + 1] - starts[n] for n in group.absent)
        if self.count is None or self.count >= present:
            return scores.softmax(1), None if every is None else every.expand(len(scores), -1)
        weights, index = attend_best(scores, self.count)
        return weights, index if every is None else every[index]


@dataclass(frozen=True, slots=True)
class CoarseRead(Read):
    """Compares with the keys of the best 2x2 cells at half resolution.

    Attributes:
        cells: the query by cells, (rows, 4, C).
        keys: rows of the table (N, C).
        members: positions of a frame of the table in each cell, (M, 4).
        min_cells: minimum number of cells to search for the best keys.
    """

    cells: Tensor
    keys: Tensor
    members: Tensor
    min_cells: int

    def choose(self, scores: Tensor, group: ReadGroup, block: slice) -> tuple[Tensor, Tensor]:
        members, count = self.members, self.count or 0
        present = (self.readable.frames - len(group.absent)) * len(members)
        num_cells = min(max(self.min_cells, -(-count // 4)), present)
        cell_indices = top_k(scores, num_cells)[1]
        frame_starts = cell_indices // len(members) * members.numel()
        candidates = (members[cell_indices % len(members)] + frame_starts[:, :, None]).flatten(1)
        return attend_within_cells(self.cells[block], self.keys, candidates, min(count, 4 * num_cells))

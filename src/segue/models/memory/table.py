"""The memory table: what is remembered of earlier frames, bounded and read in blocks.

It is a table of positions: a row for its key, its usage, and its value for each object. The rows of
prototypes ("long-term memory", Cheng and Schwing, "XMem", ECCV 2022, section 3.3) come first, then those of
frames, one frame after the other. An object has values from the frame on which it entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.memory.contents import FRESH, TableContents
from segue.models.memory.selection import cell_members, far_apart, places_of_largest, top_k, weighted_rows
from segue.models.memory.similarity import anisotropic_query_rows, potentiate, query_rows

BLOCK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Affinities that exist at a time: 4 MiB stay in a processor's cache, a GPU wants large products."""

BLOCK_ROWS = 48
"""Query rows of a block at least; thinner products waste a processor's registers."""

COARSE_CELLS = 24
"""Cells of 2x2 positions that the coarse step of a coarse-to-fine read hands to the fine step, at least."""


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """Objects that read the same rows: not the frames ``absent``, and the last ``long`` prototypes."""

    members: list[int]
    absent: list[int]
    long: int


@dataclass(frozen=True, slots=True)
class Readable:
    """The rows of frames that a query may read.

    Attributes:
        index: places of the rows, (N,), int64, ascending; None for all.
        starts: where the rows of each frame begin among them, and their number.
        last: place of the frame that was written last.
        far: what masks the rows of the last frame outside its window, by row and by column of the query.
    """

    index: Tensor | None
    starts: list[int]
    last: int
    far: tuple[Tensor, Tensor] | None


class MemoryTable(TableContents):
    """Keys and values of remembered frames and prototypes, which objects read."""

    def read(
        self,
        key: Tensor,
        ids: Sequence[int],
        selection: Tensor | None = None,
        *,
        at: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Values (K, Cv, h, w), channels last, that objects remember where a key (1, C, h, w) asks.

        Each query position takes the softmax over its ``top_k`` best positions, over all frames together.
        The read counts as usage at :meth:`commit_usage`; ``at`` is the row and column of the key's first
        position.
        """
        height, width = key.shape[-2:]
        query = self._query(key[0], selection)
        sample = self._tables[f"value.{ids[0]}"].rows
        out = sample.new_empty(len(ids), len(query), sample.shape[-1])
        if self._received is None and (self.similarity != "anisotropic" or self.ids[0] in ids):
            self._received = torch.zeros_like(self._tables["use"].rows)
        groups = self._groups(ids)
        asking = cell_members(height, width, 1, query.device) if self._is_coarse else None
        cells = None if asking is None else query[asking]
        asked = query if cells is None else cells.mean(1)
        table = self._tables["keys" if cells is None else "coarse"]
        cell = 1 if cells is None else 2
        at = at[0] // cell, at[1] // cell
        readable = self._readable((height // cell, width // cell), at, cell)
        rows = table.rows if readable.index is None else self._gathered_keys(readable.index)
        size = max(BLOCK_ELEMENTS.get(query.device.type, 1 << 21) // len(rows), BLOCK_ROWS)
        for start in range(0, len(asked), size):
            block = slice(start, start + size)
            affinity = asked[block] @ rows.T
            for group in groups:
                scores = affinity[:, self.long - group.long :]
                if group.absent or readable.far is not None:
                    scores = scores if len(groups) == 1 else scores.clone()
                    scores = self._masked(scores, group, readable, start)
                if cells is None or asking is None:
                    places: slice | Tensor = block
                    weights, index = self._choose(scores, group, readable)
                else:
                    places = asking[block].flatten()
                    weights, index = self._choose_fine(scores, group, cells[block])
                self._gather(weights, index, group, ids, out, places)
        return out.view(len(ids), height, width, -1).permute(0, 3, 1, 2)

    def compress(self, prototypes: int, recent: int) -> None:
        """Replace temporary frames but for the ``recent`` last by prototypes (XMem, section 3.3).

        Prototypes are the rows of largest usage, read from all that is replaced ("potentiation").
        """
        temporary = self.temporary()
        moved = temporary[: len(temporary) - recent]
        if not moved:
            return
        keys = self._tables["keys"].rows
        places = self._rows_of(moved).to(keys.device)
        usage = self.usage()[self.long + places]
        chosen = usage.topk(min(prototypes, len(usage)), sorted=True).indices
        if not self.official:
            chosen = chosen.sort().values  # those that a later group has values for come last, as its rows do
        own = {i: self._own_among(i, moved, recent) for i in self.objects}
        counts = list(dict.fromkeys(len(frames) for frames in own.values()))
        rows, shares = potentiate(
            keys[self.long + places],
            self._tables["selection"].rows[places],
            chosen,
            [count * self.positions for count in counts],
        )
        weights = dict(zip(counts, shares, strict=True))
        made = {}
        for i, frames in own.items():
            values = self._tables[f"value.{i}"].rows
            taken = values[self.objects[i].long + self._rows_of(frames).to(values.device)]
            made[i] = weights[len(frames)].to(values.dtype) @ taken
        self._keep_frames([n for n in range(len(self.frames)) if n not in moved], recent=recent)
        self._append_long(rows, made)

    def _query(self, key: Tensor, selection: Tensor | None) -> Tensor:
        if self.similarity == "anisotropic":
            assert selection is not None
            return anisotropic_query_rows(key.flatten(1).T, selection[0].flatten(1).T)
        return query_rows(key, self.similarity)

    def _groups(self, ids: Sequence[int]) -> list[ReadGroup]:
        """Objects that read the same rows."""
        groups: dict[tuple[int, int], list[int]] = {}
        for i in ids:
            known = self.objects[i]
            groups.setdefault((known.entered, known.long), []).append(i)
        return [
            ReadGroup(members, [n for n, frame in enumerate(self.frames) if frame.number < entered], long)
            for (entered, long), members in groups.items()
        ]

    def _readable(self, size: tuple[int, int], at: tuple[int, int], cell: int) -> Readable:
        """Choose the rows that a query of some size at some place reads, in cells of 1 or 2 positions."""
        height, width = (length // cell for length in self._grid)
        count = height * width
        frames = len(self.frames)
        starts, index, far = [n * count for n in range(frames + 1)], None, None
        place = torch.arange(count, device=self._tables["keys"].rows.device)
        last = self._by_time()[-1]
        if cell == 1 and "read" in self._tables:
            chosen = self._tables["read"].rows.view(frames, count)
            starts = [0, *chosen.sum(1).cumsum(0).tolist()]
            index, place = chosen.flatten().nonzero().flatten(), place[chosen[last]]
        if self.last_window is not None:
            reach = self.last_window // cell
            down, across = (
                far_apart(length, reach, place.device)[start : start + asked][:, axis]
                for length, start, asked, axis in zip(
                    (height, width), at, size, (place // width, place % width), strict=True
                )
            )
            far = down, across
        return Readable(index, starts, last, far)

    def _gathered_keys(self, index: Tensor) -> Tensor:
        """The keys that are read, gathered once for all objects and windows between two writes."""
        if self._gathered is None:
            self._gathered = self._tables["keys"].rows[index]
        return self._gathered

    def _masked(self, scores: Tensor, group: ReadGroup, readable: Readable, start: int) -> Tensor:
        """Set scores (Q, N) of query rows from ``start`` on to -inf where a group must not read, in place."""
        by_frame = [group.long + begin for begin in readable.starts]
        for n in group.absent:
            scores[:, by_frame[n] : by_frame[n + 1]] = -torch.inf
        # Where the frame with the window is all that there is to read, it is read whole.
        if readable.far is not None and len(self.frames) - len(group.absent) > 1:
            rows, columns = readable.far
            windowed = scores[:, by_frame[readable.last] : by_frame[readable.last + 1]]
            places = torch.arange(start, start + len(scores), device=scores.device)
            windowed += rows[places // len(columns)]
            windowed += columns[places % len(columns)]
        return scores

    def _choose(self, scores: Tensor, group: ReadGroup, readable: Readable) -> tuple[Tensor, Tensor | None]:
        """Weights (Q, k) of the best rows and their places, or of all rows (Q, N) and None."""
        starts = readable.starts
        present = scores.shape[1] - sum(starts[n + 1] - starts[n] for n in group.absent)
        if self.top_k is None or self.top_k >= present:
            every = readable.index
            return scores.softmax(1), None if every is None else every.expand(len(scores), -1)
        best, index = top_k(scores, self.top_k)
        return best.softmax(1), index if readable.index is None else readable.index[index]

    def _choose_fine(self, scores: Tensor, group: ReadGroup, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (4 Q, k) and places of the top-k among the cells that match best at half resolution."""
        members = cell_members(*self._grid, len(self.frames), scores.device)
        present = (len(self.frames) - len(group.absent)) * self.positions // 4
        wanted = min(max(COARSE_CELLS, -(-(self.top_k or 0) // 4)), present)
        candidates = members[top_k(scores, wanted)[1]].flatten(1)
        keys = self._tables["keys"].rows
        fine = cells @ F.embedding(candidates, keys).transpose(1, 2)
        place = places_of_largest(fine, min(self.top_k or 0, 4 * wanted))
        weights = fine.gather(2, place).softmax(2)
        index = candidates[:, None].expand(-1, 4, -1).gather(2, place)
        return weights.flatten(0, 1), index.flatten(0, 1)

    def _gather(
        self,
        weights: Tensor,
        index: Tensor | None,
        group: ReadGroup,
        ids: Sequence[int],
        out: Tensor,
        places: slice | Tensor,
    ) -> None:
        """Write weighted values into places of the output (K, P, Cv), and count the attention."""
        if self._received is not None and (readers := self._readers(group)):
            received = self._received[self.long - group.long :]
            if index is None:
                received.add_(weights.sum(0), alpha=readers)
            else:
                received.index_add_(0, index.flatten(), weights.flatten(), alpha=readers)
        for i in group.members:
            values = self._tables[f"value.{i}"].rows
            out[ids.index(i), places] = (
                weights.to(values.dtype) @ values if index is None else weighted_rows(index, weights, values)
            )

    def _readers(self, group: ReadGroup) -> int:
        """Weight of the attention of a group: XMem counts the first object only."""
        if self.similarity == "anisotropic":
            return int(self.ids[0] in group.members)
        return len(group.members)

    def _own_among(self, i: int, moved: Sequence[int], recent: int) -> list[int]:
        """The replaced frames whose values make the prototypes of an object."""
        own = [n for n in self._by_time() if self.frames[n].number >= self.objects[i].entered]
        if not self.official or len(own) == len(self.frames):
            return [n for n in moved if n in own]
        return own[1 : len(own) - recent] if len(own) > recent + 2 else []

    def _append_long(self, rows: Tensor, values: dict[int, Tensor]) -> None:
        """Add prototypes: their keys, and the values of objects, which have the last ones."""
        fresh = torch.zeros(len(rows), device=rows.device)
        for name, new in (("keys", rows), ("use", fresh), ("life", fresh + FRESH)):
            self._tables[name].insert(self.long, new)
        self.long += len(rows)
        for i, own in values.items():
            self._tables[f"value.{i}"].insert(self.objects[i].long, own)
            self.objects[i].long += len(own)

    def _rows_of(self, frames: Sequence[int]) -> Tensor:
        """Rows of frames, counted from the first frame."""
        steps = torch.arange(self.positions)
        return (torch.tensor(list(frames), dtype=torch.int64)[:, None] * self.positions + steps).flatten()

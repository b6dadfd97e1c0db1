"""A memory that can be thinned out position by position: whole frames, and prototypes of older ones.

Cheng and Schwing, "XMem" (ECCV 2022), section 3.2 and 3.3; Cheng et al., "Cutie" (CVPR 2024), section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segue.layers.products import product_with
from segue.models.memory.consolidation import consolidate
from segue.models.memory.contents import Contents, Group, rows_of
from segue.models.memory.reading import BLOCK_ELEMENTS, BLOCK_ROWS, top_k, weighted_rows
from segue.models.memory.similarity import query_rows


class MemoryStore(Contents):
    """Keys and values of frames and prototypes, which objects read.

    Args:
        top_k: rows that a query position reads; None for all.
        reserve: rows to take space for.
        official: consolidate objects that entered later as XMem's release does: their first values end up
            beside keys of another frame, or vanish (docs/systems/xmem.md). Otherwise the frame on which a
            group entered stays, with its own keys, as the first frame of the video does.
    """

    def __init__(self, top_k: int | None, *, reserve: int = 0, official: bool = False) -> None:
        super().__init__(reserve=reserve, official=official)
        self.top_k = top_k

    def _clear(self) -> None:
        super()._clear()
        self._received: Tensor | None = None

    def read(self, key: Tensor, selection: Tensor, ids: Sequence[int], *, count: bool = True) -> Tensor:
        """Read from memory for some objects, by the similarity of XMem (section 3.4).

        With ``count`` the read counts as usage, that of the first group, which has all rows, once
        :meth:`commit_usage` is called.

        Args:
            key: of the query frame, (1, C, h, w).
            selection: weights of its channels, (1, C, h, w).
            ids: objects that read.
            count: see above.

        Returns:
            Values (K, Cv, h, w), channels last in memory.
        """
        query = query_rows(rows_of(key[0]), rows_of(selection[0]))
        table, count_of_rows = self.keys.padded, len(self.keys)
        height, width = key.shape[-2:]
        sample = self.values[ids[0]].rows
        out = sample.new_empty(len(ids), len(query), sample.shape[-1])
        usage = torch.zeros_like(self._usage.use.rows) if count and self.groups[0].ids[0] in ids else None
        if usage is not None:
            self._received = usage
        wanted = [(group, [i for i in group.ids if i in ids]) for group in self.groups]
        size = max(BLOCK_ELEMENTS.get(query.device.type, 1 << 21) // len(table), BLOCK_ROWS)
        compare = product_with(table, min(size, len(query)))
        for start in range(0, len(query), size):
            block = slice(start, start + size)
            affinity = compare(query[block])[:, :count_of_rows]
            for number, (group, members) in enumerate(wanted):
                if members:
                    received = usage if number == 0 else None
                    self._read_group(
                        self._columns(affinity, group), group, members, ids, out[:, block], received
                    )
        return out.view(len(ids), height, width, -1).permute(0, 3, 1, 2)

    def _columns(self, affinity: Tensor, group: Group) -> Tensor:
        """The part of (P, N) that belongs to the rows of a group."""
        if group.long + group.working == affinity.shape[1]:
            return affinity
        long = affinity[:, self.long - group.long : self.long]
        return torch.cat([long, affinity[:, affinity.shape[1] - group.working :]], dim=1)

    def _read_group(
        self,
        scores: Tensor,
        group: Group,
        members: list[int],
        ids: Sequence[int],
        out: Tensor,
        usage: Tensor | None,
    ) -> None:
        rows = scores.shape[1]
        if self.top_k is None or self.top_k >= rows:
            weights, index = scores.softmax(dim=1), None
            if usage is not None:
                usage[-rows:] += weights.sum(0)
        else:
            best, index = top_k(scores, self.top_k)
            weights = best.softmax(dim=1)
            if usage is not None:
                usage[-rows:].index_add_(0, index.flatten(), weights.flatten())
        for i in members:
            values = self.values[i].rows
            found = (
                weights.to(values.dtype) @ values if index is None else weighted_rows(index, weights, values)
            )
            out[ids.index(i)] = found

    def commit_usage(self) -> None:
        """Count the last read that was to be counted."""
        if self._received is not None:
            self._usage.use.rows.add_(self._received)
            self._usage.life.rows.add_(1)
            self._received = None

    def discard_usage(self) -> None:
        """Do not count the last read, of a frame that was not finished."""
        self._received = None

    def consolidate(self, prototypes: int, recent: int) -> None:
        """Replace frames, but for those that stay and the ``recent`` last, by prototypes.

        See :mod:`segue.models.memory.consolidation`.

        Args:
            prototypes: most rows to make of them.
            recent: number of last frames that stay.
        """
        consolidate(self, prototypes, recent)

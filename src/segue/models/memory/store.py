"""A memory that can be thinned out position by position: whole frames, and prototypes of older ones.

Cheng and Schwing, "XMem" (ECCV 2022), section 3.2 and 3.3; Cheng et al., "Cutie" (CVPR 2024), section 3.4. A
store holds the keys of one set of objects and, for groups of them that entered on the same frame, values. Its
rows are long-term elements first, then whole frames in the order of time. The values of a group belong to the
last rows of both parts, since a group that entered later lacks the earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segue.layers.fused import product_with
from segue.models.memory.reading import BLOCK_ELEMENTS, BLOCK_ROWS, top_k, weighted_rows
from segue.models.memory.rows import Rows, Usage
from segue.models.memory.similarity import memory_rows, potentiate, query_rows


@dataclass(slots=True)
class Group:
    """Objects that entered on the same frame.

    Attributes:
        ids: the objects.
        entry: number of the frame on which they entered.
        long: rows of the long-term part that they have values for, the last ones.
        working: the same for the frames.
    """

    ids: list[int]
    entry: int
    long: int = 0
    working: int = 0


class MemoryStore:
    """Keys and values of frames and prototypes; see the module.

    Args:
        top_k: rows that a query position reads; None for all.
        reserve: rows to take space for.
        official: consolidate objects that entered later as XMem's release does: their first values end up
            beside keys of another frame, or vanish (docs/systems/xmem.md). Otherwise the frame on which a
            group entered stays, with its own keys, as the first frame of the video does.
    """

    def __init__(self, top_k: int | None, *, reserve: int = 0, official: bool = False) -> None:
        self.top_k, self._reserve, self._official = top_k, reserve, official
        self._clear()

    def _clear(self) -> None:
        self.keys = Rows(self._reserve)
        self.selection = Rows()
        self.values: dict[int, Rows] = {}
        self.groups: list[Group] = []
        self.frames: list[int] = []
        """Numbers of the remembered frames, ascending."""
        self.permanent: set[int] = set()
        """Numbers of frames that never make room, in addition to those on which objects entered."""
        self._usage = Usage()
        self.long = 0
        self._positions = 0
        self._writes = 0
        self._received: Tensor | None = None

    @property
    def count(self) -> int:
        """Rows of the frames."""
        return len(self.keys) - self.long

    @property
    def positions(self) -> int:
        """Rows of one frame."""
        return self._positions

    @property
    def ids(self) -> list[int]:
        """The objects, in the order of their entry."""
        return [i for group in self.groups for i in group.ids]

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values in use."""
        return sum(table.rows.nbytes for table in (self.keys, *self.values.values()) if len(table))

    def append(
        self,
        ids: Sequence[int],
        key: Tensor,
        shrinkage: Tensor,
        selection: Tensor,
        values: Tensor,
        *,
        permanent: bool = False,
    ) -> None:
        """Remember a frame; objects that are new form a group.

        Args:
            ids: objects, in the order of ``values``; all that the store knows are among them.
            key: (1, C, h, w).
            shrinkage: (1, 1, h, w).
            selection: (1, C, h, w).
            values: (K, Cv, h, w).
            permanent: the frame never makes room.
        """
        rows = memory_rows(_rows_of(key[0]), _rows_of(shrinkage[0]))
        self._positions = len(rows)
        self.keys.append(rows)
        self.selection.append(_rows_of(selection[0]).float())
        self._usage.insert(len(self.keys) - len(rows), len(rows), rows)
        self.frames.append(self._writes)
        if permanent:
            self.permanent.add(self._writes)
        new = [i for i in ids if i not in self.values]
        if new:
            self.groups.append(Group(new, self._writes))
        for group in self.groups:
            group.working += len(rows)
            for i in group.ids:
                table = self.values.setdefault(i, Rows(self._reserve))
                table.append(_rows_of(values[ids.index(i)]))
        self._writes += 1

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
        query = query_rows(_rows_of(key[0]), _rows_of(selection[0]))
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

    def usage(self) -> Tensor:
        """Compute the attention that each row received per read.

        Returns:
            (N,), float: long-term elements, then frames.
        """
        return self._usage.normalised()

    def select_top(self, usage: Tensor, count: int) -> Tensor:
        """Find the rows of largest usage.

        Args:
            usage: (N,), see :meth:`usage`.
            count: how many rows, at most all.

        Returns:
            Their places, int64, by descending usage.
        """
        return usage.topk(min(count, len(usage)), sorted=True).indices

    def remove_range(self, start: int, stop: int) -> None:
        """Remove whole frames for all objects.

        Args:
            start: first row, counted from the first row of the first frame.
            stop: row after the last one.
        """
        for group in self.groups:
            offset = self.count - group.working
            first, last = max(start - offset, 0), max(stop - offset, 0)
            for i in group.ids:
                self.values[i].remove(group.long + first, group.long + last)
            group.working -= last - first
        self._remove_keys(start, stop)

    def _remove_keys(self, start: int, stop: int) -> None:
        del self.frames[start // self.positions : stop // self.positions]
        self.permanent.intersection_update(self.frames)
        for table in (self.keys, self._usage.use, self._usage.life):
            table.remove(self.long + start, self.long + stop)
        self.selection.remove(start, stop)

    def keep_long(self, kept: Tensor) -> None:
        """Keep some of the long-term elements, and remove the others.

        Args:
            kept: places of those that stay, int64, in ascending order.
        """
        for group in self.groups:
            first = self.long - group.long
            own = kept[kept >= first] - first
            for i in group.ids:
                rows = self.values[i].rows
                self.values[i].replace(torch.cat([rows[own], rows[group.long :]]))
            group.long = len(own)
        for table in (self.keys, self._usage.use, self._usage.life):
            table.replace(torch.cat([table.rows[kept], table.rows[self.long :]]))
        self.long = len(kept)

    def temporary(self) -> list[int]:
        """List the frames that may be removed.

        The first may not, nor a permanent one, nor one on which objects entered (see ``official``).

        Returns:
            Their places in ``frames``.
        """
        stay = self.permanent | (set() if self._official else {group.entry for group in self.groups})
        return [n for n, number in enumerate(self.frames) if n > 0 and number not in stay]

    def drop_frame(self, frame: int) -> None:
        """Remove one frame for all objects.

        Args:
            frame: its place in ``frames``.
        """
        self.remove_range(frame * self.positions, (frame + 1) * self.positions)

    def consolidate(self, prototypes: int, recent: int) -> None:
        """Replace frames, but for those that stay and the ``recent`` last, by prototypes (XMem, section 3.3).

        Prototypes are the rows of largest usage; their values and shrinkages are read from all that is
        replaced, with a softmax over all of it ("potentiation").

        Args:
            prototypes: most rows to make of them.
            recent: number of last frames that stay.
        """
        temporary = self.temporary()
        moved = temporary[: len(temporary) - recent]
        if not moved:
            return
        places = torch.cat([torch.arange(n * self.positions, (n + 1) * self.positions) for n in moved])
        places = places.to(self.keys.rows.device)
        chosen = self.select_top(self.usage()[self.long + places], prototypes)
        if not self._official:
            chosen = chosen.sort().values  # those that a later group has values for come last, as its rows do
        candidates, selection = self.keys.rows[self.long + places], self.selection.rows[places]
        shared = [self._candidates(group, moved) for group in self.groups]
        rows, shares = potentiate(candidates, selection, chosen, shared)
        taken: list[tuple[Group, int, dict[int, Tensor]]] = []
        for group, weights in zip(self.groups, shares, strict=True):
            values = {
                i: weights.to(own.dtype) @ own
                for i in group.ids
                for own in [self._values_at(group, i, moved)]
            }
            taken.append((group, len(weights), values))
        self._sieve(moved)
        self._append_long(rows, taken)

    def _candidates(self, group: Group, moved: list[int]) -> int:
        """Rows among the frames to be replaced that a group has values for, the last ones."""
        present = group.working // self.positions
        if not self._official or present == len(self.frames):
            first = len(self.frames) - present
            return sum(n >= first for n in moved) * self.positions
        recent = len(self.frames) - 1 - len(moved)
        return (present - recent - 1) * self.positions if present > recent + 2 else 0

    def _values_at(self, group: Group, i: int, moved: list[int]) -> Tensor:
        """Values of an object in the frames to be replaced, (rows, Cv)."""
        own = self.values[i].rows[group.long :].unflatten(0, (-1, self.positions))
        if self._official:
            return own[1 : 1 + self._candidates(group, moved) // self.positions].flatten(0, 1)
        first = len(self.frames) - len(own)
        return own[[n - first for n in moved if n >= first]].flatten(0, 1)

    def _sieve(self, moved: list[int]) -> None:
        """Forget the frames that were replaced."""
        if not self._official:
            for n in reversed(moved):
                self.drop_frame(n)
            return
        recent = len(self.frames) - 1 - len(moved)
        for group in self.groups:
            if group.working >= (recent + 2) * self.positions:
                stop = group.working - recent * self.positions
                for i in group.ids:
                    self.values[i].remove(group.long + self.positions, group.long + stop)
                group.working = (1 + recent) * self.positions
        self._remove_keys(self.positions, (1 + len(moved)) * self.positions)

    def _append_long(self, rows: Tensor, taken: list[tuple[Group, int, dict[int, Tensor]]]) -> None:
        self.keys.insert(self.long, rows)
        self._usage.insert(self.long, len(rows), rows)
        self.long += len(rows)
        for group, count, values in taken:
            for i, own in values.items():
                self.values[i].insert(group.long, own)
            group.long += count

    def forget(self, ids: Sequence[int]) -> None:
        """Remove objects, and rows that no object needs any longer.

        Args:
            ids: their ids; unknown ones are ignored.
        """
        for i in ids:
            self.values.pop(i, None)
        for group in self.groups:
            group.ids = [i for i in group.ids if i not in ids]
        self.groups = [group for group in self.groups if group.ids]
        if not self.groups:
            self._clear()
            return
        long, working = (max(getattr(g, part) for g in self.groups) for part in ("long", "working"))
        self._remove_keys(0, self.count - working)
        for table in (self.keys, self._usage.use, self._usage.life):
            table.remove(0, self.long - long)
        self.long = long

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that :meth:`restore` needs.

        Returns:
            Tensors, which later writes change, and JSON values, by name.
        """
        if not self.groups:
            return {}, {"groups": []}
        tables = {
            "keys": self.keys,
            "selection": self.selection,
            "use": self._usage.use,
            "life": self._usage.life,
        }
        tables |= {f"value.{i}": table for i, table in self.values.items()}
        groups = [[group.ids, group.entry, group.long, group.working] for group in self.groups]
        values = {"groups": groups, "frames": self.frames, "long": self.long}
        values |= {"positions": self.positions, "writes": self._writes}
        values["permanent"] = sorted(self.permanent)
        return {name: table.rows for name, table in tables.items()}, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave; the tensors are copied.

        Args:
            tensors: as :meth:`state` returned them; they are copied.
            values: as :meth:`state` returned them.
        """
        self.groups = [
            Group(list(ids), entry, long, working) for ids, entry, long, working in values["groups"]
        ]
        if not self.groups:
            return
        self.frames, self.long = list(values["frames"]), int(values["long"])
        self._positions, self._writes = int(values["positions"]), int(values["writes"])
        self.permanent = set(values["permanent"])
        self.values = {i: Rows(self._reserve) for i in self.ids}
        self._usage = Usage()
        tables = {
            "keys": self.keys,
            "selection": self.selection,
            "use": self._usage.use,
            "life": self._usage.life,
        }
        tables |= {f"value.{i}": table for i, table in self.values.items()}
        for name, table in tables.items():
            table.append(tensors[name])


def _rows_of(planes: Tensor) -> Tensor:
    """(C, h, w) as rows (h*w, C)."""
    return planes.flatten(1).T

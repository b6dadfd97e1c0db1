"""What a memory store holds: keys, usage and values as rows, and which rows the objects have.

Rows are long-term elements first, then whole frames in the order of time. The values of a group of objects
belong to the last rows of both parts, since a group that entered later lacks the earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segue.models.memory.rows import Rows, Usage
from segue.models.memory.similarity import memory_rows


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


class Contents:
    """Rows of keys, and of the values of each object; see the module.

    Args:
        reserve: rows to take space for.
        official: see :class:`segue.models.memory.MemoryStore`.
    """

    def __init__(self, *, reserve: int = 0, official: bool = False) -> None:
        self._reserve, self.official = reserve, official
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
        rows = memory_rows(rows_of(key[0]), rows_of(shrinkage[0]))
        self._positions = len(rows)
        self.keys.append(rows)
        self.selection.append(rows_of(selection[0]).float())
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
                table.append(rows_of(values[ids.index(i)]))
        self._writes += 1

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

    def temporary(self) -> list[int]:
        """List the frames that may be removed.

        The first may not, nor a permanent one, nor one on which objects entered (see ``official``).

        Returns:
            Their places in ``frames``.
        """
        stay = self.permanent | (set() if self.official else {group.entry for group in self.groups})
        return [n for n, number in enumerate(self.frames) if n > 0 and number not in stay]

    def drop_frame(self, frame: int) -> None:
        """Remove one frame for all objects.

        Args:
            frame: its place in ``frames``.
        """
        self.remove_range(frame * self.positions, (frame + 1) * self.positions)

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
        self.remove_keys(start, stop)

    def remove_keys(self, start: int, stop: int) -> None:
        """Remove whole frames whose values are gone, or go with their objects.

        Args:
            start: first row, counted from the first row of the first frame.
            stop: row after the last one.
        """
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

    def append_long(self, rows: Tensor, taken: Sequence[tuple[Group, int, dict[int, Tensor]]]) -> None:
        """Add elements to the long-term part.

        Args:
            rows: their keys, see :func:`segue.models.memory.similarity.memory_rows`.
            taken: groups, how many of the elements they have values for, the last ones, and those values,
                (rows, Cv), by object.
        """
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
        self.remove_keys(0, self.count - working)
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
        groups = [[group.ids, group.entry, group.long, group.working] for group in self.groups]
        values = {"groups": groups, "frames": self.frames, "long": self.long}
        values |= {"positions": self.positions, "writes": self._writes}
        values["permanent"] = sorted(self.permanent)
        return {name: table.rows for name, table in self._tables().items()}, values

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
        for name, table in self._tables().items():
            table.append(tensors[name])

    def _tables(self) -> dict[str, Rows]:
        """All tables, by the names that they have in a state."""
        tables = {
            "keys": self.keys,
            "selection": self.selection,
            "use": self._usage.use,
            "life": self._usage.life,
        }
        return tables | {f"value.{i}": table for i, table in self.values.items()}


def rows_of(planes: Tensor) -> Tensor:
    """Planes as rows.

    Args:
        planes: (C, h, w).

    Returns:
        A view, (h*w, C).
    """
    return planes.flatten(1).T

"""The memory bank: what a tracking session remembers of earlier frames, bounded and read in blocks.

Positions of all remembered frames stand in one preallocated table, frame after frame: one key row per
position, shared by all objects where the network allows it, and one value row per position and object.
The affinity between memory and query exists for one block of query rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from segue.models.base import MemoryPolicy
from segue.models.memory.reading import ReadPlan, key_rows, pool_keys, query_rows, read

FIRST_SLOTS = 4
RESERVE_BYTES = 1 << 30
"""Address space for tables of full size from the start; others grow, which takes old and new at once."""

SHARED = 0
"""Owner of keys that serve all objects; ids of objects start at 1."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One remembered frame.

    Attributes:
        written: number of the write, rising; tells old from new.
        members: ids of the objects that have a value here.
        pinned: a given mask stands behind it; such frames make room last.
        kept: False for the previous frame, which the next write replaces.
        read_since: number of the first read that saw it.
    """

    written: int
    members: frozenset[int]
    pinned: bool
    kept: bool
    read_since: int


@dataclass(slots=True)
class MemoryBank:
    """Keys and values of remembered frames.

    Args:
        similarity, shared_keys: as in :class:`segue.models.base.MemoryNetwork`.
        top_k: memory positions that one query position reads; None for all.
        memory_frames: bound on the kept frames; None for no bound.
        policy: ``usage`` replaces the frame that was read least, ``fifo`` the oldest; both spare the frames
            with given masks while others are left.
        coarse_above: number of positions of one frame above which the read goes from coarse to fine; None
            for never. It needs shared keys and a ``top_k``.
        last_window: radius within which the frame that was written last is read, for schedules that write
            every frame; None for all of it.
        penalty, last_penalty: confidence penalties, taken off the affinities of kept frames, and of the
            previous frame, unless their masks were given; only for L2.

    Why ``usage`` is the default: published evaluation keeps every fifth frame for ever. Frames that look
    like one another are read little each, and the one that shows the object from a side that no other frame
    shows is read much whenever that side comes back, however old it is. Until the bound is reached, the
    policies do not differ at all.
    """

    similarity: Literal["l2", "dot"]
    shared_keys: bool
    top_k: int | None
    memory_frames: int | None
    policy: MemoryPolicy = "usage"
    coarse_above: int | None = None
    last_window: int | None = None
    penalty: float = 0.0
    last_penalty: float = 0.0
    slots: list[Slot] = field(default_factory=list)
    _keys: dict[int, Tensor] = field(default_factory=dict)
    _values: dict[int, Tensor] = field(default_factory=dict)
    _coarse: Tensor | None = None
    _grid: tuple[int, int] = (0, 0)
    _usage: Tensor | None = None
    _writes: int = 0
    _reads: int = 0

    def write(
        self, ids: Sequence[int], keys: Tensor, values: Tensor, *, keep: bool = True, pinned: bool = False
    ) -> None:
        """Remember a frame; the previous frame that was written with ``keep=False`` is forgotten.

        Args:
            ids: objects, in the order of ``values``.
            keys: (1, Ck, h, w) where keys are shared, else (K, Ck, h, w).
            values: (K, Cv, h, w).
            keep: remember it until it must make room, not only until the next frame.
            pinned: its masks were given: it never makes room and has no penalty.
        """
        if self.slots and not self.slots[-1].kept:
            self.slots.pop()
        self._writes += 1
        slot = Slot(self._writes, frozenset(ids), pinned, keep, self._reads)
        index = self._choose_slot(keep)
        self._reserve(index + 1)
        self._grid = (keys.shape[2], keys.shape[3])
        penalty = 0.0 if pinned else self.penalty if keep else self.last_penalty
        owners = (SHARED,) if self.shared_keys else tuple(ids)
        for owner, key in zip(owners, keys, strict=True):
            self._store(self._keys, owner, index, key_rows(key, self.similarity, penalty))
        for owner, value in zip(ids, values, strict=True):
            self._store(self._values, owner, index, value.flatten(1).T)
        for owner in self._values.keys() - set(ids):
            self._values[owner][index] = 0  # nothing reads it, but dense products multiply it by zero
        if self._is_coarse:
            self._store_coarse(index, pool_keys(keys[0], self.similarity, penalty))
        if index == len(self.slots):
            self.slots.append(slot)
        else:
            self.slots[index] = slot
        self._used_by_slot(keys.device)[index] = 0

    def read(self, key: Tensor, ids: Sequence[int], *, count: bool = True) -> Tensor:
        """Read what the objects remember of the query's surroundings.

        Args:
            key: query key, (1, Ck, h, w).
            ids: objects; each has a value in at least one remembered frame.
            count: whether the read counts for what makes room later.

        Returns:
            (K, Cv, h, w), channels last in memory.
        """
        height, width = key.shape[-2:]
        query = query_rows(key[0], self.similarity)
        used, positions = len(self.slots), height * width
        sample = next(iter(self._values.values()))
        out = sample.new_empty(len(ids), positions, sample.shape[-1])
        usage = self._used_by_slot(query.device)[:used]
        if count:
            self._reads += 1
        else:
            usage = torch.zeros_like(usage)
        for owner, absent, members in self._cohorts(ids):
            plan = ReadPlan(
                keys=self._keys[owner][:used],
                values=[self._values[i][:used] for i in members],
                outputs=[out[ids.index(i)] for i in members],
                absent=absent,
                top_k=self.top_k,
                coarse=self._coarse[:used] if self._is_coarse and self._coarse is not None else None,
                grid=(height, width),
                usage=usage,
                window=self._window(),
            )
            read(query, plan)
        return out.view(len(ids), height, width, -1).permute(0, 3, 1, 2)

    def forget(self, ids: Sequence[int]) -> None:
        """Remove objects; frames that no object needs any longer are removed with them."""
        gone = frozenset(ids)
        for owner in gone:
            self._keys.pop(owner, None)
            self._values.pop(owner, None)
        remaining = [replace(slot, members=slot.members - gone) for slot in self.slots]
        keep = [i for i, slot in enumerate(remaining) if slot.members]
        self.slots = [remaining[i] for i in keep]
        if len(keep) < len(remaining):
            for table in self._tables():
                table[: len(keep)] = table[keep]

    @property
    def nbytes(self) -> int:
        """Bytes of the preallocated tables."""
        return sum(table.numel() * table.element_size() for table in self._tables())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, which later writes change, and JSON values, for :meth:`restore`."""
        used = len(self.slots)
        tensors = {f"key.{owner}": table[:used] for owner, table in self._keys.items()}
        tensors |= {f"value.{owner}": table[:used] for owner, table in self._values.items()}
        for name, table in (("coarse", self._coarse), ("usage", self._usage)):
            if table is not None:
                tensors[name] = table[:used]
        slots = [
            [slot.written, sorted(slot.members), slot.pinned, slot.kept, slot.read_since]
            for slot in self.slots
        ]
        values = {"slots": slots, "grid": self._grid, "writes": self._writes, "reads": self._reads}
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave; the tensors are copied."""
        self.slots = [
            Slot(int(written), frozenset(members), bool(pinned), bool(kept), int(read_since))
            for written, members, pinned, kept, read_since in values["slots"]
        ]
        self._grid = (int(values["grid"][0]), int(values["grid"][1]))
        self._writes, self._reads = int(values["writes"]), int(values["reads"])
        self._keys, self._values, self._coarse, self._usage = {}, {}, None, None
        for name, saved in tensors.items():
            table = saved.clone()
            kind, _, owner = name.partition(".")
            if kind == "coarse":
                self._coarse = table
            elif kind == "usage":
                self._usage = table
            else:
                (self._keys if kind == "key" else self._values)[int(owner)] = table

    def _window(self) -> tuple[int, int] | None:
        """Slot of the frame that was written last, and the radius within which it is read."""
        if self.last_window is None:
            return None
        return max(range(len(self.slots)), key=lambda i: self.slots[i].written), self.last_window

    @property
    def _is_coarse(self) -> bool:
        height, width = self._grid
        return self.coarse_above is not None and self.top_k is not None and height * width > self.coarse_above

    @property
    def _bound(self) -> int | None:
        """Frames that the tables hold at most: the kept ones and the previous one; None for no bound."""
        return None if self.memory_frames is None or self.policy == "all" else self.memory_frames + 1

    def _choose_slot(self, keep: bool) -> int:
        """Where the next frame goes: behind the last one, or in place of one that makes room."""
        full = self.memory_frames is not None and len(self.slots) >= self.memory_frames
        if not keep or not full or self.policy == "all":
            return len(self.slots)
        oldest_first = sorted(range(len(self.slots)), key=lambda i: self.slots[i].written)
        candidates = [i for i in oldest_first if not self.slots[i].pinned] or oldest_first[1:] or oldest_first
        if self.policy == "fifo" or self._usage is None:
            return candidates[0]
        usage = self._usage.tolist()
        return min(candidates, key=lambda i: usage[i] / max(self._reads - self.slots[i].read_since, 1))

    def _cohorts(self, ids: Sequence[int]) -> list[tuple[int, tuple[int, ...], list[int]]]:
        """Objects that read the same keys in the same frames: (owner of the keys, absent slots, ids)."""
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for i in ids:
            owner = SHARED if self.shared_keys else i
            absent = tuple(n for n, slot in enumerate(self.slots) if i not in slot.members)
            groups.setdefault((owner, absent), []).append(i)
        return [(owner, absent, members) for (owner, absent), members in groups.items()]

    def _tables(self) -> list[Tensor]:
        """Everything that has one row per slot."""
        single = [table for table in (self._coarse, self._usage) if table is not None]
        return [*self._keys.values(), *self._values.values(), *single]

    def _used_by_slot(self, device: torch.device) -> Tensor:
        """Attention that each slot received since it was written, summed over query positions and objects."""
        if self._usage is None:
            self._usage = torch.zeros(max(FIRST_SLOTS, len(self.slots) + 1), device=device)
        return self._usage

    def _reserve(self, count: int) -> None:
        """Let every table hold ``count`` frames; sizes double up to the bound, one table after the other."""
        for group in (self._keys, self._values):
            for owner, table in group.items():
                group[owner] = self._grown(table, count)
        self._coarse = None if self._coarse is None else self._grown(self._coarse, count)
        self._usage = None if self._usage is None else self._grown(self._usage, count)

    def _grown(self, table: Tensor, count: int) -> Tensor:
        """The table itself if it holds ``count`` frames, else a larger one."""
        if len(table) >= count:
            return table
        size = 2 * len(table) if self._bound is None else min(2 * len(table), self._bound)
        larger = table.new_empty(max(size, count), *table.shape[1:])
        larger[: len(table)] = table
        return larger

    def _store(self, tables: dict[int, Tensor], owner: int, index: int, rows: Tensor) -> None:
        if owner not in tables:
            tables[owner] = self._new_table(rows, index)
            tables[owner][:index] = 0
        tables[owner][index] = rows

    def _store_coarse(self, index: int, rows: Tensor) -> None:
        if self._coarse is None:
            self._coarse = self._new_table(rows, index)
        self._coarse[index] = rows

    def _new_table(self, rows: Tensor, index: int) -> Tensor:
        """A table for rows like these, which a processor provides with memory only as it fills."""
        size = max(FIRST_SLOTS, index + 1)
        if self._bound is not None and rows.device.type == "cpu":
            whole = self._bound * rows.nbytes
            size = max(size, self._bound if self.nbytes + whole <= RESERVE_BYTES else 0)
        return rows.new_empty(size, *rows.shape)

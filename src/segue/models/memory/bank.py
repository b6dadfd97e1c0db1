"""The memory bank: what a tracking session remembers of earlier frames, bounded and read in blocks.

Positions of all remembered frames stand in one preallocated table, frame after frame: one key row per
position, shared by all objects where the network allows it, and one value row per position and object.
The affinity between memory and query exists for one block of query rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from segue.layers.attention import Similarity
from segue.models.base import MemoryPolicy
from segue.models.memory.reading import ReadPlan, key_rows, pool_keys, query_rows, read

FIRST_SLOTS = 4
RESERVE_BYTES = 1 << 30
"""Address space for tables of full size from the start; others grow, which takes old and new at once."""

SHARED = 0
"""Owner of keys that serve all objects; ids of objects start at 1."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One remembered frame."""

    written: int  # number of the write, tells old from new
    members: frozenset[int]  # ids of the objects that have a value here
    pinned: bool  # a given mask stands behind it; such frames make room last
    kept: bool  # False for the previous frame, which the next write replaces
    read_since: int  # number of the first read that saw it


@dataclass(slots=True)
class MemoryBank:
    """Keys and values of remembered frames.

    Args:
        similarity: as in :class:`segue.models.base.MemoryNetwork`.
        shared_keys: as in :class:`segue.models.base.MemoryNetwork`.
        top_k: memory positions that one query position reads; None for all.
        memory_frames: bound on the kept frames; None for no bound.
        policy: ``usage`` replaces the frame that was read least, ``fifo`` the oldest; both spare the frames
            with given masks while others are left.
        coarse_above: number of positions of one frame above which the read goes from coarse to fine; None
            for never. It needs a ``top_k``.
        last_window: radius within which the frame that was written last is read, for schedules that write
            every frame; None for all of it.
        penalty: confidence penalty, taken off the affinities of kept frames unless their masks were given;
            only for L2.
        last_penalty: the same for the previous frame.
        uncertainty_penalty: the same times the uncertainty of the frame's masks, for any similarity.

    Why ``usage`` is the default: published evaluation keeps every fifth frame. Frames that look
    like one another are read little each, and the one that shows the object from a side that no other frame
    shows is read much whenever that side comes back, however old it is. Until the bound is reached, the
    policies do not differ at all.
    """

    similarity: Similarity
    shared_keys: bool
    top_k: int | None
    memory_frames: int | None
    policy: MemoryPolicy = "usage"
    coarse_above: int | None = None
    last_window: int | None = None
    penalty: float = 0.0
    last_penalty: float = 0.0
    uncertainty_penalty: float = 0.0
    slots: list[Slot] = field(default_factory=list)
    _tables: dict[str, Tensor] = field(default_factory=dict)
    """Rows of each slot: ``key.<owner>``, ``coarse.<owner>`` (pooled keys), ``value.<id>``, and ``usage``,
    the attention that it received since it was written, summed over query positions and objects."""
    _grid: tuple[int, int] = (0, 0)
    _writes: int = 0
    _reads: int = 0

    def write(
        self,
        ids: Sequence[int],
        keys: Tensor,
        values: Tensor,
        *,
        keep: bool = True,
        pinned: bool = False,
        uncertainty: float = 0.0,
    ) -> None:
        """Remember a frame; the previous frame that was written with ``keep=False`` is dropped.

        Args:
            ids: objects, in the order of ``values``.
            keys: (1, Ck, h, w) where keys are shared, else (K, Ck, h, w).
            values: (K, Cv, h, w).
            keep: remember it until it must make room, not only until the next frame.
            pinned: its masks were given: it never makes room and has no penalty.
            uncertainty: of its masks, in [0, 1].
        """
        if self.slots and not self.slots[-1].kept:
            self.slots.pop()
        self._writes += 1
        slot = Slot(self._writes, frozenset(ids), pinned, keep, self._reads)
        index = self._choose_slot(keep)
        self._grid = (keys.shape[2], keys.shape[3])
        penalty = self.uncertainty_penalty * uncertainty + (self.penalty if keep else self.last_penalty)
        penalty = 0.0 if pinned else penalty
        penalised = self.uncertainty_penalty > 0
        owners = (SHARED,) if self.shared_keys else ids
        rows = {f"value.{i}": value.flatten(1).T for i, value in zip(ids, values, strict=True)}
        for owner, key in zip(owners, keys, strict=True):
            rows[f"key.{owner}"] = key_rows(key, self.similarity, penalty, penalised=penalised)
            if self._is_coarse:
                rows[f"coarse.{owner}"] = pool_keys(key, self.similarity, penalty)
        rows["usage"] = torch.zeros((), device=keys.device)
        self._store(index, rows)
        self.slots[index : index + 1] = [slot]

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
        query = query_rows(key[0], self.similarity, penalised=self.uncertainty_penalty > 0)
        used, positions = len(self.slots), height * width
        tables = {name: table[:used] for name, table in self._tables.items()}
        sample = tables[f"value.{ids[0]}"]
        out = sample.new_empty(len(ids), positions, sample.shape[-1])
        usage = tables["usage"]
        if count:
            self._reads += 1
        else:
            usage = torch.zeros_like(usage)
        window = None
        if self.last_window is not None:
            window = max(range(used), key=lambda i: self.slots[i].written), self.last_window
        for (owner, absent), members in self._cohorts(ids).items():
            plan = ReadPlan(
                keys=tables[f"key.{owner}"],
                values=[tables[f"value.{i}"] for i in members],
                outputs=[out[ids.index(i)] for i in members],
                absent=absent,
                top_k=self.top_k,
                coarse=tables.get(f"coarse.{owner}"),
                grid=(height, width),
                usage=usage,
                window=window,
            )
            read(query, plan)
        return out.view(len(ids), height, width, -1).permute(0, 3, 1, 2)

    def forget(self, ids: Sequence[int]) -> None:
        """Remove objects; frames that no object needs any longer are removed with them.

        Args:
            ids: their ids; unknown ones are ignored.
        """
        for i in ids:
            for kind in ("key", "coarse", "value"):
                self._tables.pop(f"{kind}.{i}", None)
        remaining = [replace(slot, members=slot.members.difference(ids)) for slot in self.slots]
        keep = [i for i, slot in enumerate(remaining) if slot.members]
        self.slots = [remaining[i] for i in keep]
        if len(keep) < len(remaining):
            for table in self._tables.values():
                table[: len(keep)] = table[keep]

    @property
    def nbytes(self) -> int:
        """Bytes of the preallocated tables."""
        return sum(table.nbytes for table in self._tables.values())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that :meth:`restore` needs.

        Returns:
            Tensors, which later writes change, and JSON values, by name.
        """
        tensors = {name: table[: len(self.slots)] for name, table in self._tables.items()}
        slots = [[s.written, sorted(s.members), s.pinned, s.kept, s.read_since] for s in self.slots]
        values = {"slots": slots, "grid": self._grid, "writes": self._writes, "reads": self._reads}
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave; the tensors are copied.

        Args:
            tensors: as :meth:`state` returned them; they are copied.
            values: as :meth:`state` returned them.
        """
        self.slots = [
            Slot(int(written), frozenset(members), bool(pinned), bool(kept), int(read_since))
            for written, members, pinned, kept, read_since in values["slots"]
        ]
        self._grid = (int(values["grid"][0]), int(values["grid"][1]))
        self._writes, self._reads = int(values["writes"]), int(values["reads"])
        self._tables = {name: saved.clone() for name, saved in tensors.items()}

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
        if self.policy == "fifo":
            return candidates[0]
        usage = self._tables["usage"].tolist()
        return min(candidates, key=lambda i: usage[i] / max(self._reads - self.slots[i].read_since, 1))

    def _cohorts(self, ids: Sequence[int]) -> dict[tuple[int, tuple[int, ...]], list[int]]:
        """Objects that read the same keys in the same frames, by owner of the keys and absent slots."""
        cohorts: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for i in ids:
            owner = SHARED if self.shared_keys else i
            absent = tuple(n for n, slot in enumerate(self.slots) if i not in slot.members)
            cohorts.setdefault((owner, absent), []).append(i)
        return cohorts

    def _store(self, index: int, rows: dict[str, Tensor]) -> None:
        """Write the rows of a slot; tables double up to the bound as they fill, one after the other."""
        for name, table in self._tables.items():
            if len(table) <= index:
                size = 2 * len(table) if self._bound is None else min(2 * len(table), self._bound)
                larger = table.new_empty(max(size, index + 1), *table.shape[1:])
                larger[: len(table)] = table
                self._tables[name] = larger
        for name, row in rows.items():
            if name not in self._tables:
                self._tables[name] = self._new_table(row, index)
                self._tables[name][: len(self.slots)] = 0
            self._tables[name][index] = row
        for name in self._tables.keys() - rows.keys():
            self._tables[name][index] = 0  # nothing reads it, but dense products multiply it by zero

    def _new_table(self, rows: Tensor, index: int) -> Tensor:
        """A table for rows like these, which a processor provides with memory only as it fills."""
        size = max(FIRST_SLOTS, index + 1)
        if self._bound is not None and rows.device.type == "cpu":
            whole = self._bound * rows.nbytes
            size = max(size, self._bound if self.nbytes + whole <= RESERVE_BYTES else 0)
        return rows.new_empty(size, *rows.shape)

"""Content of a memory table: frames, objects, and rows of keys, usage and values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import Similarity
from segue.models.memory.rows import Rows
from segue.models.memory.similarity import anisotropic_key_rows, key_rows, pool_keys
from segue.types import MemoryPolicy

RESERVE_BYTES = 1 << 30
"""Address space for tables of full size from the start; others grow, which takes old and new at once."""

SPARSE_COUNTS = 2.0
"""For how many positions each of the sparse ones far from all objects counts; with 4, background wins."""

FRESH = 1e-7
"""Age of a new row, so that usage over age exists before the first read."""


@dataclass(frozen=True, slots=True)
class MemoryFrame:
    """One remembered frame."""

    number: int
    pinned: bool
    kept: bool


@dataclass(slots=True)
class MemoryObject:
    """The rows of an object: all frames from number ``entered`` on, and the last ``long`` prototypes."""

    entered: int
    long: int = 0


@dataclass(slots=True)
class TableContents:
    """Keys and values of remembered frames and prototypes.

    Attributes:
        similarity: as in :class:`segue.models.base.MemoryNetwork`, or ``anisotropic``, for which writes need
            a shrinkage and reads a selection.
        top_k: memory positions that one query position reads; None for all.
        memory_frames: bound on the kept frames; None for no bound.
        policy: ``usage`` replaces the frame that was read least, ``fifo`` the oldest; ``all`` ignores the
            bound.
        spare_pinned: pinned frames never make room, and only the oldest counts for the bound; otherwise they
            count, and make room when no others are left.
        coarse_above: number of positions of one frame above which the read goes from coarse to fine; None
            for never. It needs a ``top_k``.
        last_window: radius within which the frame that was written last is read; None for all of it.
        penalty: confidence penalty, taken off the affinities of kept frames that are not pinned.
        last_penalty: the same for the previous frame.
        dense_radius: how far from the objects all positions of a kept frame are read; farther away one in
            four is, which counts for two. None reads all; only for L2, and not from coarse to fine.
        official: compress as XMem's release does: the first values of objects that entered later end up
            beside keys of another frame, or vanish (docs/systems/xmem.md).
    """

    similarity: Similarity | Literal["anisotropic"] = "l2"
    top_k: int | None = None
    memory_frames: int | None = None
    policy: MemoryPolicy = "usage"
    spare_pinned: bool = False
    coarse_above: int | None = None
    last_window: int | None = None
    penalty: float = 0.0
    last_penalty: float = 0.0
    dense_radius: int | None = None
    official: bool = False
    frames: list[MemoryFrame] = field(default_factory=list)
    objects: dict[int, MemoryObject] = field(default_factory=dict)
    """In the order of their entry."""
    long: int = 0
    """Number of prototypes."""
    _tables: dict[str, Rows] = field(default_factory=dict)
    """``keys``, ``use`` (attention received) and ``life`` (reads since it was written) of all rows,
    ``selection``, ``coarse`` (pooled keys) and ``read`` (which are read) of frames, and ``value.<id>``."""
    _grid: tuple[int, int] = (0, 0)
    _writes: int = 0
    _received: Tensor | None = None
    _gathered: Tensor | None = None

    @property
    def ids(self) -> list[int]:
        """The objects, in the order of their entry."""
        return list(self.objects)

    @property
    def positions(self) -> int:
        """Rows of one frame."""
        return self._grid[0] * self._grid[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for table in self._tables.values())

    def write(
        self,
        ids: Sequence[int],
        key: Tensor,
        values: Tensor,
        *,
        shrinkage: Tensor | None = None,
        selection: Tensor | None = None,
        keep: bool = True,
        pinned: bool = False,
        occupied: Tensor | None = None,
    ) -> None:
        """Remember keys (1, C, h, w) and values (K, Cv, h, w) of a frame, until the next one if not ``keep``.

        ``shrinkage`` (1, 1, h, w) and ``selection`` (1, C, h, w) are for the anisotropic similarity; a
        ``pinned`` frame is spared as long as possible and never penalised. Reads that were not committed do
        not count. ``occupied`` says where its objects are, (h, w), bool, for ``dense_radius``.
        """
        if self.frames and not self.frames[-1].kept:
            self._keep_frames(range(len(self.frames) - 1))
        self._received = self._gathered = None
        frame = MemoryFrame(self._writes, pinned, keep)
        self._writes += 1
        new = [i for i in ids if i not in self.objects]
        slot = self._slot(keep, pinned or bool(new))
        if slot is None:
            return
        self._grid = (key.shape[2], key.shape[3])
        self.objects |= {i: MemoryObject(frame.number) for i in new}
        penalty = self.penalty if keep else self.last_penalty
        rows = self._rows(key, shrinkage, 0.0 if pinned else penalty)
        if self.dense_radius is not None and not self._is_coarse:
            rows["read"] = self._thin(rows["keys"], occupied, self.dense_radius)
        if selection is not None:
            rows["selection"] = selection[0].flatten(1).T.float()
        rows |= {f"value.{i}": value.flatten(1).T for i, value in zip(ids, values, strict=True)}
        for name, fresh in rows.items():
            if name not in self._tables:
                self._tables[name] = self._new_table(fresh)
                if slot < len(self.frames):  # frames behind it have no value of a new object
                    self._tables[name].put((len(self.frames) - 1) * len(fresh), torch.zeros_like(fresh))
            self._tables[name].put(self._before_frames(name) + slot * len(fresh), fresh)
        self.frames[slot : slot + 1] = [frame]

    def last_entry(self, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Key (1, C, h, w) and values (K, Cv, h, w) written last, channels last; only for L2."""
        start = self._by_time()[-1] * self.positions
        last = slice(start, start + self.positions)
        key = self._tables["keys"].rows[None, last, :-1]
        values = torch.stack([self._tables[f"value.{i}"].rows[last] for i in ids])
        key, values = (rows.unflatten(1, self._grid).permute(0, 3, 1, 2) for rows in (key, values))
        return key.contiguous(memory_format=torch.channels_last), values

    def commit_usage(self) -> None:
        """Count the reads since the last call that were to be counted."""
        if self._received is not None:
            self._tables["use"].rows.add_(self._received)
            self._tables["life"].rows.add_(1)
            self._received = None

    def discard_usage(self) -> None:
        """Do not count the last reads, of a frame that was not finished."""
        self._received = None

    def usage(self) -> Tensor:
        """The attention that each row received per read, (N,), float32: prototypes, then frames."""
        return self._tables["use"].rows / self._tables["life"].rows

    def forget(self, ids: Iterable[int]) -> None:
        """Remove objects, and rows that no object needs any longer; unknown ids are ignored."""
        self._received = self._gathered = None
        for i in ids:
            self.objects.pop(i, None)
            self._tables.pop(f"value.{i}", None)
        if not self.objects:
            self.frames, self.long, self._tables = [], 0, {}
            return
        first = min(known.entered for known in self.objects.values())
        self._keep_frames([n for n, frame in enumerate(self.frames) if frame.number >= first])
        long = max(known.long for known in self.objects.values())
        self.keep_long(torch.arange(self.long - long, self.long, device=self._tables["keys"].rows.device))

    def temporary(self) -> list[int]:
        """Places of the frames that make room first, from old to new: those that are not pinned."""
        stay = {frame.number for frame in self.frames if frame.pinned}
        by_time = self._by_time()
        if self.spare_pinned:
            stay |= {self.frames[n].number for n in by_time[:1]}
            stay |= set() if self.official else {known.entered for known in self.objects.values()}
        return [n for n in by_time if self.frames[n].number not in stay]

    def keep_long(self, kept: Tensor) -> None:
        """Keep the prototypes at some places, int64, ascending, and remove the others."""
        if len(kept) == self.long:
            return
        for name, table in self._tables.items():
            before = self._before_frames(name)
            if not before:
                continue
            own = kept[kept >= self.long - before] - (self.long - before)
            table.keep(torch.cat([own, torch.arange(before, len(table), device=kept.device)]))
            if name.startswith("value."):
                self.objects[int(name.removeprefix("value."))].long = len(own)
        self.long = len(kept)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, which later writes change, and JSON values, for :meth:`restore`."""
        values = {
            "frames": [asdict(frame) for frame in self.frames],
            "objects": [[i, known.entered, known.long] for i, known in self.objects.items()],
            "long": self.long,
            "grid": self._grid,
            "writes": self._writes,
        }
        return {name: table.rows for name, table in self._tables.items()}, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave; the tensors are copied."""
        self.frames = [
            MemoryFrame(int(frame["number"]), bool(frame["pinned"]), bool(frame["kept"]))
            for frame in values["frames"]
        ]
        self.objects = {int(i): MemoryObject(int(first), int(long)) for i, first, long in values["objects"]}
        self.long, self._writes = int(values["long"]), int(values["writes"])
        self._grid = (int(values["grid"][0]), int(values["grid"][1]))
        self._tables, self._received, self._gathered = {}, None, None
        for name, rows in tensors.items():
            self._tables[name] = Rows()
            self._tables[name].put(0, rows)

    @property
    def _is_coarse(self) -> bool:
        return self.coarse_above is not None and self.top_k is not None and self.positions > self.coarse_above

    def _rows(self, key: Tensor, shrinkage: Tensor | None, penalty: float) -> dict[str, Tensor]:
        """The rows written for a key (1, C, h, w)."""
        if self.similarity == "anisotropic":
            assert shrinkage is not None
            rows = {"keys": anisotropic_key_rows(key[0].flatten(1).T, shrinkage[0].flatten(1).T)}
        else:
            rows = {"keys": key_rows(key[0], self.similarity, penalty)}
            if self._is_coarse:
                rows["coarse"] = pool_keys(key[0], self.similarity, penalty)
        fresh = torch.zeros(len(rows["keys"]), device=key.device)
        return rows | {"use": fresh, "life": fresh + FRESH}

    def _thin(self, keys: Tensor, occupied: Tensor | None, radius: int) -> Tensor:
        """Which positions of a frame are read, (h*w,), bool; sparse ones get a larger affinity, in place."""
        if occupied is None or not occupied.any():
            return torch.ones(len(keys), dtype=torch.bool, device=keys.device)
        near = F.max_pool2d(occupied[None].float(), 2 * radius + 1, 1, radius)[0] > 0
        one_in_four = torch.zeros_like(near)
        one_in_four[::2, ::2] = True
        sparse = (one_in_four & ~near).flatten()
        keys[sparse, -1] -= math.log(SPARSE_COUNTS) * math.sqrt(keys.shape[1] - 1)
        return near.flatten() | sparse

    def _before_frames(self, name: str) -> int:
        """Rows of a table before the rows of frames: the prototypes."""
        if name.startswith("value."):
            return self.objects[int(name.removeprefix("value."))].long
        return self.long if name in ("keys", "use", "life") else 0

    def _new_table(self, rows: Tensor) -> Rows:
        """A table for rows like these, which a processor provides with memory only as it fills."""
        if self.memory_frames is None or self.policy == "all":
            return Rows()
        most = (self.memory_frames + 1) * len(rows)
        fits = rows.device.type == "cpu" and self.nbytes + most * rows[0].nbytes <= RESERVE_BYTES
        return Rows(most if fits else 0, most)

    def _by_time(self) -> list[int]:
        """Places of the frames from old to new."""
        return sorted(range(len(self.frames)), key=lambda n: self.frames[n].number)

    def _slot(self, keep: bool, pinned: bool) -> int | None:
        """Position of the next frame: after the last one, in place of an evicted one, or None."""
        end = len(self.frames)
        if not keep or self.memory_frames is None or self.policy == "all":
            return end
        candidates = self.temporary()
        if self.spare_pinned:
            if len(candidates) + (not pinned and end > 0) < self.memory_frames:
                return end
            if not candidates:
                return end if pinned else None
        elif end < self.memory_frames:
            return end
        candidates = candidates or self._by_time()[1:] or [0]
        if self.policy == "fifo":
            return candidates[0]
        means = self.usage()[self.long :].view(end, -1).mean(1).tolist()
        return min(candidates, key=means.__getitem__)

    def _keep_frames(self, kept: Sequence[int], *, recent: int | None = None) -> None:
        """Keep the frames at some places; with ``recent`` and ``official``, values as XMem's release does."""
        if len(kept) == len(self.frames):
            return
        places: dict[str, list[int]] = {}
        entered: dict[int, int] = {}
        if self.official and recent is not None:
            for i in self.objects:
                own = self._official_frames(i, recent)
                missing = len(kept) - len(own)
                places[f"value.{i}"] = [0] * missing + own
                entered[i] = self.frames[kept[missing]].number
        leads = list(kept) == list(range(len(kept)))
        for name, table in self._tables.items():
            before = self._before_frames(name)
            size = (len(table) - before) // len(self.frames)
            if leads and name not in places:
                table.cut(before + len(kept) * size)
                continue
            rows = torch.arange(len(table), device=table.rows.device)
            by_frame = rows[before:].view(len(self.frames), size)
            chosen = [by_frame[place] for place in places.get(name, kept)]
            table.keep(torch.cat([rows[:before], *chosen]))
        for i, number in entered.items():
            self.objects[i].entered = number
        self.frames = [self.frames[n] for n in kept]

    def _official_frames(self, i: int, recent: int) -> list[int]:
        """The frames whose values of an object XMem's release keeps; they move to the last frames."""
        own = [n for n in self._by_time() if self.frames[n].number >= self.objects[i].entered]
        return [own[0], *own[len(own) - recent :]] if len(own) >= recent + 2 else own

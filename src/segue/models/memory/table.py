"""Memory table: bounded keys and values of earlier frames, read in blocks.

It is a table of positions: a row for its key, its usage, and its value for each object. The rows of
prototypes ("long-term memory", Cheng and Schwing, "XMem", ECCV 2022, section 3.3) come first, then those of
frames, one frame after the other. An object has values from the frame on which it entered.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.inference.running import own_precision
from segue.inference.threads import run_each
from segue.models.memory.reads import CoarseRead, DenseRead, Readable, ReadGroup
from segue.models.memory.rounded import RoundedKeys
from segue.models.memory.rows import Rows
from segue.models.memory.selection import cell_members, distance_bias
from segue.models.memory.similarity import MemorySimilarity, key_rows, potentiate, query_rows
from segue.state import Checkpointable, checkpointed
from segue.types import MemoryPolicy

RESERVE_BYTES = 1 << 30
"""Maximum address space of tables allocated in full; others grow, which briefly needs the old and new one."""

SPARSE_COUNTS = 2.0
"""For how many positions each of the sparse ones far from all objects counts; with 4, background wins."""

INITIAL_LIFE = 1e-7
"""Age of a new row, so that usage over age exists before the first read."""

BLOCK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Affinities that exist at a time: 4 MiB stay in a processor's cache, a GPU wants large products."""

BLOCK_ROWS = 48
"""Query rows of a block at least; thinner products waste a processor's registers."""


COARSE_CELLS = 24
"""Cells of 2x2 positions that the coarse step of a coarse-to-fine read hands to the fine step, at least."""


@dataclass(frozen=True, order=True, slots=True)
class MemoryFrame:
    """A frame in memory; frames are in order of their numbers."""

    number: int
    pinned: bool
    kept: bool


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """Rows that a group of objects reads at positions of a key.

    Attributes:
        group: the objects.
        weights: weights (P, k) of the rows.
        index: the rows, (P, k), int64.
        places: the positions, (P,), int64.
    """

    group: ReadGroup
    weights: Tensor
    index: Tensor
    places: Tensor


@dataclass(frozen=True, slots=True)
class PartialValues:
    """Values of an object that differ from a base in a part of the frame.

    Attributes:
        at: first row and column of the part.
        part: values there, (Cv, h', w').
        base: values (Cv, h, w) elsewhere, which objects may share; None for those of the previous frame,
            which a frame that is not kept may have.
    """

    at: tuple[int, int]
    part: Tensor
    base: Tensor | None = None


Values = Tensor | Sequence[Tensor | PartialValues]
"""Values of the objects of a frame: (K, Cv, h, w), or those of each object, (Cv, h, w) or partial."""


class MemoryTable(Checkpointable):
    """Keys and values of frames and prototypes, read by objects.

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
        penalty: confidence penalty, taken off the affinities of kept frames but for pinned ones that are
            trusted.
        last_penalty: the same for the previous frame.
        dense_radius: how far from the objects all positions of a kept frame are read; farther away one in
            four is, which counts for two. None reads all; only for L2, and not from coarse to fine.
        in_int8: whether keys are rounded to 8-bit integers for affinities. Only for L2, on a processor, and
            not from coarse to fine.
        official: compress as XMem's release does: the first values of objects that entered later end up
            beside keys of another frame, or vanish (docs/systems/xmem.md).
        received: the attention that rows received by reads that do not count yet, (N,); None before a read.
    """

    state_types = (MemoryFrame,)
    frames: list[MemoryFrame] = checkpointed(list)
    objects: dict[int, int] = checkpointed(dict)
    """Objects in order of entry, with the number of the first frame that they read."""
    _tables: dict[str, Rows] = checkpointed(dict, new_item=Rows)
    """``keys``, ``use`` (attention received) and ``life`` (reads since it was written) of all rows,
    ``selection``, ``coarse`` (pooled keys) and ``read`` (which are read) of frames, and ``value.<id>``."""
    _grid: tuple[int, int] = checkpointed((0, 0))
    _writes: int = checkpointed(0)

    def __init__(
        self,
        similarity: MemorySimilarity = "l2",
        top_k: int | None = None,
        memory_frames: int | None = None,
        policy: MemoryPolicy = "usage",
        *,
        spare_pinned: bool = False,
        coarse_above: int | None = None,
        coarse_cells: int = COARSE_CELLS,
        last_window: int | None = None,
        penalty: float = 0.0,
        last_penalty: float = 0.0,
        dense_radius: int | None = None,
        in_int8: bool = False,
        official: bool = False,
    ) -> None:
        super().__init__()
        self.similarity, self.top_k = similarity, top_k
        self.memory_frames, self.policy, self.spare_pinned = memory_frames, policy, spare_pinned
        self.coarse_cells = coarse_cells
        self.coarse_above, self.last_window, self.dense_radius = coarse_above, last_window, dense_radius
        self.penalty, self.last_penalty, self.official = penalty, last_penalty, official
        self._rounded = RoundedKeys() if in_int8 and similarity == "l2" else None
        self.received: Tensor | None = None
        self._chosen: list[ChosenRows] = []  # by the last read of some positions

    def _reset_transient_state(self) -> None:
        self.received, self._chosen = None, []
        self._rounded = None if self._rounded is None else RoundedKeys()

    @property
    def ids(self) -> list[int]:
        """Ids of the objects, in order of entry."""
        return list(self.objects)

    @property
    def positions(self) -> int:
        """Number of rows per frame."""
        return self._grid[0] * self._grid[1]

    @property
    def long(self) -> int:
        """Number of prototypes."""
        return self._prototypes("keys")

    @property
    def nbytes(self) -> int:
        """Size of all tables in bytes."""
        return sum(table.nbytes for table in self._tables.values())

    def write(
        self,
        ids: Sequence[int],
        key: Tensor,
        values: Values,
        *,
        shrinkage: Tensor | None = None,
        selection: Tensor | None = None,
        keep: bool = True,
        pinned: bool = False,
        trusted: bool = True,
        occupied: Tensor | None = None,
    ) -> None:
        """Store keys (1, C, h, w) and values (K, Cv, h, w) of a frame, temporarily without ``keep``.

        ``shrinkage`` (1, 1, h, w) and ``selection`` (1, C, h, w) are for the anisotropic similarity; a
        ``pinned`` frame is spared as long as possible, and not penalised if it is ``trusted``. Reads that
        were not committed do not count. ``occupied`` says where its objects are, (h, w), bool, for
        ``dense_radius``.
        """
        positions = key.shape[2] * key.shape[3]
        last_slot = self._by_time()[-1] if self.frames else 0
        if self.frames and not self.frames[-1].kept:  # the previous frame
            self.frames = self.frames[:-1]
            for name, table in self._tables.items():
                size = positions // 4 if name == "coarse" else positions
                table.rows = table.rows[: len(table.rows) - size]
        self.received, self._chosen = None, []
        frame = MemoryFrame(self._writes, pinned, keep)
        self._writes += 1
        objects = self.objects | dict.fromkeys(ids, frame.number) | self.objects  # known ones keep theirs
        slot = self._slot(keep, pinned or len(objects) > len(self.objects))
        if slot is None:
            return
        self._grid, self.objects = (key.shape[2], key.shape[3]), objects
        penalty = self.penalty if keep else self.last_penalty
        rows = self._rows(key, shrinkage, 0.0 if pinned and trusted else penalty)
        if self.dense_radius is not None and "coarse" not in rows:
            rows["read"] = self._choose_positions(rows["keys"], occupied, self.dense_radius)
        if selection is not None:
            rows["selection"] = selection[0].flatten(1).T.float()
        for i, value in zip(ids, values, strict=True):
            base = value.base if isinstance(value, PartialValues) else value
            if base is not None:
                rows[f"value.{i}"] = base.flatten(1).T
            else:
                table = self._tables[f"value.{i}"]
                table.copy(len(table.rows) - (len(self.frames) - last_slot) * positions, positions)
        frames = len(self.frames)
        for name, new_rows in rows.items():
            size = len(new_rows)
            if name not in self._tables:
                self._tables[name] = self._new_table(new_rows)
                if slot < frames:  # frames behind it have no value of a new object
                    self._tables[name].write((frames - 1) * size, torch.zeros_like(new_rows))
            table = self._tables[name]
            end = max(len(table.rows), frames * size)  # a new table has nothing of the other frames
            table.write(end - (frames - slot) * size, new_rows)
        self.frames[slot : slot + 1] = [frame]
        from_end = (len(self.frames) - slot) * positions
        for i, value in zip(ids, values, strict=True):
            if isinstance(value, PartialValues):
                by_place = self._tables[f"value.{i}"].rows[-from_end:][:positions].view(*self._grid, -1)
                (top, left), (height, width) = value.at, value.part.shape[1:]
                by_place[top : top + height, left : left + width] = value.part.permute(1, 2, 0)

    def read(
        self,
        key: Tensor,
        ids: Sequence[int],
        selection: Tensor | None = None,
        *,
        at: tuple[int, int] = (0, 0),
        within: Tensor | None = None,
    ) -> Tensor:
        """Read the values (K, Cv, h, w), channels last, of objects for a key (1, C, h, w).

        Each query position takes the softmax over its ``top_k`` best positions, over all frames together.
        The read counts as usage at :meth:`commit_usage`; ``at`` is the row and column of the key's first
        position. ``within`` says at which positions the values of each object are wanted, (K, h, w), bool;
        elsewhere they are arbitrary, see :meth:`read_wider`.
        """
        height, width = key.shape[-2:]
        asked_for = None if selection is None else selection[0].flatten(1).T
        query = query_rows(key[0].flatten(1).T, self.similarity, asked_for)
        sample = self._tables[f"value.{ids[0]}"].rows
        out = sample.new_empty(len(ids), len(query), sample.shape[-1])
        if self.received is None:
            self.received = torch.zeros_like(self._tables["use"].rows)
        groups = self._groups(ids)
        selected: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}
        with own_precision(query.device):
            read = self._read_of(query, (height, width), at)
            step = max(BLOCK_ELEMENTS.get(query.device.type, 1 << 21) // read.num_keys, BLOCK_ROWS)
            if read.readable.distance_biases is not None:  # whole rows of the query
                step = max(step // read.width, 1) * read.width
            for start in range(0, len(read.query), step):
                block = slice(start, min(start + step, len(read.query)))
                affinity = read.scores(read.query[block])
                places = block if read.places is None else read.places[block].flatten()
                for number, group in enumerate(groups):
                    scores = read.masked(affinity, group, start, shared=len(groups) > 1)
                    weights, index = read.choose(scores, group, block)
                    self._count(weights, index, group)
                    if within is None or index is None:
                        self._gather(weights, index, group, ids, out, places)
                    else:
                        if isinstance(places, slice):
                            places = torch.arange(places.start, places.stop)
                        selected.setdefault(number, []).append((weights, index, places))
            self._chosen = [
                ChosenRows(groups[number], *(torch.cat(column) for column in zip(*parts, strict=True)))
                for number, parts in selected.items()
            ]
            for chosen in self._chosen:
                assert within is not None
                self._gather_within(chosen, chosen.group.members, ids, out, within.flatten(1))
        return out.view(len(ids), height, width, -1).permute(0, 3, 1, 2)

    def read_wider(self, id: int, readout: Tensor, within: Tensor) -> Tensor:
        """Read the values of an object at more positions, for the key of the last :meth:`read`.

        It does not count as usage. ``readout`` (1, Cv, h, w) is the result of that read, ``within`` (h, w),
        bool; returns (1, Cv, h, w), channels last.
        """
        chosen = next((chosen for chosen in self._chosen if id in chosen.group.members), None)
        if chosen is None:  # the read gave all positions
            return readout
        values = self._tables[f"value.{id}"].rows
        out = values.new_empty(1, within.numel(), values.shape[-1])
        self._gather_within(chosen, [id], [id], out, within.flatten()[None])
        return out.view(1, *within.shape, -1).permute(0, 3, 1, 2)

    def _read_of(self, query: Tensor, size: tuple[int, int], at: tuple[int, int]) -> DenseRead | CoarseRead:
        """Create the read for query rows of a size and position."""
        height, width = size
        keys = self._tables["keys"].rows
        if "coarse" in self._tables:
            readable = self._readable((height // 2, width // 2), (at[0] // 2, at[1] // 2), 2)
            places = cell_members(height, width, query.device)
            cells, coarse = query[places], self._tables["coarse"].rows
            pooled = cells.mean(1)
            return CoarseRead(
                readable,
                query=pooled,
                width=width // 2,
                num_keys=len(coarse),
                count=self.top_k,
                scores=functools.partial(torch.matmul, other=coarse.T),
                places=places,
                cells=cells,
                keys=keys,
                members=cell_members(*self._grid, query.device),
                min_cells=self.coarse_cells,
            )
        readable = self._readable(size, at, 1)
        count = len(keys) if readable.index is None else len(readable.index)
        if self._rounded is not None:
            query, scores = self._rounded.affinities(query, self._keys_by_frames(readable))
        else:
            rows = keys if readable.index is None else keys[readable.index]
            scores = functools.partial(torch.matmul, other=rows.T)
        return DenseRead(readable, query, width, count, self.top_k, scores, places=None)

    def last_key(self) -> Tensor:
        """Copy of the last written key (1, C, h, w), channels last; only for L2."""
        keys = self._tables["keys"].rows[:, :-1].unflatten(0, (len(self.frames), *self._grid))
        last = keys[self._by_time()[-1]].permute(2, 0, 1)
        return last[None].clone(memory_format=torch.channels_last)

    def commit_usage(self) -> None:
        """Add the counted reads since the last call to the usage."""
        if self.received is not None:
            self._tables["use"].rows.add_(self.received)
            self._tables["life"].rows.add_(1)
            self.received = None

    def usage(self) -> Tensor:
        """Attention per read of each row, (N,), float32: prototypes, then frames."""
        return self._tables["use"].rows / self._tables["life"].rows

    def forget(self, ids: Iterable[int]) -> None:
        """Remove objects, and rows without objects; unknown ids are ignored.

        Tensors of a state that shares them stay as they are.
        """
        self.received = None
        for i in ids:
            self.objects.pop(i, None)
            self._tables.pop(f"value.{i}", None)
        if not self.objects:
            self.frames, self._tables = [], {}
            return
        first = min(self.objects.values())
        self._keep_frames(
            [n for n, frame in enumerate(self.frames) if frame.number >= first], reallocate=True
        )
        long = max(self._prototypes(f"value.{i}") for i in self.objects)
        keep_indices = torch.arange(self.long - long, self.long, device=self._tables["keys"].rows.device)
        self.keep_long(keep_indices, reallocate=True)

    def temporary(self) -> list[int]:
        """Indices of evictable frames, from old to new."""
        by_time, stay = self._by_time(), set()
        if self.spare_pinned:
            stay = {self.frames[n].number for n in by_time[:1]}
            stay |= set() if self.official else set(self.objects.values())
        return [n for n in by_time if not (self.frames[n].pinned or self.frames[n].number in stay)]

    def compress(self, prototypes: int, recent: int) -> None:
        """Replace temporary frames, except the ``recent`` last, by prototypes (XMem, section 3.3).

        Prototypes are the rows of largest usage, read from all that is replaced ("potentiation").
        """
        temporary = self.temporary()
        compressed_frames = temporary[: len(temporary) - recent]
        if not compressed_frames:
            return
        with own_precision(self._tables["keys"].rows.device):
            keys = self._tables["keys"].rows
            places = self._rows_of(compressed_frames).to(keys.device)
            usage = self.usage()[self.long + places]
            prototype_indices = usage.topk(min(prototypes, len(usage)), sorted=True).indices
            if not self.official:
                # Those that a later group has values for come last, as its rows do.
                prototype_indices = prototype_indices.sort().values
            frames_of = {i: self._own_among(i, compressed_frames, recent) for i in self.objects}
            counts = list(dict.fromkeys(len(frames) for frames in frames_of.values()))
            rows, shares = potentiate(
                keys[self.long + places],
                self._tables["selection"].rows[places],
                prototype_indices,
                [count * self.positions for count in counts],
            )
            weights = dict(zip(counts, shares, strict=True))
            prototype_values = {}
            for i, frames in frames_of.items():
                values = self._tables[f"value.{i}"].rows
                frame_values = values[
                    self._prototypes(f"value.{i}") + self._rows_of(frames).to(values.device)
                ]
                prototype_values[i] = weights[len(frames)].to(values.dtype) @ frame_values
            self._keep_frames(
                [n for n in range(len(self.frames)) if n not in compressed_frames], recent=recent
            )
            self._append_long(rows, prototype_values)

    def keep_long(self, keep_indices: Tensor, *, reallocate: bool = False) -> None:
        """Keep the prototypes at some indices, int64, ascending."""
        long = self.long
        if len(keep_indices) == long:
            return
        for name, table in self._tables.items():
            if num_prototypes := self._prototypes(name):
                retained = keep_indices[keep_indices >= long - num_prototypes] - (long - num_prototypes)
                rest = torch.arange(num_prototypes, len(table.rows), device=keep_indices.device)
                table.keep(torch.cat([retained, rest]), reallocate=reallocate)

    def _rows(self, key: Tensor, shrinkage: Tensor | None, penalty: float) -> dict[str, Tensor]:
        """Convert a key (1, C, h, w) to rows."""
        shrinkage_row = None if shrinkage is None else shrinkage[0].flatten(1).T
        rows = {
            "keys": key_rows(key[0].flatten(1).T, self.similarity, shrinkage=shrinkage_row, penalty=penalty)
        }
        if self.coarse_above is not None and self.top_k is not None and len(rows["keys"]) > self.coarse_above:
            pooled = F.avg_pool2d(key.float(), 2)[0].flatten(1).T
            rows["coarse"] = key_rows(pooled, self.similarity, penalty=penalty)
        zeros = torch.zeros(len(rows["keys"]), device=key.device)
        return rows | {"use": zeros, "life": zeros + INITIAL_LIFE}

    def _choose_positions(self, keys: Tensor, occupied: Tensor | None, radius: int) -> Tensor:
        """Choose the positions to read, (h*w,), bool, and raise the affinity of sparse ones in place."""
        if occupied is None or not occupied.any():
            return torch.ones(len(keys), dtype=torch.bool, device=keys.device)
        is_dense = F.max_pool2d(occupied[None].float(), 2 * radius + 1, 1, radius)[0] > 0
        one_in_four = torch.zeros_like(is_dense)
        one_in_four[::2, ::2] = True
        sparse = (one_in_four & ~is_dense).flatten()
        keys[sparse, -1] -= math.log(SPARSE_COUNTS) * math.sqrt(keys.shape[1] - 1)
        return is_dense.flatten() | sparse

    def _prototypes(self, name: str) -> int:
        """Number of prototype rows, before the rows of frames; coarse keys have none."""
        rows = len(self._tables[name].rows) if name in self._tables else 0
        return max(rows - len(self.frames) * self.positions, 0)

    def _new_table(self, rows: Tensor) -> Rows:
        """Create a table for rows like these; a CPU allocates it as it fills."""
        if self.memory_frames is None or self.policy == "all":
            return Rows()
        max_rows = (self.memory_frames + 1) * len(rows)
        fits = rows.device.type == "cpu" and self.nbytes + max_rows * rows[0].nbytes <= RESERVE_BYTES
        return Rows(max_rows if fits else 0, max_rows)

    def _by_time(self) -> list[int]:
        """Indices of the frames from old to new."""
        return sorted(range(len(self.frames)), key=self.frames.__getitem__)

    def _slot(self, keep: bool, pinned: bool) -> int | None:
        """Index for the next frame: after the last one, of an evicted one, or None."""
        end = len(self.frames)
        if not keep or self.memory_frames is None or self.policy == "all":
            return end
        if not self.spare_pinned and end < self.memory_frames:
            return end
        candidates = self.temporary()
        if self.spare_pinned:
            if len(candidates) + (not pinned and end > 0) < self.memory_frames:
                return end
            if not candidates:
                return end if pinned else None
        candidates = candidates or self._by_time()[1:] or [0]
        if self.policy == "fifo":
            return candidates[0]
        means = self.usage()[self.long :].view(end, -1).mean(1).tolist()
        return min(candidates, key=means.__getitem__)

    def _keep_frames(
        self, keep_indices: Sequence[int], *, recent: int | None = None, reallocate: bool = False
    ) -> None:
        """Keep the frames at some indices; ``recent`` and ``official`` follow XMem's release."""
        if len(keep_indices) == len(self.frames):
            return
        places: dict[str, list[int]] = {}
        entered: dict[int, int] = {}
        if self.official and recent is not None:
            for i in self.objects:
                object_frames = self._official_frames(i, recent)
                missing = len(keep_indices) - len(object_frames)
                places[f"value.{i}"] = [0] * missing + object_frames
                entered[i] = self.frames[keep_indices[missing]].number
        for name, table in self._tables.items():
            num_prototypes = self._prototypes(name)
            rows = torch.arange(len(table.rows), device=table.rows.device)
            by_frame = rows[num_prototypes:].view(len(self.frames), -1)
            frame_rows = [by_frame[place] for place in places.get(name, keep_indices)]
            table.keep(torch.cat([rows[:num_prototypes], *frame_rows]), reallocate=reallocate)
        for i, number in entered.items():
            self.objects[i] = number
        self.frames = [self.frames[n] for n in keep_indices]

    def _official_frames(self, i: int, recent: int) -> list[int]:
        """Frames whose values XMem's release keeps for an object; they move to the last frames."""
        object_frames = [n for n in self._by_time() if self.frames[n].number >= self.objects[i]]
        return (
            [object_frames[0], *object_frames[len(object_frames) - recent :]]
            if len(object_frames) >= recent + 2
            else object_frames
        )

    def _groups(self, ids: Sequence[int]) -> list[ReadGroup]:
        """Group objects that read the same rows."""
        groups: dict[tuple[int, int], ReadGroup] = {}
        for i in ids:
            entered = self.objects[i]
            skipped = len(self._tables["keys"].rows) - len(self._tables[f"value.{i}"].rows)
            if (entered, skipped) not in groups:
                absent = [n for n, frame in enumerate(self.frames) if frame.number < entered]
                groups[entered, skipped] = ReadGroup([], absent, skipped)
            groups[entered, skipped].members.append(i)
        return list(groups.values())

    def _readable(self, size: tuple[int, int], at: tuple[int, int], cell: int) -> Readable:
        """Select the rows for a query of a size and position, in cells of 1 or 2 positions."""
        height, width = self._grid[0] // cell, self._grid[1] // cell
        count = height * width
        frames = len(self.frames)
        starts, index, distance_biases = list(range(0, (frames + 1) * count, count)), None, None
        place = torch.arange(count, device=self._tables["keys"].rows.device)
        last = self._by_time()[-1]
        if cell == 1 and "read" in self._tables:
            is_read = self._tables["read"].rows.view(frames, count)
            starts = [0, *is_read.sum(1).cumsum(0).tolist()]
            index, place = is_read.flatten().nonzero().flatten(), place[is_read[last]]
        if self.last_window is not None:
            reach = self.last_window // cell
            (top, left), device = at, place.device
            distance_biases = (
                distance_bias(torch.arange(top, top + size[0], device=device), place // width, reach),
                distance_bias(torch.arange(left, left + size[1], device=device), place % width, reach),
            )
        return Readable(index, starts, last, distance_biases, frames)

    def _keys_by_frames(self, readable: Readable) -> dict[tuple[int, ...], Callable[[], Tensor]]:
        """Keys of kept frames and of the last one, by frame numbers."""
        rows, index, starts = self._tables["keys"].rows, readable.index, readable.starts

        def part(first: int, last: int) -> Tensor:
            places = slice(starts[first], starts[last])
            return rows[places] if index is None else rows[index[places]]

        numbers, num_permanent = (
            [frame.number for frame in self.frames],
            sum(frame.kept for frame in self.frames),
        )
        return {
            tuple(numbers[first:last]): functools.partial(part, first, last)
            for first, last in ((0, num_permanent), (num_permanent, len(numbers)))
            if first < last
        }

    def _count(self, weights: Tensor, index: Tensor | None, group: ReadGroup) -> None:
        """Add the attention of a group to the usage of rows."""
        # XMem counts the attention of the first object only.
        counted = group.members if self.similarity != "anisotropic" else self.ids[:1]
        readers = len({*counted} & {*group.members})
        if self.received is None or not readers:
            return
        received = self.received[group.skipped :]
        if index is None:
            received.add_(weights.sum(0), alpha=readers)
        elif received.is_cuda:  # where index_add_ adds in any order, and the sums decide what is evicted
            received.index_put_((index.flatten(),), readers * weights.flatten(), accumulate=True)
        else:
            received.index_add_(0, index.flatten(), weights.flatten(), alpha=readers)

    def _gather(
        self,
        weights: Tensor,
        index: Tensor | None,
        group: ReadGroup,
        ids: Sequence[int],
        out: Tensor,
        places: slice | Tensor,
    ) -> None:
        """Write weighted values into places of the output (K, P, Cv)."""
        for i in group.members:
            values = self._tables[f"value.{i}"].rows
            sample_weights = weights.to(values.dtype)
            out[ids.index(i), places] = (
                sample_weights @ values
                if index is None
                else F.embedding_bag(index, values, per_sample_weights=sample_weights, mode="sum")
            )

    def _gather_within(
        self, chosen: ChosenRows, members: Sequence[int], ids: Sequence[int], out: Tensor, mask: Tensor
    ) -> None:
        """Write weighted values of some objects into places ``mask`` (K, P), bool, of (K, P, Cv)."""

        def gather(i: int) -> None:
            values, number = self._tables[f"value.{i}"].rows, ids.index(i)
            some = mask[number].index_select(0, chosen.places).nonzero().flatten()
            sample_weights = chosen.weights.index_select(0, some).to(values.dtype)
            gathered = F.embedding_bag(
                chosen.index.index_select(0, some), values, per_sample_weights=sample_weights, mode="sum"
            )
            out[number].index_copy_(0, chosen.places.index_select(0, some), gathered)

        run_each(gather, members)

    def _own_among(self, i: int, compressed_frames: Sequence[int], recent: int) -> list[int]:
        """Replaced frames that contribute to an object's prototype values."""
        object_frames = [n for n in self._by_time() if self.frames[n].number >= self.objects[i]]
        if not self.official or len(object_frames) == len(self.frames):
            return [n for n in compressed_frames if n in object_frames]
        return object_frames[1 : len(object_frames) - recent] if len(object_frames) > recent + 2 else []

    def _append_long(self, rows: Tensor, values: dict[int, Tensor]) -> None:
        """Append prototypes: keys, and values of the objects."""
        zeros = torch.zeros(len(rows), device=rows.device)
        object_rows = {f"value.{i}": prototype for i, prototype in values.items()}
        for name, new in {"keys": rows, "use": zeros, "life": zeros + INITIAL_LIFE, **object_rows}.items():
            self._tables[name].insert(self._prototypes(name), new)

    def _rows_of(self, frames: Sequence[int]) -> Tensor:
        """Rows of frames, counted from the first frame."""
        steps = torch.arange(self.positions)
        return (torch.tensor(list(frames), dtype=torch.int64)[:, None] * self.positions + steps).flatten()

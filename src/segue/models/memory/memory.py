"""The memory of a tracker: one table for all objects, or several where objects have keys of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from segue.models.memory.table import MemoryTable

Sharing = Literal["all", "entry", "object"]
"""Objects that share keys: all (STCN, XMem), those that entered together (Cutie), or none (STM)."""


class Memory:
    """Tables of the objects that share keys; a table is made when its objects enter.

    Attributes:
        tables: see :class:`segue.models.memory.MemoryTable`.
    """

    def __init__(self, new_table: Callable[[], MemoryTable], sharing: Sharing = "all") -> None:
        self._new_table, self._sharing = new_table, sharing
        self.tables: list[MemoryTable] = []

    def write(self, ids: Sequence[int], key: Tensor, values: Tensor, **how: Any) -> None:
        """Remember a frame of objects; keys are (1, C, h, w), or (K, C, h, w) where no objects share them."""
        known = [(table, table.ids) for table in self.tables]
        new = [i for i in ids if not any(i in members for _, members in known)]
        for own in self._groups(new):
            if self._sharing == "all" and known:
                known[0][1].extend(own)
            else:
                known.append((self._new_table(), own))
        self.tables = [table for table, _ in known]
        for table, members in known:
            if len(members) == len(ids):
                table.write(ids, key, values, **how)
                continue
            places = [ids.index(i) for i in members]
            keys = key if len(key) == 1 else torch.stack([key[place] for place in places])
            table.write(members, keys, torch.stack([values[place] for place in places]), **how)

    def read(
        self,
        key: Tensor,
        ids: Sequence[int],
        selection: Tensor | None = None,
        *,
        at: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Readout of the objects, (K, Cv, h, w), see :meth:`segue.models.memory.MemoryTable.read`."""
        if len(self.tables) == 1:
            return self.tables[0].read(key, ids, selection, at=at)
        found: dict[int, Tensor] = {}
        for table in self.tables:
            if members := [i for i in ids if i in table.objects]:
                read = table.read(key, members, selection, at=at)
                found |= zip(members, read, strict=True)
        return torch.stack([found[i] for i in ids])

    def forget(self, ids: Iterable[int]) -> None:
        """Remove objects, and tables that no object needs any longer."""
        ids = tuple(ids)
        for table in self.tables:
            table.forget(ids)
        self.tables = [table for table in self.tables if table.objects]

    def commit_usage(self) -> None:
        """Count the reads that were to be counted."""
        for table in self.tables:
            table.commit_usage()

    def discard_usage(self) -> None:
        """Do not count the last reads, of a frame that was not finished."""
        for table in self.tables:
            table.discard_usage()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, which later writes change, and JSON values, for :meth:`restore`."""
        tensors: dict[str, Tensor] = {}
        values = []
        for number, table in enumerate(self.tables):
            own, value = table.state()
            tensors |= {f"{number}.{name}": tensor for name, tensor in own.items()}
            values.append(value)
        return tensors, {"tables": values}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave; the tensors are copied."""
        self.tables = []
        for number, value in enumerate(values["tables"]):
            start = f"{number}."
            own = {name.removeprefix(start): item for name, item in tensors.items() if name.startswith(start)}
            table = self._new_table()
            table.restore(own, value)
            self.tables.append(table)

    def _groups(self, new: list[int]) -> list[list[int]]:
        """New objects by the tables that they get."""
        if self._sharing == "object":
            return [[i] for i in new]
        return [new] if new else []

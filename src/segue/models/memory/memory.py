"""Memory of a tracker: one table for all objects, or several for objects with separate keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from segue.models.memory.table import MemoryTable, Values
from segue.state import Checkpointable, checkpointed

Sharing = Literal["all", "entry", "object"]
"""Objects that share keys: all (STCN, XMem), those that entered together (Cutie), or none (STM)."""


class Memory(Checkpointable):
    """Memory of one view: tables that are created on demand, and states of objects.

    Attributes:
        tables: see :class:`segue.models.memory.MemoryTable`.
        states: tensors of single objects by name and id, such as recurrent states ("sensory memory").
    """

    tables: list[MemoryTable] = checkpointed(list, new_item="_new_table")
    states: dict[str, dict[int, Tensor]] = checkpointed(dict)

    def __init__(self, new_table: Callable[[], MemoryTable], sharing: Sharing = "all") -> None:
        super().__init__()
        self._new_table, self._sharing = new_table, sharing
        self._coming: dict[str, dict[int, Tensor]] = {}

    def _reset_transient_state(self) -> None:
        self._coming = {}

    def write(self, ids: Sequence[int], key: Tensor, values: Values, **how: Any) -> None:
        """Store a frame; keys are (1, C, h, w), or (K, C, h, w) if objects share none."""
        if self._sharing == "all":
            self.tables = self.tables or [self._new_table()]
            self.tables[0].write(ids, key, values, **how)
            return
        members_of = [(table, [*table.objects]) for table in self.tables]
        stored_ids: set[int] = set().union(*[members for _, members in members_of])
        if new := [i for i in ids if i not in stored_ids]:
            groups = [[i] for i in new] if self._sharing == "object" else [new]
            members_of += [(self._new_table(), group) for group in groups]
        self.tables = [table for table, _ in members_of]
        for table, members in members_of:
            if len(members) == len(ids):
                table.write(ids, key, values, **how)
                continue
            places = [ids.index(i) for i in members]
            keys = key if len(key) == 1 else torch.stack([key[place] for place in places])
            table.write(members, keys, [values[place] for place in places], **how)

    def read(
        self,
        key: Tensor,
        ids: Sequence[int],
        selection: Tensor | None = None,
        *,
        at: tuple[int, int] = (0, 0),
        within: Tensor | None = None,
    ) -> Tensor:
        """Read values of the objects, (K, Cv, h, w), see :meth:`segue.models.memory.MemoryTable.read`."""
        if len(self.tables) == 1:
            return self.tables[0].read(key, ids, selection, at=at, within=within)
        by_object: dict[int, Tensor] = {}
        for table in self.tables:
            if members := [i for i in ids if i in table.objects]:
                group_mask = None if within is None else within[[ids.index(i) for i in members]]
                read = table.read(key, members, selection, at=at, within=group_mask)
                by_object |= zip(members, read, strict=True)
        return torch.stack([by_object[i] for i in ids])

    def states_of(self, name: str, ids: Sequence[int], initial: Tensor) -> Tensor:
        """States (K, ...) of objects, from the frame in progress if it has any."""
        states = self.states.get(name, {}) | self._coming.get(name, {})
        return torch.stack([states.get(i, initial) for i in ids])

    def keep_states(self, name: str, ids: Sequence[int], states: Tensor) -> None:
        """Set states (K, ...) of objects, effective at :meth:`commit`."""
        self._coming.setdefault(name, {}).update(zip(ids, states.unbind(), strict=True))

    def commit(self) -> None:
        """Count the reads of the current frame, and apply its states."""
        for table in self.tables:
            table.commit_usage()
        for name, states in self._coming.items():
            self.states.setdefault(name, {}).update(states)
        self._coming = {}

    def discard(self) -> None:
        """Drop the reads and states of an unfinished frame."""
        for table in self.tables:
            table.received = None
        self._coming = {}

    def forget(self, ids: Collection[int]) -> None:
        """Remove objects, and tables without objects."""
        for table in self.tables:
            table.forget(ids)
        self.tables = [table for table in self.tables if table.objects]
        for states in self.states.values():
            for i in ids:
                states.pop(i, None)

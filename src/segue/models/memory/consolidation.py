"""How frames of a store become prototypes: its long-term memory (Cheng and Schwing, "XMem", section 3.3).

XMem's release takes the wrong rows of objects that entered later (docs/systems/xmem.md); stores that are
``official`` do the same, which is why two rules stand side by side here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segue.models.memory.contents import Contents, Group
from segue.models.memory.similarity import potentiate


def consolidate(store: Contents, prototypes: int, recent: int) -> None:
    """Replace frames, but for those that stay and the ``recent`` last, by prototypes (XMem, section 3.3).

    Prototypes are the rows of largest usage; their values and shrinkages are read from all that is
    replaced, with a softmax over all of it ("potentiation").
    """
    temporary = store.temporary()
    moved = temporary[: len(temporary) - recent]
    if not moved:
        return
    places = torch.cat([torch.arange(n * store.positions, (n + 1) * store.positions) for n in moved])
    places = places.to(store.keys.rows.device)
    chosen = store.select_top(store.usage()[store.long + places], prototypes)
    if not store.official:
        chosen = chosen.sort().values  # those that a later group has values for come last, as its rows do
    candidates, selection = store.keys.rows[store.long + places], store.selection.rows[places]
    shared = [_candidates(store, group, moved) for group in store.groups]
    rows, shares = potentiate(candidates, selection, chosen, shared)
    taken: list[tuple[Group, int, dict[int, Tensor]]] = []
    for group, weights in zip(store.groups, shares, strict=True):
        values = {
            i: weights.to(own.dtype) @ own for i in group.ids for own in [_values_at(store, group, i, moved)]
        }
        taken.append((group, len(weights), values))
    _sieve(store, moved)
    store.append_long(rows, taken)


def _candidates(store: Contents, group: Group, moved: list[int]) -> int:
    """Rows among the frames to be replaced that a group has values for, the last ones."""
    present = group.working // store.positions
    if not store.official or present == len(store.frames):
        first = len(store.frames) - present
        return sum(n >= first for n in moved) * store.positions
    recent = len(store.frames) - 1 - len(moved)
    return (present - recent - 1) * store.positions if present > recent + 2 else 0


def _values_at(store: Contents, group: Group, i: int, moved: list[int]) -> Tensor:
    """Values of an object in the frames to be replaced, (rows, Cv)."""
    own = store.values[i].rows[group.long :].unflatten(0, (-1, store.positions))
    if store.official:
        return own[1 : 1 + _candidates(store, group, moved) // store.positions].flatten(0, 1)
    first = len(store.frames) - len(own)
    return own[[n - first for n in moved if n >= first]].flatten(0, 1)


def _sieve(store: Contents, moved: list[int]) -> None:
    """Forget the frames that were replaced."""
    if not store.official:
        for n in reversed(moved):
            store.drop_frame(n)
        return
    recent = len(store.frames) - 1 - len(moved)
    for group in store.groups:
        if group.working >= (recent + 2) * store.positions:
            stop = group.working - recent * store.positions
            for i in group.ids:
                store.values[i].remove(group.long + store.positions, group.long + stop)
            group.working = (1 + recent) * store.positions
    store.remove_keys(store.positions, (1 + len(moved)) * store.positions)

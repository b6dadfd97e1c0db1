"""Reading a memory: affinity, exact top-k and weighted values, one block of query rows at a time.

All tables are position-major: one row per position. With the L2 similarity a row carries one extra channel,
so that a plain dot product of a memory row and a query row is the affinity of STCN:
``(2 m.q - |m|^2) / sqrt(C)`` (the term ``|q|^2`` is the same for all memory positions and drops out).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import Similarity, weighted_keys
from segue.layers.products import product_with

BLOCK_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 27}
"""Affinities that exist at a time: 8 MiB stay near a processor's cache, a GPU wants large products."""

BLOCK_ROWS = 64
"""Query rows of a block at least; thinner products waste a processor's registers."""

GROUP = 32
"""Positions of which top-k selection first keeps only the largest."""

COARSE_CELLS = 24
"""Cells of 2x2 positions that the coarse step of a coarse-to-fine read hands to the fine step, at least."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """One read of objects that look at the same keys in the same T frames of P positions."""

    keys: Tensor  # rows of ``key_rows``, (T, P, C)
    values: Sequence[Tensor]  # of each object, (T, P, Cv)
    outputs: Sequence[Tensor]  # of each object, (P, Cv), written by the read
    absent: tuple[int, ...]  # frames that these objects do not have
    top_k: int | None  # positions to read, None for all
    coarse: Tensor | None  # rows of ``pool_keys`` for a coarse-to-fine read, (T, P/4, C)
    grid: tuple[int, int]  # rows and columns of the query
    usage: Tensor  # (T,), the attention that each frame receives is added here
    window: tuple[int, int] | None  # a frame, and how far from its own place a position reads it


def key_rows(key: Tensor, similarity: Similarity, penalty: float = 0.0, *, penalised: bool = False) -> Tensor:
    """A memory key as rows, whose product with :func:`query_rows` is the affinity.

    The penalty, taken off all affinities to this key, goes into the extra channel of L2 and costs nothing;
    where the similarity is ``weighted``, it grows with the sharpness of the query. The dot product has an
    extra channel only where it is ``penalised``.

    Args:
        key: (C, h, w).
        similarity: see :class:`segue.models.base.MemoryNetwork`.
        penalty: confidence penalty, at least 0.
        penalised: give the dot product the extra channel.

    Returns:
        (h*w, C), or one channel more for L2 and where it is penalised, float32; ``weighted`` has its own
        number.
    """
    if similarity == "weighted":
        columns, _ = weighted_keys(key.float().flatten(1), key.new_zeros(key.shape[0], 1).float())
        columns[-2] += penalty * math.sqrt(key.shape[0] - 2)
        return columns.T.contiguous()
    rows = key.float().flatten(1).T
    if similarity == "l2":
        extra = rows.square().sum(1, keepdim=True) + penalty * math.sqrt(rows.shape[1])
        rows = torch.cat([rows, extra], dim=1)
    elif penalised:
        extra = rows.new_full((len(rows), 1), penalty * math.sqrt(rows.shape[1]))
        rows = torch.cat([rows, extra], dim=1)
    return rows


def query_rows(key: Tensor, similarity: Similarity, *, penalised: bool = False) -> Tensor:
    """A query key as rows, whose product with :func:`key_rows` is the affinity.

    Args:
        key: (C, h, w).
        similarity: as for :func:`key_rows`.
        penalised: as for :func:`key_rows`.

    Returns:
        Rows as many as positions, with the channels of :func:`key_rows`, float32.
    """
    if similarity == "weighted":
        return weighted_keys(key.new_zeros(key.shape[0], 1).float(), key.float().flatten(1))[1].T.contiguous()
    rows = key.float().flatten(1).T
    scale = 1 / math.sqrt(rows.shape[1])
    if similarity == "l2":
        return torch.cat([rows * (2 * scale), rows.new_full((len(rows), 1), -scale)], dim=1)
    if penalised:
        return torch.cat([rows * scale, rows.new_full((len(rows), 1), -scale)], dim=1)
    return rows * scale


def pool_keys(key: Tensor, similarity: Similarity, penalty: float = 0.0) -> Tensor:
    """Rows of a key averaged over cells of 2x2 positions.

    Args:
        key: (C, h, w), sides even.
        similarity: as for :func:`key_rows`.
        penalty: as for :func:`key_rows`.

    Returns:
        (h*w/4, C or C+1), float32.
    """
    return key_rows(F.avg_pool2d(key.float()[None], 2)[0], similarity, penalty)


def read(query: Tensor, plan: ReadPlan) -> None:
    """Read memory for query rows, into ``plan.outputs``.

    Each query position takes the softmax over its ``top_k`` best memory positions, over all frames together
    (all positions if there are fewer), and the values there weighted by it.

    Args:
        query: rows (P, C) of :func:`query_rows`.
        plan: what is read, how, and where the result goes.
    """
    if plan.top_k is None:
        _read_all(query, plan)
    elif plan.coarse is not None:
        _read_coarse_to_fine(query, plan)
    else:
        _read_top(query, plan)


def _read_all(query: Tensor, plan: ReadPlan) -> None:
    frames, positions, _ = plan.keys.shape
    for rows, affinity in _affinities(query, plan.keys, plan):
        weights = affinity.softmax(dim=1)
        plan.usage.add_(weights.view(-1, frames, positions).sum((0, 2)), alpha=len(plan.values))
        for value, output in zip(plan.values, plan.outputs, strict=True):
            output[rows] = weights.to(value.dtype) @ value.flatten(0, 1)


def _read_top(query: Tensor, plan: ReadPlan) -> None:
    frames, positions, _ = plan.keys.shape
    count = min(plan.top_k or 0, (frames - len(plan.absent)) * positions)
    for rows, affinity in _affinities(query, plan.keys, plan):
        best, index = top_k(affinity, count)
        _gather(rows, best.softmax(dim=1), index, plan)


def _read_coarse_to_fine(query: Tensor, plan: ReadPlan) -> None:
    """Top-k among the positions of the cells that match best at half resolution.

    A block is a set of coarse query cells; the four positions of a cell share their candidates.
    """
    assert plan.coarse is not None
    frames, _, channels = plan.keys.shape
    height, width = plan.grid
    cells = query.view(height // 2, 2, width // 2, 2, channels).transpose(1, 2).reshape(-1, 4, channels)
    keys = plan.keys.flatten(0, 1)
    members = cell_members(height, width, frames, query.device)
    places = members[: len(cells)]
    top = plan.top_k or 0
    wanted = min(max(COARSE_CELLS, -(-top // 4)), (frames - len(plan.absent)) * len(cells))
    count = min(top, 4 * wanted)
    for rows, affinity in _affinities(cells.mean(1), plan.coarse, plan, cell=2):
        _, chosen = top_k(affinity, wanted)
        candidates = members[chosen].flatten(1)
        scores = cells[rows] @ F.embedding(candidates, keys).transpose(1, 2)
        place = places_of_largest(scores, count)
        index = candidates[:, None].expand(-1, 4, -1).gather(2, place)
        weights = scores.gather(2, place).softmax(dim=2)
        _gather(places[rows].flatten(), weights.flatten(0, 1), index.flatten(0, 1), plan)


def top_k(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest entries of each row and their places, in no particular order.

    Exact: the largest entries lie in at most ``count`` groups, and those are among the groups with the
    largest maxima. Selecting groups first leaves a hundredth of the entries to select from. The entries of a
    group are apart, so that the maxima of neighbouring groups are found together.

    Args:
        scores: (rows, columns).
        count: how many of each row, at most its columns.

    Returns:
        Entries and places, (rows, count) both; places are int64.
    """
    rows, columns = scores.shape
    groups = columns // GROUP
    if groups <= 2 * count:
        places = places_of_largest(scores, count)
        return scores.gather(1, places), places
    body = scores[:, : groups * GROUP].view(rows, GROUP, groups)
    chosen = places_of_largest(body.amax(dim=1), count)
    steps = torch.arange(0, groups * GROUP, groups, device=scores.device)
    places = (chosen[:, :, None] + steps).flatten(1)
    if groups * GROUP < columns:
        rest = torch.arange(groups * GROUP, columns, device=scores.device)
        places = torch.cat([places, rest.expand(rows, -1)], dim=1)
    candidates = scores.gather(1, places)
    within = places_of_largest(candidates, count)
    return candidates.gather(1, within), places.gather(1, within)


def places_of_largest(scores: Tensor, count: int) -> Tensor:
    """Places of the largest entries of rows, in no particular order.

    Args:
        scores: (..., N).
        count: how many, at most N.

    Returns:
        (..., count), int64.
    """
    if scores.device.type != "cpu":
        return torch.topk(scores, count, sorted=False).indices
    # numpy's selection is several times as fast as PyTorch's.
    rest = scores.shape[-1] - count
    return torch.from_numpy(np.argpartition(scores.numpy(), rest)[..., rest:])


def cell_members(height: int, width: int, frames: int, device: torch.device) -> Tensor:
    """Positions of every 2x2 cell of several frames.

    Args:
        height: rows of positions of a frame, even.
        width: columns of positions of a frame, even.
        frames: number of frames.
        device: where the result goes.

    Returns:
        (frames * height/2 * width/2, 4), int64.
    """
    grid = torch.arange(frames * height * width, device=device)
    grid = grid.view(frames, height // 2, 2, width // 2, 2)
    return grid.transpose(2, 3).reshape(-1, 4)


def _gather(rows: slice | Tensor, weights: Tensor, index: Tensor, plan: ReadPlan) -> None:
    """Write the weighted sum of the values at ``index`` (Q, k) into the outputs, and count the usage."""
    frames, positions, _ = plan.keys.shape
    received = weights.new_zeros(frames * positions).index_add_(0, index.flatten(), weights.flatten())
    plan.usage.add_(received.view(frames, positions).sum(1), alpha=len(plan.values))
    for value, output in zip(plan.values, plan.outputs, strict=True):
        output[rows] = weighted_rows(index, weights, value.flatten(0, 1))


def weighted_rows(index: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sums of rows.

    Args:
        index: which rows, (Q, k), int64.
        weights: of each, (Q, k).
        values: (N, C).

    Returns:
        (Q, C).
    """
    return F.embedding_bag(index, values, per_sample_weights=weights.to(values.dtype), mode="sum")


def _affinities(query: Tensor, keys: Tensor, plan: ReadPlan, cell: int = 1) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of query rows with their affinity to all rows of ``keys``, -inf to what must not be read.

    A row stands for ``cell`` x ``cell`` positions of the plan's grid.
    """
    table, far = keys.flatten(0, 1), None
    height, width = (length // cell for length in plan.grid)
    # Where the frame with the window is all that there is to read, it is read whole.
    if plan.window is not None and len(keys) - len(plan.absent) > 1:
        radius = plan.window[1] // cell
        far = [far_apart(length, radius, query.device) for length in (height, width)]
        places = torch.arange(len(query), device=query.device)
    size = max(BLOCK_ELEMENTS.get(query.device.type, 1 << 21) // len(table), BLOCK_ROWS)
    compare = product_with(table, min(size, len(query)))
    for start in range(0, len(query), size):
        rows = slice(start, start + size)
        affinity = compare(query[rows])
        by_frame = affinity.view(len(affinity), len(keys), -1)
        if plan.absent:
            by_frame[:, list(plan.absent)] = -torch.inf
        if plan.window is not None and far is not None:
            windowed = by_frame[:, plan.window[0]].unflatten(1, (height, width))
            windowed += far[0][places[rows] // width, :, None]
            windowed += far[1][places[rows] % width, None, :]
        yield rows, affinity


def far_apart(length: int, radius: int, device: torch.device) -> Tensor:
    """-inf where two places on an axis are more than a radius apart, else 0.

    Two positions of a grid are outside each other's window where their rows or their columns are; a matrix of
    all pairs of positions would take gigabytes on a large grid.

    Args:
        length: places on the axis.
        radius: in places.
        device: where the result goes.

    Returns:
        (length, length), float32.
    """
    places = torch.arange(length, device=device)
    far = (places[:, None] - places).abs() > radius
    return torch.zeros(far.shape, device=device).masked_fill_(far, -torch.inf)

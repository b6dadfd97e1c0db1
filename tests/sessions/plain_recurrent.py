"""Inference of XMem and Cutie as their releases write it down: whole affinities, lists that grow, no sharing.

Read from the published systems' description (docs/systems), not from segue's trackers, which are held against
it. Ids ascend in the order in which objects enter, as both releases want it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.geometry import padding


def log_odds(probabilities: Tensor) -> Tensor:
    """Soft aggregation, (K, H, W) to (K+1, H, W)."""
    merged = torch.cat([torch.prod(1 - probabilities, 0, keepdim=True), probabilities]).clamp(1e-7, 1 - 1e-7)
    return (merged / (1 - merged)).log()


def similarity(key: Tensor, shrinkage: Tensor, query: Tensor, selection: Tensor) -> Tensor:
    """Of memory (C, N), (1, N) and query (C, P), (C, P): (N, P)."""
    squares = key.square().T @ selection - 2 * key.T @ (query * selection)
    return -(squares + (selection * query.square()).sum(0)) * shrinkage.T / len(key) ** 0.5


NEAR = 3e-6
"""Differences that rounding alone can turn round."""


@dataclass
class Table:
    """Elements of a memory; values by object, of as many of the last elements as the object has."""

    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    use: Tensor
    life: Tensor
    values: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def fresh(cls, key: Tensor, shrinkage: Tensor, selection: Tensor, values: Mapping[int, Tensor]) -> Table:
        use = torch.zeros(key.shape[1])
        return cls(key, shrinkage, selection, use, use + 1e-7, dict(values))

    def __len__(self) -> int:
        return len(self.use)

    def at(self, index: Any) -> Table:
        parts = (self.key, self.shrinkage, self.selection, self.use, self.life)
        return Table(*(part[..., index] for part in parts), {i: v[:, index] for i, v in self.values.items()})

    def __add__(self, other: Table) -> Table:
        parts = [
            torch.cat([getattr(self, name), getattr(other, name)], -1)
            for name in ("key", "shrinkage", "selection", "use", "life")
        ]
        nothing = next(iter(other.values.values()))[:, :0]
        values = {i: torch.cat([self.values.get(i, nothing), v], 1) for i, v in other.values.items()}
        return Table(*parts, {**self.values, **values})

    def prototypes(self, count: int, groups: Sequence[Sequence[int]]) -> Table:
        """XMem, section 3.3; shrinkages are read as values of the first group are."""
        chosen = (self.use / self.life).topk(count).indices
        scores = similarity(self.key, self.shrinkage, self.key[:, chosen], self.selection[:, chosen])
        shrinkage, values = self.shrinkage, {}
        for number, group in enumerate(groups):
            own = self.values[group[0]].shape[1]
            weights = scores[len(self) - own :, chosen >= len(self) - own].softmax(0)
            if number == 0:
                shrinkage = self.shrinkage[:, len(self) - own :] @ weights
            values |= {i: self.values[i] @ weights for i in group}
        return Table.fresh(self.key[:, chosen], shrinkage, self.selection[:, chosen], values)


def count(parts: Sequence[Table], received: Tensor) -> None:
    """Count a read as usage of tables that were read as one."""
    for part, use in zip(parts, received.split([len(part) for part in parts]), strict=True):
        part.use, part.life = part.use + use, part.life + 1


class Plain:
    """One video; ``step`` takes an image, and a mask with the ids in it.

    ``sure`` says whether no choice so far was between near equals, which may fall out otherwise elsewhere.
    """

    def __init__(self, network: Any, **settings: Any) -> None:
        self.network, self.settings = network, settings
        self.time, self.last_memory = -1, 0
        self.ids: list[int] = []
        self.states: dict[int, Tensor] = {}
        self.sure = True

    def affinity(self, scores: Tensor) -> Tensor:
        """Softmax over memory, of the largest alone."""
        top_k = self.settings["top_k"]
        if top_k is None:
            return scores.softmax(0)
        self.note_choice(scores, top_k)
        best, index = scores.topk(top_k, 0)
        return torch.zeros_like(scores).scatter_(0, index, best.softmax(0))

    def note_choice(self, values: Tensor, count: int) -> None:
        """See whether the ``count`` largest are larger than the rest; zeros are equal everywhere."""
        if 0 < count < len(values):
            least, next_one = values.topk(count + 1, 0).values[-2:]
            near = least - next_one <= NEAR * (1 + next_one.abs())
            self.sure &= not bool((near & (least != 0)).any())

    def encoded(self, image: Any) -> Any:
        query = self.network.encode_query(self.network.prepare(torch.from_numpy(image)))
        self.time += 1
        self.parts = query.key[0].flatten(1), query.shrinkage[0].flatten(1), query.selection[0].flatten(1)
        self.positions = self.parts[0].shape[1]
        self.size, self.padded = image.shape[:2], query.image.shape[-2:]
        return query

    def joined(
        self, image_mask: Tensor, given: Sequence[int], predicted: Tensor | None, before: int
    ) -> Tensor:
        """Given masks in the prediction, which has the first ``before`` objects."""
        mask = F.pad(image_mask, padding(*self.size, 16))
        planes = []
        for number, i in enumerate(self.ids):
            known = predicted is not None and number < before and i not in given
            planes.append(predicted[1 + number].masked_fill(mask > 0, 0) if known else (mask == i).float())
        return log_odds(torch.stack(planes)).softmax(0)

    def stacked(self, query: Any) -> Tensor:
        zero = query.key.new_zeros(self.network.hidden_channels, *query.key.shape[-2:])
        return torch.stack([self.states.get(i, zero) for i in self.ids])

    def cut(self, probabilities: Tensor) -> Tensor:
        left, _, top, _ = padding(*self.size, 16)
        return probabilities[:, top : top + self.size[0], left : left + self.size[1]]


class PlainXMem(Plain):
    """Settings: mem_every, deep, top_k, long, most, least (frames), prototypes, bound."""

    working: Table | None = None
    long: Table | None = None
    last_deep: int | None = None

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.groups: list[list[int]] = []

    @torch.inference_mode()
    def step(self, image: Any, mask: Tensor | None = None, given: Sequence[int] = ()) -> Tensor:
        query, ask = self.encoded(image), self.settings
        before = len(self.ids)
        new = [i for i in given if i not in self.ids]
        self.ids += new
        keep = mask is not None or self.time - self.last_memory >= ask["mem_every"]
        deep = keep
        if ask["deep"] >= 0:
            deep = self.last_deep is None or self.time - self.last_deep >= ask["deep"]
        predicted = None
        if before and len(given) != len(self.ids):
            states = self.stacked(query)[:before]
            logits, moved = self.network.decode(query, self.read(query), states, update=True)
            if ask["deep"] >= 0 or not deep:
                self.states.update(zip(self.ids, moved, strict=False))
            large = F.interpolate(logits[None], size=self.padded, mode="bilinear")[0]
            predicted = log_odds(large.sigmoid()).softmax(0)
        found = predicted if mask is None else self.joined(mask, given, predicted, before)
        if keep:
            value, moved = self.network.encode_memory(query, found[1:], None, self.stacked(query))
            if new:
                self.groups.append(new)
            self.remember(dict(zip(self.ids, value.flatten(2), strict=True)))
            self.last_memory = self.time
            if deep:
                self.states, self.last_deep = dict(zip(self.ids, moved, strict=True)), self.time
        return self.cut(found)

    def read(self, query: Any) -> Tensor:
        parts = [table for table in (self.long, self.working) if table is not None]
        scores = similarity(
            torch.cat([p.key for p in parts], 1), torch.cat([p.shrinkage for p in parts], 1), *self.parts[::2]
        )
        by_part = scores.split([len(part) for part in parts])
        readout = []
        for number, group in enumerate(self.groups):
            own = [part.values.get(group[0]) for part in parts]
            mine = [s[len(s) - v.shape[1] :] for s, v in zip(by_part, own, strict=True) if v is not None]
            weights = self.affinity(torch.cat(mine))
            for i in group:
                values = torch.cat([part.values[i] for part in parts if i in part.values], 1)
                readout.append((values @ weights).view(-1, *query.key.shape[-2:]))
            if number == 0:
                count(parts, weights.sum(1))
        return torch.stack(readout)

    def remember(self, values: dict[int, Tensor]) -> None:
        ask, n = self.settings, self.positions
        fresh = Table.fresh(*self.parts, values)
        self.working = fresh if self.working is None else self.working + fresh
        if not ask["long"] or len(self.working) < ask["most"] * n:
            return
        room = ask["bound"] - ask["prototypes"]
        if self.long is not None and len(self.long) > room:
            usage = self.long.use / self.long.life
            self.long = self.long.at(usage > usage.topk(len(self.long) - room, largest=False).values[-1])
        total, kept = len(self.working), ask["least"] * n

        def middle(x: Tensor) -> Tensor:
            return x[..., n : x.shape[-1] - kept + n]

        def ends(x: Tensor) -> Tensor:
            return torch.cat([x[..., :n], x[..., x.shape[-1] - kept + n :]], -1)

        table = self.working
        moved = [
            g for g in self.groups if table.values[g[0]].shape[1] in (total, *range(kept + n + 1, total))
        ]
        candidates = table.at(slice(n, total - kept + n))
        candidates.values = {i: middle(table.values[i]) for group in moved for i in group}
        self.note_choice(candidates.use / candidates.life, ask["prototypes"])
        made = candidates.prototypes(ask["prototypes"], moved)
        self.long = made if self.long is None else self.long + made
        names = ("key", "shrinkage", "selection", "use", "life")
        shorter = {i: ends(v) if v.shape[1] >= kept + n else v for i, v in table.values.items()}
        self.working = Table(*(ends(getattr(table, name)) for name in names), shorter)


@dataclass
class Bucket:
    """Objects that entered together, and what they read."""

    ids: list[int]
    permanent: Table
    passing: Table | None = None
    long: Table | None = None

    @property
    def parts(self) -> list[Table]:
        return [part for part in (self.long, self.permanent, self.passing) if part is not None]


class PlainCutie(Plain):
    """Settings: mem_every, stagger, chunk, top_k, frames, long, most, least, prototypes, bound, buffer."""

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.buckets: list[Bucket] = []
        self.summaries: dict[int, Tensor] = {}
        self.last: Tensor | None = None
        every, times = settings["mem_every"], settings["stagger"]
        spread = np.round(np.linspace(1, every, times)).astype(int)
        self.due = set(range(1, every + 1)) if times >= every else set(spread.tolist())

    def remove(self, i: int) -> None:
        """As the release does: the last masks and the summaries stay."""
        self.ids.remove(i)
        self.states.pop(i)
        for bucket in self.buckets:
            bucket.ids = [own for own in bucket.ids if own != i]
            for part in bucket.parts:
                part.values.pop(i, None)
        self.buckets = [bucket for bucket in self.buckets if bucket.ids]

    @torch.inference_mode()
    def step(self, image: Any, mask: Tensor | None = None, given: Sequence[int] = ()) -> Tensor:
        query = self.encoded(image)
        before = list(self.ids)
        keep = mask is not None or self.time - self.last_memory >= self.settings["mem_every"]
        predicted = None
        if before and (mask is None or not set(given) <= set(before)):
            logits, moved = self.network.decode(query, self.read(query), self.stacked(query), update=True)
            if self.time - self.last_memory in self.due:
                self.states = dict(zip(self.ids, moved, strict=True))
            odds = F.interpolate(log_odds(logits.sigmoid())[None], size=self.padded, mode="bilinear")
            predicted = odds[0].softmax(0)
        self.ids += [i for i in given if i not in self.ids]
        found = predicted
        if mask is not None:
            found = self.joined(mask, given if predicted is not None else self.ids, predicted, len(before))
        if found is None:
            return torch.zeros(1, *self.size)
        self.last = found[1:]
        if keep:
            value, moved = self.network.encode_memory(query, found[1:], None, self.stacked(query))
            self.states = dict(zip(self.ids, moved, strict=True))
            small = F.interpolate(self.last[None], size=query.key.shape[-2:], mode="area")[0]
            for i, sums in zip(self.ids, self.network.summarise(value, small), strict=True):
                self.summaries[i] = self.summaries.get(i, 0) + sums
            self.remember(dict(zip(self.ids, value.flatten(2), strict=True)))
            self.last_memory = self.time
        return self.cut(found)

    def read(self, query: Any) -> Tensor:
        size, chunk = query.key.shape[-2:], self.settings["chunk"]
        small = F.interpolate(self.last[None], size=size, mode="area")[0]
        found = {}
        for bucket in self.buckets:
            key, shrinkage = (
                torch.cat([getattr(p, n) for p in bucket.parts], 1) for n in ("key", "shrinkage")
            )
            weights = self.affinity(similarity(key, shrinkage, *self.parts[::2]))
            count(bucket.parts, weights.sum(1))
            step = chunk or len(bucket.ids)
            for ids in (bucket.ids[start : start + step] for start in range(0, len(bucket.ids), step)):
                values = torch.stack([torch.cat([p.values[i] for p in bucket.parts], 1) for i in ids])
                readout = (values @ weights).view(len(ids), -1, *size)
                states = torch.stack([self.states[i] for i in ids])
                places = [self.ids.index(i) for i in ids]  # of objects that are gone still the masks of old
                pixel = self.network.fuse(query, readout, states, small[places])
                summaries = torch.stack([self.summaries[i] for i in ids])
                found |= dict(zip(ids, self.network.transform(pixel, summaries)[0], strict=True))
        return torch.stack([found[i] for i in self.ids])

    def remember(self, values: dict[int, Tensor]) -> None:
        for bucket in self.buckets:
            fresh = Table.fresh(*self.parts, {i: values[i] for i in bucket.ids})
            bucket.passing = fresh if bucket.passing is None else bucket.passing + fresh
        new = [i for i in self.ids if not any(i in bucket.ids for bucket in self.buckets)]
        if new:
            self.buckets.append(Bucket(new, Table.fresh(*self.parts, {i: values[i] for i in new})))
        for bucket in self.buckets:
            if bucket.passing is not None:
                self.make_room(bucket, bucket.passing)

    def make_room(self, bucket: Bucket, passing: Table) -> None:
        ask, total = self.settings, len(passing)
        if not ask["long"]:
            bucket.passing = passing.at(slice(max(total - (ask["frames"] - 1) * self.positions, 0), total))
        elif total >= (ask["most"] - 1) * self.positions:
            room, recent = ask["bound"] - ask["prototypes"], (ask["least"] - 1) * self.positions
            if bucket.long is not None and len(bucket.long) >= room:
                usage = bucket.long.use / bucket.long.life
                self.note_choice(usage, room - ask["buffer"])
                bucket.long = bucket.long.at(usage.topk(room - ask["buffer"]).indices)
            candidates = passing.at(slice(0, total - recent))
            self.note_choice(candidates.use / candidates.life, ask["prototypes"])
            made = candidates.prototypes(ask["prototypes"], [bucket.ids])
            bucket.long = made if bucket.long is None else bucket.long + made
            bucket.passing = passing.at(slice(total - recent, total))

"""The memory of XMem and Cutie against a list of rows that is read with the formulas of the papers."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import FramePrompts, Schedule, Setup
from segue.models.geometry import unpad
from segue.models.memory import BicubicTracker, FramePlan, LongTermSchedule, MemoryTable
from segue.models.memory.long_term import LongTermTracker

CHANNELS, VALUES, HEIGHT, WIDTH = 4, 3, 2, 3
POSITIONS = HEIGHT * WIDTH
ENTRIES = {1: 0, 2: 0, 3: 2}
"""On which frame each object enters."""


@dataclass
class Row:
    """One row of the memory: key (C,), shrinkage, selection (C,), and the values (Cv,) of objects."""

    key: Tensor
    shrinkage: float
    selection: Tensor
    values: dict[int, Tensor]


def affinity(row: Row, key: Tensor, selection: Tensor) -> float:
    """XMem, equation 2."""
    distance = (selection * (row.key - key) ** 2).sum()
    return float(-row.shrinkage * distance / math.sqrt(CHANNELS))


def attention(rows: Sequence[Row], key: Tensor, selection: Tensor, top_k: int | None = None) -> Tensor:
    """Weights of rows in what a query reads, (N,), 0 beyond the best ``top_k``."""
    scores = torch.tensor([affinity(row, key, selection) for row in rows], dtype=torch.float64)
    if top_k is not None and top_k < len(rows):
        scores[scores < scores.topk(top_k).values[-1]] = -torch.inf
    return scores.softmax(0)


def expected_read(rows: Sequence[Row], i: int, key: Tensor, selection: Tensor, top_k: int | None) -> Tensor:
    """What an object reads, (Cv, h, w), of the rows that have a value of it."""
    own = [row for row in rows if i in row.values]
    table = torch.stack([row.values[i] for row in own]).double()
    read = [
        attention(own, k, e, top_k) @ table
        for k, e in zip(key[0].flatten(1).T, selection[0].flatten(1).T, strict=True)
    ]
    return torch.stack(read).T.reshape(VALUES, HEIGHT, WIDTH).float()


@dataclass
class Frame:
    """What is written of one frame, and its rows."""

    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    values: dict[int, Tensor]

    @property
    def rows(self) -> list[Row]:
        return [
            Row(
                self.key[0].flatten(1)[:, n],
                float(self.shrinkage.flatten()[n]),
                self.selection[0].flatten(1)[:, n],
                {i: plane.flatten(1)[:, n] for i, plane in self.values.items()},
            )
            for n in range(POSITIONS)
        ]


def video(count: int) -> list[Frame]:
    """Frames on which objects are there from those of ``ENTRIES`` on."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for t in range(count):
        key, selection = torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH, generator=generator)
        shrinkage = 1 + torch.rand(1, 1, HEIGHT, WIDTH, generator=generator)
        values = {
            i: torch.randn(VALUES, HEIGHT, WIDTH, generator=generator)
            for i, entry in ENTRIES.items()
            if entry <= t
        }
        found.append(Frame(key, shrinkage, selection.sigmoid(), values))
    return found


def filled(frames: Sequence[Frame], top_k: int | None = None, **rules: Any) -> MemoryTable:
    store = MemoryTable("anisotropic", top_k, spare_pinned=True, **rules)
    for frame in frames:
        write(store, frame)
    return store


def write(store: MemoryTable, frame: Frame) -> None:
    ids = sorted(frame.values)
    values = torch.stack([frame.values[i] for i in ids])
    store.write(ids, frame.key, values, shrinkage=frame.shrinkage, selection=frame.selection)


def numbers(store: MemoryTable) -> list[int]:
    return sorted(frame.number for frame in store.frames)


def rows_of(frames: Sequence[Frame]) -> list[Row]:
    return [row for frame in frames for row in frame.rows]


def read(store: MemoryTable, ids: Sequence[int]) -> Tensor:
    key, selection = query()
    return store.read(key, ids, selection)


def query() -> tuple[Tensor, Tensor]:
    """Key and selection of an image, (1, C, h, w) each."""
    key, selection = torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(9))
    return key, selection.sigmoid()


def assert_reads(
    store: MemoryTable, rows: Sequence[Row], ids: Sequence[int] = (3, 1, 2), top_k: int | None = None
) -> None:
    key, selection = query()
    expected = torch.stack([expected_read(rows, i, key, selection, top_k) for i in ids])
    found = store.read(key, ids, selection)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("top_k", [None, 4, 13, 100])
@pytest.mark.parametrize("ids", [(1, 2, 3), (3, 1), (3,), (2,)])
def test_objects_read_the_frames_from_their_first_one_on(ids: tuple[int, ...], top_k: int | None) -> None:
    frames = video(4)
    assert_reads(filled(frames, top_k), rows_of(frames), ids, top_k)


def prototypes(candidates: Sequence[Row], chosen: Sequence[int]) -> list[Row]:
    """XMem, section 3.3: each object's value is read from those candidates that have one."""
    made = []
    for place in chosen:
        at = candidates[place]
        weights = attention(candidates, at.key, at.selection)
        shrinkage = float(weights @ torch.tensor([row.shrinkage for row in candidates], dtype=torch.float64))
        values = {}
        for i in at.values:
            own = [row for row in candidates if i in row.values]
            table = torch.stack([row.values[i] for row in own]).double()
            values[i] = (attention(own, at.key, at.selection) @ table).float()
        made.append(Row(at.key, shrinkage, at.selection, values))
    return made


def consolidated(frames: Sequence[Frame], count: int) -> tuple[MemoryTable, list[Row]]:
    """A store after its frames 1 and 3 became prototypes, and these."""
    store = filled(frames)
    read(store, [1, 2])
    store.commit_usage()
    candidates = rows_of([frames[1], frames[3]])
    places = [*range(POSITIONS, 2 * POSITIONS), *range(3 * POSITIONS, 4 * POSITIONS)]
    chosen = sorted(store.usage()[places].topk(count).indices.tolist())
    store.compress(count, recent=1)
    return store, prototypes(candidates, chosen)


def tracker(**schedule: Any) -> LongTermTracker:
    network = SimpleNamespace(stride=16, aggregate_prompts=False)
    settings = LongTermSchedule(**schedule)
    return LongTermTracker(network, Setup(settings, torch.device("cpu"), torch.float32, 1 << 30))


def read_much(store: MemoryTable, frame: Frame) -> None:
    """Count a read that looks as a frame did."""
    store.read(frame.key, [1, 2], 30 * frame.selection)
    store.commit_usage()


def test_a_tracker_reads_what_it_wrote_and_counts_the_reads_of_frames_that_it_takes() -> None:
    frames = video(3)
    tracking = tracker(top_k=None, permanent="given")
    for number, frame in enumerate(frames):
        tracking.ids = tuple(sorted(frame.values))
        imaged = SimpleNamespace(key=frame.key, shrinkage=frame.shrinkage, selection=frame.selection)
        given = FramePrompts(torch.zeros(1, 1), (1,)) if number == 1 else None
        values = torch.stack([frame.values[i] for i in tracking.ids])
        tracking.write(0, (imaged, values), FramePlan(given, tracking.ids, keep=True))
    key, selection = query()
    asked = SimpleNamespace(key=key, selection=selection)
    expected = [expected_read(rows_of(frames), i, key, selection, None) for i in (3, 1)]
    plan = FramePlan(None, tracking.ids, keep=False)
    for taken in (False, True):
        found = tracking.read(0, asked, (3, 1), plan)
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)
        if not taken:
            tracking.memories[0].discard()
        tracking.memories[0].commit()
        assert bool(tracking.memories[0].tables[0].usage().any()) == taken
    pinned = [frame.number for frame in tracking.memories[0].tables[0].frames if frame.pinned]
    assert pinned == [1], "the frame with a given mask"


@pytest.mark.parametrize(("most", "left"), [(5, [0, 1, 2, 3, 4]), (4, [0, 2, 4])])
def test_a_full_memory_of_frames_is_consolidated_down_to_the_last_ones(most: int, left: list[int]) -> None:
    store = filled(video(5))
    tracker(max_mid_term_frames=most, min_mid_term_frames=2, num_prototypes=5).compress(store)
    assert numbers(store) == left
    assert store.long == (0 if len(left) == 5 else 5)


def test_the_elements_go_that_were_read_least_and_their_equals_with_them() -> None:
    frames = video(5)
    store, made = consolidated(frames, 9)
    small = tracker(num_prototypes=4, max_long_term_elements=13)
    small.evict(store)
    assert store.long == 9, "there is room for four more"
    read_much(store, frames[3])
    usage = store.usage()[:9]
    order = usage.argsort()
    tracker(num_prototypes=4, max_long_term_elements=10).evict(store)
    kept = sorted(order[3:].tolist())
    assert store.long == 6
    assert_reads(store, [*(made[n] for n in kept), *rows_of([frames[0], frames[2], frames[4]])])
    equals, _ = consolidated(frames, 9)  # none of which was read
    tracker(num_prototypes=4, max_long_term_elements=12).evict(equals)
    assert equals.long == 0


@pytest.mark.parametrize("official", [False, True])
def test_an_object_that_the_reduced_mask_loses_keeps_a_pixel_but_with_official(official: bool) -> None:
    mask = torch.zeros(12, 12, dtype=torch.int32)
    mask[4:8, 4:8] = 1
    mask[2, 1] = 2  # between the samples
    geometry = tracker(short_side=8, official=official).geometry((12, 12))
    small = unpad(geometry.mask_to_network(mask), geometry.working)
    assert small.shape == (8, 8)
    assert set(small.unique().tolist()) == ({0, 1} if official else {0, 1, 2})


def test_images_are_reduced_bicubically_as_stcn_s_release_does() -> None:
    network = SimpleNamespace(similarity="l2", shared_keys=True, stride=16, read_stride=16)
    setup = Setup(Schedule(short_side=6), torch.device("cpu"), torch.float32, 1 << 30)
    reducing = BicubicTracker(network, setup)
    image = np.random.default_rng(2).integers(0, 256, (13, 20, 3)).astype(np.uint8)
    geometry = reducing.geometry((13, 20))
    assert geometry.working == (6, 9)
    assert geometry.mask_mode == "nearest"
    planes = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    expected = F.interpolate(planes, size=(6, 9), mode="bicubic")[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(geometry.to_network(image), expected, atol=1e-3)
    assert np.array_equal(reducing.geometry((6, 6)).to_network(image[:6, :6]), image[:6, :6])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@torch.inference_mode()
def test_a_memory_of_many_sizes_takes_no_more_than_its_rows() -> None:
    # oneDNN keeps up to a megabyte for each size of a product that it has met.
    store = MemoryTable("anisotropic", 30, spare_pinned=True)
    key, selection = torch.randn(1, 64, 4, 7), torch.rand(1, 64, 4, 7)
    before = 0.0
    for _ in range(130):
        values, shrinkage = torch.randn(1, 16, 4, 7), torch.ones(1, 1, 4, 7)
        store.write([1], key, values, shrinkage=shrinkage, selection=selection)
        store.compress(16, recent=0)
        store.read(key, [1], selection)
        before = before or resident_megabytes()
    assert resident_megabytes() - before < store.nbytes / 1e6 + 20


def resident_megabytes() -> float:
    """Resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

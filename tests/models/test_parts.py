"""Many objects are merged in parts of the image as in all of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.base import Highest
from segue.models.geometry import ResizePadGeometry, aggregate
from segue.models.memory.memory import Memory
from segue.models.memory.parts import (
    binary_masks,
    boxes_of,
    merge_parts,
    planes_of,
    total_of,
    working_window,
)
from segue.models.memory.table import MemoryTable, PartialValues, Values
from segue.models.memory.tracker import upsample_then_aggregate
from segue.models.memory.window import OUTSIDE, Boxes, Window

COUNT = 9


def some_logits(height: int, width: int) -> Tensor:
    """Log-odds of objects in windows, the last of them nowhere; the first one reaches the corner."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.full((COUNT, height, width), OUTSIDE)
    for number, plane in enumerate(logits[:-1]):
        window = plane[3 * number :, 4 * number :][:14, :18]
        window.copy_(6 * torch.randn(window.shape, generator=generator))
    return logits


@pytest.mark.parametrize(
    ("image", "short_side"),
    [((96, 160), None), ((90, 150), None), ((120, 200), 96), ((135, 203), 90), ((203, 135), 90)],
)
def test_objects_are_merged_in_their_parts_as_in_the_whole_image(
    image: tuple[int, int], short_side: int | None
) -> None:
    geometry = ResizePadGeometry.of(image, short_side, 16)
    logits = some_logits(geometry.padded[0] // 2, geometry.padded[1] // 2)
    dense = upsample_then_aggregate(logits, geometry.padded, aggregate=aggregate)
    expected = Highest.of(geometry.to_image(dense))
    highest, seen = merge_parts(logits, geometry)
    planes = planes_of(seen)
    torch.testing.assert_close(planes, dense[1:], atol=2e-4, rtol=0)
    torch.testing.assert_close(total_of(seen)[0], planes.sum(0))
    assert torch.equal(binary_masks(seen), planes > 0.5)
    for window in (Window(16, 32, 48, 64, geometry.padded), working_window(geometry)):
        part = window.cut(planes)
        assert torch.equal(planes_of(seen.cut(window)), part)
        assert torch.equal(window.cut(planes_of(seen.clipped(window))), part)
        assert np.array_equal(boxes_of(seen.cut(window)).sides, Boxes.of(part > 0.5).sides)
    torch.testing.assert_close(highest.best, expected.best, atol=1e-4, rtol=0)
    torch.testing.assert_close(highest.sums, expected.sums, atol=0.05, rtol=1e-4)
    assert (highest.channel != expected.channel).float().mean() < 1e-3


def test_partial_values_of_a_frame_are_written_as_all_its_values_are() -> None:
    generator = torch.Generator().manual_seed(7)
    ids = [1, 4]

    def frame() -> tuple[Tensor, Tensor]:
        key, values = (torch.randn(*size, 6, 9, generator=generator) for size in ((1, 16), (2, 24)))
        return key, values

    memories = [Memory(lambda: MemoryTable(top_k=6, memory_frames=2)) for _ in range(2)]
    key, values = frame()
    for memory in memories:
        memory.write(ids, key, values)
    for keep in (False, False, True, False, True, True, False):  # frames are replaced from the fourth on
        key, fresh = frame()
        part = fresh[0, :, 1:4, 2:7].clone()
        if keep:
            values = fresh[1].repeat(2, 1, 1, 1)
            partial = [PartialValues((1, 2), part, fresh[1]), fresh[1]]
        else:
            values = values.clone()
            values[1] = fresh[1]
            partial = [PartialValues((1, 2), part), PartialValues((0, 0), fresh[1])]
        values[0, :, 1:4, 2:7] = part
        written: tuple[Values, ...] = values, partial
        for memory, each in zip(memories, written, strict=True):
            memory.write(ids, key, each, keep=keep)
        asked = torch.randn(1, 16, 6, 9, generator=generator)
        one, other = (memory.read(asked, ids) for memory in memories)
        assert torch.equal(one, other)
        for memory in memories:
            memory.commit()


def test_values_that_are_read_where_they_are_wanted_are_those_of_a_whole_read() -> None:
    generator = torch.Generator().manual_seed(5)
    tables: list[MemoryTable] = []

    def new_table() -> MemoryTable:
        tables.append(MemoryTable(top_k=6, coarse_above=50))
        return tables[-1]

    memory = Memory(new_table)
    ids = [2, 5, 9]
    for _ in range(2):
        key, values = (torch.randn(*size, 8, 12, generator=generator) for size in ((1, 16), (3, 24)))
        memory.write(ids, key, values)
    key = torch.randn(1, 16, 8, 12, generator=generator)
    wanted = torch.rand(3, 8, 12, generator=generator) > 0.7
    wanted[1] = False
    whole = memory.read(key, ids)
    usage = tables[0].usage()
    memory.discard()
    some = memory.read(key, ids, within=wanted)
    for place in range(3):
        assert torch.equal(some[place][:, wanted[place]], whole[place][:, wanted[place]])
    more = torch.rand(8, 12, generator=generator) > 0.2
    wider = tables[0].read_wider(5, some[1:2], more)
    assert torch.equal(wider[0][:, more], whole[1][:, more])
    assert torch.equal(tables[0].usage(), usage), "reading more of the same key does not count"


def test_the_first_of_equal_planes_is_highest() -> None:
    planes = torch.randint(0, 4, (5, 30, 40), generator=torch.Generator().manual_seed(0)) / 4
    highest = Highest.of(planes)
    assert torch.equal(highest.best, planes.amax(0))
    is_best = planes == highest.best
    assert torch.equal(highest.channel.long(), is_best.int().argmax(0))
    torch.testing.assert_close(highest.sums, planes.sum((1, 2)))

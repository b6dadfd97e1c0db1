"""Measure break-even points of Winograd's algorithm, for the tables of forms.

``segue doctor --tune`` and ``python -m benchmarks.speed.forms --write`` call this; nothing else measures.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segue.errors import CheckpointError
from segue.inference.cpu import winograd
from segue.inference.cpu.features import instruction_set
from segue.inference.cpu.forms import read_rows
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.threads import own_threads
from segue.utils.files import prepare, write_complete
from segue.utils.system import processor

WIDTHS = (64, 96, 128, 192, 256, 384, 512)
"""Channels in and out; layers between two of them follow the smaller one."""

SIZES = ((12, 20), (15, 27), (24, 40), (30, 54), (45, 80), (60, 107), (90, 160))
"""Heights and widths of maps."""

GAIN = 1.1
"""Minimum speed-up; below it the direct form stays, which rounds less."""

OTHER_BYTES = 32 << 20
"""Bytes of other data read before each call, as by other layers of a network: no weights are cached."""

ROUNDS = 3
"""Rounds at least for each size."""


def measure(
    threads: Collection[int],
    widths: Sequence[int] = WIDTHS,
    sizes: Sequence[tuple[int, int]] = SIZES,
    seconds: float = 0.3,
) -> Iterator[tuple[int, int, int | None]]:
    """Measure the break-even points of this machine, which should be idle.

    Args:
        threads: numbers of threads.
        widths: channels in and out.
        sizes: heights and widths of maps, ascending.
        seconds: for each size.

    Yields:
        Number of threads, channels, and the least number of positions, None for never.
    """
    for count in threads:
        with own_threads(count), torch.inference_mode():
            for width in widths:
                yield count, width, _break_even(width, count, sizes, seconds)


def _break_even(width: int, threads: int, sizes: Sequence[tuple[int, int]], seconds: float) -> int | None:
    """Smallest number of positions from which Winograd is faster at all sizes."""
    positions = None
    for height, across in reversed(sizes):
        if _gain(width, height, across, threads, seconds) < GAIN:
            break
        positions = height * across
    return positions


def _gain(width: int, height: int, across: int, threads: int, seconds: float) -> float:
    """Speedup of Winograd over the direct form, timed in turn."""
    conv = nn.Conv2d(width, width, 3, padding=1).requires_grad_(False)
    direct, kernel = FusedConv2d(conv, "relu"), winograd.arrange(conv.weight)
    x = torch.randn(1, width, height, across).contiguous(memory_format=torch.channels_last)
    forms: tuple[Callable[[], Any], ...] = (
        lambda: direct(x),
        lambda: winograd.convolve(x, kernel, conv.bias, rectify=True, threads=threads),
    )
    ratios: list[float] = []
    buffer = torch.zeros(OTHER_BYTES // 4)
    start = time.perf_counter()
    while len(ratios) < ROUNDS + 1 or time.perf_counter() - start < seconds:
        plain, other = (_seconds(form, buffer) for form in forms)
        ratios.append(plain / other)
    return statistics.median(ratios[1:])  # weights are arranged in the first round


def _seconds(work: Callable[[], object], buffer: torch.Tensor) -> float:
    buffer.add_(1)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def row(measured: Collection[tuple[int, int, int | None]]) -> dict[str, Any]:
    """Convert the result of :func:`measure` to JSON values of one instruction set."""
    rows: dict[str, list[list[int]]] = {}
    for threads, width, minimum in measured:
        pairs = rows.setdefault(str(threads), [])
        if minimum is not None:
            pairs.append([width, minimum])
    return {"processor": processor(), "torch": torch.__version__, "winograd": rows}


def write(path: Path, measured: Collection[tuple[int, int, int | None]], name: str | None = None) -> None:
    """Write a table with rows of this instruction set, or another name, keeping other rows.

    A damaged table is replaced.

    Raises:
        SinkError: it cannot be written.
    """
    prepare(path)
    table = dict(sorted({**_rows(path), name or instruction_set(): row(measured)}.items()))
    write_complete(path, (json.dumps(table, indent=1) + "\n").encode())


def _rows(path: Path) -> dict[str, Any]:
    """Rows of a table; none if it is damaged or missing."""
    try:
        return read_rows(path)
    except (OSError, CheckpointError):
        return {}

"""Wide 3x3 convolutions with fewer multiplications, for inference on a processor.

NNPACK, which is part of PyTorch, computes tiles of 6x6 outputs by Winograd's algorithm (Lavin & Gray, "Fast
Algorithms for Convolutional Neural Networks", 2015). In float32 the largest error is about 1e-5 of the
largest output; a direct convolution has 2e-7.

NNPACK computes on one thread. The threads of its own pool wait actively after each call, and take a core from
those of PyTorch: with two of each on two cores, the next direct convolution takes twice as long. Strips of
rows go to threads of this module instead.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import torch
from torch import Tensor

from segue.inference.threads import own_threads, set_own_threads

TILE = 6
TILE_BYTES = 4 * (TILE + 2) ** 2
"""Of one channel of a transformed tile, float32."""

MIN_CHANNELS = 96
"""With fewer, in or out, the transforms of the maps take as long as the products that they save."""

MIN_POSITIONS = 1024
"""With fewer, the transform of the weights does."""

STRIP_BYTES = 24 << 20
"""Of the transformed maps of the rows that are computed at a time."""


def is_faster(x: Tensor, outputs: int) -> bool:
    """Whether :func:`convolve` is the faster way; shapes decide, so that equal inputs have equal bytes.

    ``x``: (B, C, H, W); ``outputs``: number of output channels.
    """
    _, channels, height, width = x.shape
    large = min(channels, outputs) >= MIN_CHANNELS and height * width >= MIN_POSITIONS
    # NNPACK works only after somebody in this process has asked for it.
    return large and x.dtype == torch.float32 and torch.backends.nnpack.is_available()


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    skip: Tensor | None = None,
    *,
    rectify: bool = False,
    overwrite: bool = False,
    strip_bytes: int = STRIP_BYTES,
) -> Tensor:
    """``conv(x) + skip`` with a border of zeros, perhaps with a ReLU, and perhaps over ``skip``.

    ``x``: (B, cin, H, W); ``weight``: (cout, cin, 3, 3), contiguous; ``bias``: (cout,); ``skip``: (B, cout,
    H, W); returns (B, cout, H, W), channels last in memory unless ``skip`` is not.
    """
    (_, cin, height, width), cout = x.shape, len(weight)
    if skip is None:
        out = x.new_empty(len(x), height, width, cout).permute(0, 3, 1, 2)
    else:
        out = skip if overwrite else skip.clone()
    threads = torch.get_num_threads()
    fitting = strip_bytes // threads // (-(-width // TILE) * TILE_BYTES * (cin + cout))
    # Two strips for each thread: one whose core is busy with another program leaves its second to the others.
    even = height if threads == 1 else -(-height // (2 * threads * TILE))
    rows = TILE * max(1, min(fitting, even))

    def convolve_strip(number: int, top: int) -> None:
        bottom = min(top + rows, height)
        strip = x.new_zeros(1, cin, bottom - top + 2, width)
        above, below = max(top - 1, 0), min(bottom + 1, height)
        strip[0, :, above - top + 1 : below - top + 1] = x[number, :, above:below]
        (found,) = torch._nnpack_spatial_convolution(strip, weight, bias, (0, 1))
        part = out[number, :, top:bottom]
        if skip is None:
            part.copy_(found)
        else:
            part.add_(found)
        if rectify:
            part.relu_()

    strips = [(number, top) for number in range(len(x)) for top in range(0, height, rows)]
    _use_one_thread()
    _run_all([functools.partial(convolve_strip, *strip) for strip in strips], threads)
    return out


def _run_all(jobs: list[Callable[[], None]], threads: int) -> None:
    """Run jobs in this thread and in others; each takes the next one as soon as it is free."""
    inference = torch.is_inference_mode_enabled()

    def work() -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            while jobs:
                try:
                    job = jobs.pop()
                except IndexError:  # another thread was faster
                    return
                job()

    helpers = min(threads, len(jobs)) - 1
    helping = _WORKERS.submit(work, helpers, threads - 1) if helpers else []
    work()
    for helper in helping:
        if not helper.cancel():
            helper.result()


class _Workers:
    """Threads that compute strips for all others, each of them on one thread of PyTorch.

    There is one pool, as large as the most that a caller has wanted; a larger one takes its place.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, in a fork, which has none of the threads."""
        self._lock, self._size = threading.Lock(), 0
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[], None], times: int, size: int) -> list[Future[None]]:
        """Run a function several times, in a pool of at least ``size`` threads."""
        with self._lock:
            if self._pool is None or size > self._size:
                if self._pool is not None:
                    self._pool.shutdown(wait=False)  # what it has begun is finished
                self._pool = ThreadPoolExecutor(size, "segue-winograd", functools.partial(set_own_threads, 1))
                self._size = size
            helping = []
            with suppress(RuntimeError):  # the interpreter ends, and no thread begins any more
                helping += [self._pool.submit(work) for _ in range(times)]
            return helping


_WORKERS = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WORKERS.reset)


@functools.cache
def _use_one_thread() -> None:
    """Let NNPACK make its pool, at its first call in a process, while this thread has one of PyTorch."""
    with own_threads(1):
        image, weight = torch.zeros(1, 1, TILE, TILE), torch.zeros(1, 1, 3, 3)
        torch._nnpack_spatial_convolution(image, weight, None, (1, 1))

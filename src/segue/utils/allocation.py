"""Memory settings of the process, mainly of glibc's heap."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from segue.errors import OutOfMemoryError, memory_is_short

TRIM_THRESHOLD = 256 << 20
"""Bytes of freed memory at the end of the heap that stay with the process."""

MAX_IN_HEAP = 32 << 20
"""Minimum bytes of a block that is returned to the system when freed; the maximum of glibc."""

MMAP_THRESHOLD = 1 << 17
"""Minimum bytes of blocks outside of the heap inside :func:`apart_from_heap`."""

QUEUE_BYTES = 32 << 20
"""Maximum bytes of images that wait for another thread, if these are several."""

PRODUCT_ROOM = 48 << 20
"""Maximum bytes that OpenBLAS allocates for matrix products; 32 MiB on x86."""

ENVIRONMENT = {
    # Worker threads of PyTorch otherwise spin while they wait for one another, for long: where a decoder, an
    # encoder or another program wants a core too, that makes two threads slower than one.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Threads that sleep at once take up to 1.9 times as long on an idle machine; short spins cost little.
    # GNU's OpenMP, which PyTorch has on Linux, takes this before the policy; others know the policy alone.
    "GOMP_SPINCOUNT": "20000",
    # Objects in windows of many sizes need more kernels than the 1024 that oneDNN keeps; one takes 70 kB.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "2048",
    # OpenCV's threads spin for some 2,000 steps after each call; in a foreground session that is a seventh of
    # the processor time.
    "OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER": "100",
    # OpenCV writes lines of its own beside the one that says what failed.
    "OPENCV_LOG_LEVEL": "FATAL",
    # Operations that Apple's GPU lacks are computed on the processor.
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}
"""Environment variables that PyTorch and OpenCV read when they are loaded."""

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8

_heap: Any = None
"""The C library, after :func:`prepare_process` has configured its treatment of freed memory."""

_is_prepared = False


def prepare_process() -> None:
    """Set threads and allocation for fast sessions; commands call it before importing PyTorch.

    From then on Pillow opens images of 2²⁸ pixels in this process, too.
    """
    global _heap, _is_prepared
    _is_prepared = True
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    library = _glibc()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, MAX_IN_HEAP)
        library.mallopt(_TRIM_THRESHOLD, TRIM_THRESHOLD)
        _heap = library


@contextmanager
def permanent_imports() -> Iterator[None]:
    """Import without garbage collection, in a process that ends with its command.

    Collections find nothing in modules. With PyTorch they take .3 s of the start, and .2 s each later on.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


@cache
def reserve_products() -> None:
    """Let NumPy's OpenBLAS allocate its memory now, since it exits if that fails later.

    Raises:
        OutOfMemoryError: it is not there.
    """
    import numpy as np

    if memory_is_short(PRODUCT_ROOM):
        raise OutOfMemoryError(f"needed about {PRODUCT_ROOM / 1e6:.0f} MB more")
    some = np.ones((2, 2))
    some @ some.T  # a matrix by itself goes to the one routine that takes the memory for any size


def queue_depth(depth: int, nbytes: int) -> int:
    """Number of images of a size in bytes that may wait: at most ``depth``, and at least one."""
    return max(1, min(depth, QUEUE_BYTES // max(nbytes, 1)))


def is_prepared() -> bool:
    """Whether the settings of this process may be changed."""
    return _is_prepared


def share_heap() -> None:
    """Share one heap between all threads of a prepared process, so that they reuse memory."""
    if _heap is not None:
        _heap.mallopt(_ARENA_MAX, 1)


def release_freed_memory() -> None:
    """Return free memory of a prepared heap to the system, after weights were rearranged."""
    if _heap is not None:
        _heap.malloc_trim(0)


@contextmanager
def apart_from_heap() -> Iterator[None]:
    """Allocate large blocks outside the heap, so that weights leave no holes in it."""
    if _heap is None:
        yield
        return
    library = _heap
    library.mallopt(_MMAP_THRESHOLD, MMAP_THRESHOLD)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, MAX_IN_HEAP)


def _glibc() -> Any:
    """Load the C library if it is glibc with default heap settings, else None."""
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return None
    library = ctypes.CDLL(None)
    if not all(hasattr(library, name) for name in ("mallopt", "malloc_trim")):
        return None
    library.malloc_trim.argtypes = [ctypes.c_size_t]
    return library

"""How the C library treats memory that was freed.

The maps of each frame are freed and asked for again at the next one. glibc gives large pieces back to the
system, which has to clear them page by page before they can be used again: a quarter of the time of a frame
in a foreground session.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEPT = 256 << 20
"""Bytes of freed memory at the end of the heap that stay with the process."""

LARGEST_IN_HEAP = 32 << 20
"""Bytes from which on a piece of memory goes back as soon as it is freed; the most that glibc takes."""

LEAST_APART = 1 << 17
"""Bytes from which on pieces lie apart from the heap inside of :func:`apart_from_heap`."""

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3


def keep_freed_memory() -> bool:
    """Let the heap of this process keep up to :data:`KEPT` bytes that are free; tell whether it does.

    What the environment says (``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_``) has priority; other
    libraries than glibc need none of it.
    """
    library = _glibc()
    if library is None:
        return False
    adjust = library.mallopt
    return bool(adjust(_MMAP_THRESHOLD, LARGEST_IN_HEAP)) and bool(adjust(_TRIM_THRESHOLD, KEPT))


def release_freed_memory() -> bool:
    """Give what is free inside the heap back to the system now.

    It is for pieces that are not used again as they were, such as weights from which others were made. What
    is used again has to be cleared by the system once. Like :func:`keep_freed_memory` it leaves a heap alone
    that the environment has settings for, and libraries other than glibc.
    """
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


@contextmanager
def apart_from_heap() -> Iterator[None]:
    """Inside, pieces of memory from :data:`LEAST_APART` bytes on are taken from the system one by one.

    It is for work that makes much that stays, weights for instance, amid maps that are freed soon. In the
    heap what stays would lie between the maps: the holes that they leave are then of many sizes, each map of
    later frames takes another hole, and together they touch much more memory than is in use at a time. glibc
    prefers holes to new memory, so those that are free already are held back meanwhile; afterwards they are
    room for what comes and goes. Pages of the system cost time, which is too much for every frame.

    Other threads are affected too, in speed alone. A heap that the environment has settings for, and
    libraries other than glibc, are left alone.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.malloc_trim(0)  # what is held back takes no memory
    library.mallopt(_MMAP_THRESHOLD, LEAST_APART)
    held = list(_free_pieces(library))
    try:
        yield
    finally:
        for piece in held:
            library.free(piece)
        library.mallopt(_MMAP_THRESHOLD, LARGEST_IN_HEAP)


def _free_pieces(library: Any) -> Iterator[int]:
    """Take what is free inside the heap, largest pieces first; nothing is written there."""
    size = KEPT
    while size >= LEAST_APART:
        piece = library.malloc(size)
        if piece is not None and piece < library.sbrk(0):
            yield piece
            continue
        library.free(piece)  # it lies beyond the heap: no hole is as large
        size //= 2


def _glibc() -> Any:
    """The C library where it is glibc and the environment says nothing of its heap, else None."""
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return None
    library = ctypes.CDLL(None)
    if not all(hasattr(library, name) for name in ("mallopt", "malloc_trim")):
        return None
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.malloc_trim.argtypes = [ctypes.c_size_t], [ctypes.c_size_t]
    library.free.argtypes, library.sbrk.argtypes = [ctypes.c_void_p], [ctypes.c_ssize_t]
    return library

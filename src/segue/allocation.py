"""How the C library treats memory that was freed.

The maps of each frame are freed and asked for again at the next one. glibc gives large pieces back to the
system, which has to clear them page by page before they can be used again: a quarter of the time of a frame
in a foreground session.
"""

from __future__ import annotations

import ctypes
import os
import sys

KEPT = 256 << 20
"""Bytes of freed memory at the end of the heap that stay with the process."""

LARGEST_IN_HEAP = 32 << 20
"""Bytes from which on a piece of memory goes back as soon as it is freed; the most that glibc takes."""

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3


def keep_freed_memory() -> bool:
    """Let the heap of this process keep up to :data:`KEPT` bytes that are free; tell whether it does.

    What the environment says (``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_``) has priority; other
    libraries than glibc need none of it.

    Returns:
        True where the heap keeps them.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is None:
        return False
    return bool(adjust(_MMAP_THRESHOLD, LARGEST_IN_HEAP)) and bool(adjust(_TRIM_THRESHOLD, KEPT))


def release_freed_memory() -> bool:
    """Give what is free inside the heap back to the system now.

    It is for pieces that are not used again as they were, such as weights from which others were made. What
    is used again has to be cleared by the system once. Like :func:`keep_freed_memory` it leaves a heap alone
    that the environment has settings for, and libraries other than glibc.

    Returns:
        Whether there was anything to give back.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))

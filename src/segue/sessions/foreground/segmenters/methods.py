"""Registry entries of foreground methods without weights."""

from __future__ import annotations

from functools import partial

from segue.registry import Entry
from segue.utils.lazy import LazyCallable

_SUBTRACTOR = LazyCallable("segue.sessions.foreground.segmenters.subtractors:Subtractor")

ENTRIES = (
    Entry("mog2", "foreground", partial(_SUBTRACTOR, "mog2"), "Zivkovic, ICPR 2004"),
    Entry("knn", "foreground", partial(_SUBTRACTOR, "knn"), "Zivkovic and van der Heijden, PRL 2006"),
    Entry(
        "median",
        "foreground",
        LazyCallable("segue.sessions.foreground.segmenters.subtractors:BackgroundDifference"),
    ),
    Entry(
        "difference",
        "foreground",
        LazyCallable("segue.sessions.foreground.segmenters.subtractors:FrameDifference"),
    ),
)
"""By their names, in the order in which they are listed."""

"""What each format holds, in words: for `segue data formats` and the docs."""

from __future__ import annotations

from collections.abc import Iterator

from segue.entries import Format, Holds
from segue.registry import FORMATS

HEADER = ("format", "name", "file", "use", "masks", "objects", "also holds")

_MASKS = {
    "exact": "each pixel, also where objects overlap",
    "visible": "each visible pixel",
    "outlines": "one outline of each object",
    "boxes": "boxes of what is visible",
}

_ALSO = {
    "classes": "class",
    "names": "name",
    "colours": "colour",
    "scores": "score",
    "attributes": "attributes",
    "frame_attributes": "attributes of frames",
    "schema": "label schema",
    "keys": "shapes with keys",
    "empty": "frames without objects",
}


def rows() -> Iterator[tuple[str, ...]]:
    """A row of :data:`HEADER` for each format, those of other packages too."""
    for entry in FORMATS:
        if isinstance(entry, Format):
            ways = [way for way, has in (("read", entry.read), ("written", entry.open)) if has is not None]
            if entry.holds is not None:
                ways = ["read, written"]
            name = entry.name if entry.export_name == entry.name else f"{entry.name} ({entry.export_name})"
            about = (entry.title or entry.name, entry.file or "-", ", ".join(ways))
            yield (name, *about, *(("", "", "") if entry.holds is None else _words(entry.holds)))


def _words(holds: Holds) -> tuple[str, str, str]:
    objects = [f"ids to {holds.max_id}" if holds.max_id else "new ids"]
    if not holds.tracks:
        objects = ["the n-th of a class on each frame is one"]
    if holds.layers:
        objects.append("who lies on top")
    if holds.void_ids:
        objects.append(f"not {' and '.join(map(str, holds.void_ids))}")
    also = [words for field, words in _ALSO.items() if getattr(holds, field)]
    return _MASKS[holds.masks], ", ".join(objects), ", ".join(also)

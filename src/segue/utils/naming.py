"""Names of files, frames and sequences: sorting, matching to frames, and lists in messages."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from segue.errors import DatasetError

_SYSTEM_FILES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})

_IMAGE_ENDING = r"\.(?:png|jpe?g|jfif|bmp|tiff?|webp|ppm|pgm|gif)"
_ENDINGS = re.compile(
    # Several may follow each other, as in 00003.jpg.png; Roboflow writes frame_000003_png.rf.1a2b.jpg.
    rf"(?:{_IMAGE_ENDING}|\.(?:txt|json|xml|npy)|_(?:png|jpe?g|bmp|tiff?|webp)\.rf\.[0-9a-z]+)+\Z",
    re.IGNORECASE,
)
_QUERY = re.compile(rf"({_IMAGE_ENDING})\?.*", re.IGNORECASE | re.DOTALL)
"""Query and fragment after an image in an address."""

MAX_STEM_BYTES = 180
"""Maximum bytes of a name before suffixes are added; file systems allow 255 in total."""

_MAX_NAME_BYTES = 255
"""Characters of the name of a file; more are cut off at its front."""


_Parts = tuple[tuple[int, int, str, str], ...]


def natural_key(name: str) -> tuple[tuple[_Parts, _Parts], ...]:
    """Sort key that puts ``frame10`` after ``frame9``, and ``a (1).png`` after ``a.png``.

    Different names have different keys. Folders of a path are compared before what is in them.
    """
    keys = []
    for part in name.split("/"):
        stem, dot, ending = part.rpartition(".")
        keys.append((_parts_key(stem), _parts_key(dot + ending)) if stem else (_parts_key(part), ()))
    return tuple(keys)


def _parts_key(text: str) -> _Parts:
    return tuple(map(_part_key, re.findall(r"[0-9]+|[^0-9]+", text)))


def _part_key(part: str) -> tuple[int, int, str, str]:
    if part[0] not in "0123456789":
        return (1, 0, part, "")
    # Compared as text of known length: int() refuses the thousands of digits that a hostile name can have.
    digits = part.lstrip("0")
    return (0, len(digits), digits, part)


def short_name(name: str, max_bytes: int = MAX_STEM_BYTES) -> str:
    """Shorten a file name so that a suffix fits; a digest keeps it unique."""
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= max_bytes:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return f"{encoded[: max_bytes - 13].decode('utf-8', 'ignore')}-{digest}"


def first_few(names: Iterable[str], few: int = 5) -> str:
    """First few names, and the number of others."""
    listed = list(names)
    more = f" and {len(listed) - few} more" if len(listed) > few else ""
    return ", ".join(listed[:few]) + more


def distinct_ends(one: Path, other: Path) -> tuple[str, str]:
    """Shortest names that tell two paths apart."""
    ways = [path.resolve().parts for path in (one, other)]
    if ways[0] == ways[1]:
        return ways[0][-1], ways[1][-1]
    for depth in range(1, min(map(len, ways)) + 1):
        if ways[0][-depth] != ways[1][-depth]:
            break
    between = "/…/" if depth > 2 else "/"
    names = [parts[-1] if depth == 1 else f"{parts[-depth]}{between}{parts[-1]}" for parts in ways]
    return names[0], names[1]


def is_hidden(name: str) -> bool:
    """Whether part of a relative path is hidden or of the system: ``._a.png``, ``__MACOSX``."""
    return any(
        (part.startswith(".") and part.strip(".") != "") or part.lower() in _SYSTEM_FILES
        for part in re.split(r"[/\\]", name)
    )


def composed(name: str) -> str:
    """Normalise a name to composed accents; a Mac separates them."""
    return unicodedata.normalize("NFC", name)


def frame_stem(name: str) -> str:
    """Name of an image or mask without folders, suffixes and additions of Roboflow."""
    last = re.split(r"[/\\]", _QUERY.sub(r"\1", name))[-1][-_MAX_NAME_BYTES:]
    last = composed(last)
    return _ENDINGS.sub("", last) or last


def last_number(name: str) -> int | None:
    """Last number below a billion in the name of an image or mask, or None."""
    digits = re.findall(r"[0-9]+", unquote(frame_stem(name)))
    number = digits[-1].lstrip("0") or "0" if digits else ""
    return int(number) if 0 < len(number) < 10 else None


def plain_name(name: str, length: int = 60) -> str:
    """Replace all characters except letters, digits, - and _ by _."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:length]


def unique_names(names: Mapping[int, str], fallback: str = "object") -> dict[int, str]:
    """Make names of files or layers unique on every file system.

    Args:
        names: a name of each thing by its number, as people gave it.
        fallback: name of things without one; their number follows it.

    Returns:
        The plain name of each. Of things that share one, each has its number behind it, and more numbers
        where another thing has that name.
    """
    plain = {i: plain_name(name) or f"{fallback}_{i}" for i, name in names.items()}
    count = Counter(map(_file_key, plain.values()))
    unique = {i: name for i, name in plain.items() if count[_file_key(name)] == 1}
    used = {_file_key(name) for name in unique.values()}
    for i, name in plain.items():
        if i in unique:
            continue
        numbered = f"{name}_{i}"
        ends = (numbered if number == 1 else f"{numbered}_{number}" for number in itertools.count(1))
        unique[i] = next(end for end in ends if _file_key(end) not in used)
        used.add(_file_key(unique[i]))
    return {i: unique[i] for i in names}


def _file_key(name: str) -> str:
    """Key under which a case-insensitive or composing file system finds a name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def match_frames(names: Sequence[str], count: int, frames: Sequence[str] | None = None) -> list[int]:
    """Match names, such as of mask files or annotated images, to frames.

    Names of the images of the video are found as they are or with additions behind them, as in
    ``frame_0003_mask_1``, else by their last number. If that leaves names without a frame and there are as
    many names as frames, they are matched in order.

    Args:
        names: names of files, in order, with or without folders and endings.
        count: frames of the video.
        frames: names of its images; None of a video file, whose frames are numbered from 0.

    Returns:
        The index of a frame for each name.

    Raises:
        DatasetError: a name names no frame, or two of them the same one.
    """
    stems = {frame_stem(name): index for index, name in enumerate(frames or ())}
    stems = stems if len(stems) == len(frames or ()) else {}
    numbers: dict[int | None, int] = {last_number(name): index for index, name in enumerate(frames or ())}
    if None in numbers or len(numbers) != count:
        numbers = {index: index for index in range(count)}
    indices = [_index_of(frame_stem(name), stems, numbers.get(last_number(name))) for name in names]
    complete = None not in indices and len(set(indices)) == len(indices)
    if not complete and len(names) == count:
        return list(range(count))
    name_of: dict[int, str] = {}
    for name, index in zip(names, indices, strict=True):
        if index is None:
            raise DatasetError(
                f"{name} names no frame of the video, which has {count}; the names are {len(names)}"
            )
        if index in name_of:
            raise DatasetError(f"{name} names frame {index}, as {name_of[index]} does; keep one")
        name_of[index] = name
    return list(name_of)


def _index_of(name: str, stems: Mapping[str, int], numbered: int | None) -> int | None:
    """Frame of the longest image name that begins this name, else ``numbered``."""
    ends = [len(name), *(match.start() for match in re.finditer(r"[^0-9A-Za-z]", name))]
    return next((stems[name[:end]] for end in sorted(ends, reverse=True) if name[:end] in stems), numbered)

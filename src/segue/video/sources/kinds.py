"""Recognise videos, images and lists by their suffixes; imports no decoder."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from segue.utils.naming import is_hidden

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Endings of still images; WebP, PNG and TIFF may hold several, which are a video."""

PHOTO_SUFFIXES = frozenset(
    {".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".nef", ".orf", ".raf", ".rw2"}
)
"""Endings of still images that are not read."""

VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".3g2", ".3gp", ".amv", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif"}
    | {".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg"}
    | {".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogm"}
    | {".ogv", ".qt", ".rm", ".rmvb", ".tod", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
"""Endings of videos in folders and patterns; a file that is named itself may have any."""

FILM_SUFFIXES = VIDEO_SUFFIXES - {".apng", ".gif"}
"""Suffixes of videos without animations, which may be single palette images."""

LIST_SUFFIXES = frozenset({".csv", ".list", ".tsv", ".txt"})
"""Endings of lists of videos."""


def is_image(path: PurePath) -> bool:
    """Whether a file name is of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.name)


def is_video(path: PurePath) -> bool:
    """Whether a file name is of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not is_hidden(path.name)


_OF_MASKS = re.compile(
    r"[-_. ](?:cp[-_])?(?:masks?|segmentations?|seg|labels?|gt|groundtruth|mattes?|alpha|bgrem"
    r"|thumb|thumbnail|preview)\Z",
    re.IGNORECASE,
)
"""Suffixes of masks and previews that programs add to image names, such as Cellpose ``_cp_masks``."""

_EDITED = re.compile(r"\AIMG_E(?=[0-9]{4}\Z)")
"""Name of an edited copy of ``IMG_0001`` on Apple phones."""


def one_kind(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Split the images of a folder into frames of one kind, and others such as masks.

    Files that are called by another one and a word for masks are its masks. Of the others, the kind that has
    all stems is taken, JPEG before others.

    Args:
        files: images of one folder.

    Returns:
        The images that are frames, and those that are left out; all and none where no two share a stem.

    Raises:
        ValueError: no kind has all stems; the message names two files.
    """
    images, masks = _without_masks(files)
    frames, rest = _of_one_suffix(images)
    return frames, rest + masks


def _without_masks(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Separate masks by their names; none if a mask has no image."""
    called = {file: _OF_MASKS.sub("", file.stem) for file in files if _OF_MASKS.search(file.stem)}
    called |= {file: _EDITED.sub("IMG_", file.stem) for file in files if _EDITED.match(file.stem)}
    images = [file for file in files if file not in called]
    if not called or not {*called.values()} <= {file.stem for file in images}:
        return files, []
    return images, list(called)


def _of_one_suffix(files: list[Path]) -> tuple[list[Path], list[Path]]:
    stems: dict[str, Path] = {}
    twins = [(stems[file.stem], file) for file in files if stems.setdefault(file.stem, file) is not file]
    if not twins:
        return files, []
    kinds = {file.suffix.lower(): 0 for file in files}
    for kind in sorted(kinds, key=_preference):
        files_of_kind = [file for file in files if file.suffix.lower() == kind]
        if len(files_of_kind) == len({file.stem for file in files_of_kind}) == len(stems):
            return files_of_kind, [file for file in files if file.suffix.lower() != kind]
    raise ValueError(f"{twins[0][0].name} and {twins[0][1].name} have one name")


def _preference(suffix: str) -> tuple[bool, str]:
    return not suffix.startswith((".j", ".webp")), suffix

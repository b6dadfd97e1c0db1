"""LIMU (Kyushu University): videos such as CameraParameter, Intersection and LightSwitch, labelled in part.

Where its files lie is said by a manifest, so that any copy of the data can be read without renaming::

    {"LightSwitch": {"frames_glob": "LightSwitch/input/*", "gt_glob": "LightSwitch/groundtruth/*"}}

``number`` is a regular expression for the frame number in a name without its ending, by default the digits
at the end; ``positive`` is the grey value of foreground, by default 255. The manifest that comes with segue
is the one above for the three videos.
"""

from __future__ import annotations

import re
from functools import partial
from importlib import resources
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from segue.datasets.foreground import NUMBER, ForegroundFolder, ForegroundSequence, by_number
from segue.datasets.labels import read_binary_labels
from segue.errors import DatasetError


def _inside(pattern: str) -> str:
    if PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).drive or ".." in Path(pattern).parts:
        raise ValueError("must stay inside the folder of the data set")
    return pattern


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if groups != 1:
        raise ValueError("must have one group, the number")
    return pattern


class Entry(BaseModel):
    """Where the files of one video are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames_glob: Annotated[str, Field(min_length=1), AfterValidator(_inside)]
    gt_glob: Annotated[str, Field(min_length=1), AfterValidator(_inside)]
    number: Annotated[str, AfterValidator(_one_group)] = NUMBER.pattern
    positive: Annotated[int, Field(ge=0, le=255)] = 255


_MANIFEST = TypeAdapter(dict[str, Entry])


def open_limu(root: Path | str, manifest: Path | str | None = None) -> ForegroundFolder:
    """Open the videos of a manifest whose pictures are there.

    Args:
        root: folder that the patterns of the manifest start from.
        manifest: JSON file; default: the one that comes with segue.

    Raises:
        DatasetError: the manifest has another form, a file does not fit, or there is no video.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    videos = (read_limu_video(root, name, entry) for name, entry in read_manifest(manifest).items())
    return ForegroundFolder(root, (video for video in videos if video.frames))


def read_manifest(path: Path | str | None = None) -> dict[str, Entry]:
    """Entries of a manifest by name of the video.

    Raises:
        DatasetError: it cannot be read or has another form.
    """
    file = resources.files("segue") / "assets" / "limu.json" if path is None else Path(path)
    try:
        return _MANIFEST.validate_json(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DatasetError(f"{file} is no manifest: {where}: {first['msg']}") from error


def read_limu_video(root: Path, name: str, entry: Entry) -> ForegroundSequence:
    """List the video of an entry; it has no frames where its pictures are not there.

    Raises:
        DatasetError: a name has no frame number, or two have the same.
    """
    pictures = _matches(root, entry.frames_glob, entry.number)
    return ForegroundSequence(
        name,
        "",
        tuple(pictures.values()),
        tuple(pictures),
        _matches(root, entry.gt_glob, entry.number),
        decode_labels=partial(read_binary_labels, positive=entry.positive),
    )


def _matches(root: Path, pattern: str, number: str) -> dict[int, Path]:
    return by_number((path for path in root.glob(pattern) if path.is_file()), re.compile(number))

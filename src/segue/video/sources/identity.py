"""Requested source and its identity, so that a run resumes only with the same frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from segue.errors import SourceError
from segue.options import OptionModel, RuntimeObject, Text, option
from segue.types import DamagePolicy, WhenLate
from segue.utils.inputs import exists, missing_message
from segue.video.sources.addresses import is_url, stored_address

END_BYTES = 1 << 18
"""Bytes at each end of a file in its digest: headers and indices of video files are there."""

SAMPLED_IMAGES = 16
"""Number of images, spread over a folder, in the digest of its content."""

WHOLE_BYTES = 1 << 24
"""Maximum size of a file with all bytes in the digest of its content."""

BLOCKS, BLOCK_BYTES = 64, 1 << 16
"""Blocks of a larger file, spread evenly from its first to its last byte, that go into it."""

BY_BLOCKS = "blocks:"
"""Beginning of a digest of content. Earlier projects have digests of both ends of files, without it."""

Kind = Literal["file", "folder", "address", "camera"]


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Identity of a source, independent of its path.

    Attributes:
        place: path as it was given, address without its password, or number of the camera.
        kind: file, folder (also a pattern), address or camera.
        size: bytes of the file, or of all images; None where it is not known.
        modified_ns: time of the last change in nanoseconds since 1970, of the newest image for a folder;
            None where it is not known.
        digest: SHA-256, hexadecimal, over both ends of a file, or over the names, sizes and times of the
            images of a folder; of an address over what its server calls the version; None where nothing is.
    """

    place: str
    kind: Kind
    size: int | None = None
    modified_ns: int | None = None
    digest: str | None = None

    @classmethod
    def of(cls, source: str | Path) -> SourceIdentity:
        """Determine the current identity of a source."""
        text = os.fspath(source)
        from segue.video.sources.images import list_images, match_images  # late: options are checked before

        if is_url(text):
            return cls(stored_address(text), "address")
        path = Path(text)
        if not exists(path):
            if text.isdecimal():
                return cls(text, "camera")
            images = match_images(text)
            if not images:
                raise SourceError(missing_message(text))
            return cls._of_images(text, images, Path())
        try:
            if path.is_dir():
                return cls._of_images(text, list_images(path), path)
            status = path.stat()
            return cls(text, "file", status.st_size, status.st_mtime_ns, _digest_of_ends(path))
        except OSError as error:
            raise SourceError(f"{text}: cannot be read ({error.strerror})") from None

    @classmethod
    def _of_images(cls, place: str, images: Sequence[Path], folder: Path) -> SourceIdentity:
        total, newest, digest = 0, 0, hashlib.sha256()
        for path in images:
            status = path.stat()
            total, newest = total + status.st_size, max(newest, status.st_mtime_ns)
            name = os.fsencode(path.relative_to(folder) if path.is_relative_to(folder) else path)
            digest.update(name + b"\0%d %d\n" % (status.st_size, status.st_mtime_ns))
        return cls(place, "folder", total, newest, digest.hexdigest())

    def difference(self, now: SourceIdentity) -> str | None:
        """The change since this identity was taken; None if it is the same source."""
        if self.kind != now.kind:
            return f"its kind was {self.kind}, now it is {now.kind}"
        if self.kind in ("address", "camera") and self.place != now.place:
            return f"it was {self.place}, now it is {now.place}"
        if _differ(self.size, now.size):
            return f"its size was {self.size} bytes, now it is {now.size}"
        if self.kind == "folder":
            return None if self.digest == now.digest else "names, sizes or times of its images have changed"
        if _differ(self.digest, now.digest):
            return "its content has changed"
        changed = _differ(self.modified_ns, now.modified_ns)
        return "it was written anew, at another time" if changed else None

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> SourceIdentity:
        """Parse untrusted values of :meth:`to_json`."""
        if not isinstance(values, Mapping) or {*values} != {*cls.__slots__}:
            raise SourceError("no identity of a source: its parts are " + ", ".join(sorted(cls.__slots__)))
        texts = (values["place"], values["kind"], values["digest"] or "")
        numbers = (values["size"] or 0, values["modified_ns"] or 0)
        kinds = ("file", "folder", "address", "camera")
        if not all(isinstance(text, str) for text in texts) or values["kind"] not in kinds:
            raise SourceError("no identity of a source: place, kind and digest are texts")
        if not all(type(number) is int for number in numbers):
            raise SourceError("no identity of a source: size and time are whole numbers")
        return cls(**values)


SourcePosition = str | int | float | None
"""A place in a source: see :func:`segue.open_source`."""


class VideoSource(OptionModel):
    """Source of frames, with the arguments of :func:`segue.open_source`."""

    place: Text | None = option(..., "Source", "source", argument=True)
    """Video, image folder, glob, camera number or address."""

    start: SourcePosition = option(None, "Source")
    """First frame: 250, 12.5s or 1:30."""

    end: SourcePosition = option(None, "Source")
    """End before this frame."""

    stride: int = option(1, "Source")
    """Read every N-th frame from `--start` on; frames keep the index of the source."""

    duration: SourcePosition = option(None, "Source")
    """End this long after the first frame: seconds, or "90s", "10min", "1:30:00"."""

    max_size: int | None = option(None, "Source", ge=1)
    """Maximum length of the longer side in pixels; larger frames are reduced by averaging."""

    fps: float | None = None
    """Frames a second of sources that have no clock."""

    on_damage: DamagePolicy | None = option(None, "Source")
    """If a frame cannot be read: "stop" ends with an error and keeps the earlier frames, "skip" skips the
    frame, "hold" repeats the previous frame; "skip" and "hold" warn.  [default: stop; for cameras and live
    streams skip]"""

    retry: int | None = option(None, "Source", ge=1)
    """Give up a camera or live stream after this many failures in a row.  [default: 5 before the first frame,
    later never]"""

    when_late: WhenLate = option("newest", "Source")
    """If frames of a camera or live stream arrive faster than they are processed: "newest" drops the oldest
    waiting frames, "all" processes every frame and falls behind."""

    hardware: str | None = option(None, "Source")
    """Device that decodes a camera or stream, if FFmpeg supports it: cuda, vaapi, qsv, videotoolbox ... The
    CPU decodes streams that the device cannot decode."""

    analyse: Text | None = option(None, "Source")
    """Address of a smaller stream of the same camera to analyse. Clips of events come from the main stream,
    which is not decoded."""

    frames: RuntimeObject | None = None
    """Frames of a program if ``place`` is None; the job does not contain them."""

    identity: SourceIdentity | None = None
    """Identity of the source when the job was planned, or None."""

    origin: Text | None = None
    """Address that ``place`` was downloaded from, if any."""


def _differ(one: object, other: object) -> bool:
    """Whether two known values differ; addresses have unknown ones."""
    return one is not None and other is not None and one != other


def content_digest(source: str | Path) -> str:
    """SHA-256 of size and content of a file, or of image sizes and the content of some.

    Args:
        source: a file, a folder or a pattern of images. Of a file above :data:`WHOLE_BYTES`, blocks from
            everywhere count.

    Returns:
        :data:`BY_BLOCKS` and hexadecimal digits; names and times do not count, so that a copy has the same
        digest.

    Raises:
        SourceError: it is not there, or cannot be read.
    """
    return BY_BLOCKS + _digest_of_files(source, _digest_of_blocks)


def has_content(source: str | Path, digest: str) -> bool:
    """Whether a source matches a :func:`content_digest`, also of an earlier version."""
    if digest.startswith(BY_BLOCKS):
        return content_digest(source) == digest
    return _digest_of_files(source, _digest_of_ends) == digest


def _digest_of_files(source: str | Path, digest_of: Callable[[Path], str]) -> str:
    """SHA-256 of file sizes, and of digests of some files."""
    from segue.video.sources.images import list_images, match_images  # late: options are checked before

    path = Path(source)
    if path.is_file():
        kind, files = "file", [path]
    else:
        kind, files = "images", list_images(path) if path.is_dir() else match_images(os.fspath(source))
    if not files:
        raise SourceError(missing_message(source))
    try:
        digest = hashlib.sha256(f"{kind} {[file.stat().st_size for file in files]}".encode())
        step = max(1, len(files) // SAMPLED_IMAGES)
        for file in files[::step]:
            digest.update(digest_of(file).encode())
    except OSError as error:
        raise SourceError(f"{source}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def _digest_of_blocks(path: Path) -> str:
    """SHA-256 of a file, or of sample blocks with both ends if it is large."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= WHOLE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        for number in range(BLOCKS):
            file.seek((size - BLOCK_BYTES) * number // (BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def _digest_of_ends(path: Path) -> str:
    """SHA-256 of the first and last bytes of a file, or all of a short one."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(END_BYTES))
        end = file.seek(0, os.SEEK_END)
        file.seek(max(min(END_BYTES, end), end - END_BYTES))
        digest.update(file.read(END_BYTES))
    return digest.hexdigest()

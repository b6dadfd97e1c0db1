"""Still images as a source: a folder, a glob pattern or a single file."""

from __future__ import annotations

import glob
import io
import itertools
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from segue.errors import SourceError, UnusableImageError
from segue.masks.files import IMAGE_ERRORS, encode_png, open_image
from segue.masks.stacks import StackAxes
from segue.types import Image
from segue.utils.arrays import UInt16Array
from segue.utils.cancel import CancelToken
from segue.utils.files import write_complete, writing
from segue.utils.image_names import in_order_of_dates, series_of
from segue.utils.inputs import check_file, exists, matching_paths, user_path
from segue.utils.naming import first_few, is_hidden, natural_key
from segue.utils.notices import notice
from segue.video.decoding.damage import DamageError
from segue.video.decoding.levels import SAMPLES, LevelKind, Range
from segue.video.decoding.readers import DEFAULT_FPS, Reader, SourceImage, as_rgb
from segue.video.sources.dicom import DICOM_SUFFIXES, DicomReader, is_dicom
from segue.video.sources.kinds import IMAGE_SUFFIXES, PHOTO_SUFFIXES, is_image, is_video, one_kind

_ORIENTATION, _DATE_TIME, _EXIF, _DATE_TIME_ORIGINAL = 0x0112, 0x0132, 0x8769, 0x9003
"""Tags of EXIF: the orientation, when the file was written, further tags, and when the image was taken."""

_SUBFILE = 254
"""Tag of TIFF: bit 0 says that a page is a reduced copy of another one."""

_READ = ", ".join(sorted({*IMAGE_SUFFIXES, *DICOM_SUFFIXES}))
"""Endings of images that are read, for messages."""

_COUNTER = re.compile(r"[0-9]{3,6}\Z")
"""Counter of a camera at the end of a name; in DCF it has four digits."""


def list_images(source: Path) -> list[Path]:
    """Images of a folder in natural order, without hidden files and masks of the same names."""
    return _images_and_rest(source)[0]


def _images_and_rest(source: Path) -> tuple[list[Path], list[Path], str]:
    """Images of a folder in order, skipped files, and the origin of the order."""
    try:
        paths = [path for path in source.iterdir() if not is_hidden(path.name)]
    except OSError as error:
        raise SourceError(f"{source}: cannot be read ({error.strerror})") from error
    images = [path for path in paths if is_image(path)]
    if not images:
        _refuse_videos(source, paths)
        _refuse_folders(source, paths)
        images = [path for path in paths if path.is_file() and is_dicom(path)]
    if not images and (suffixes := Counter(path.suffix.lower() for path in paths if path.is_file())):
        counts = [f"{count} {suffix or 'without an ending'}" for suffix, count in suffixes.most_common()]
        raise SourceError(f"{source}: no images here but {first_few(counts, 3)}; segue reads {_READ}")
    frames, rest = _of_one_kind(source, sorted(images, key=lambda path: natural_key(path.name)))
    return _in_order_of_names(frames, rest)


def _in_order_of_names(frames: list[Path], rest: list[Path]) -> tuple[list[Path], list[Path], str]:
    """Sort images naturally, with corrections for wrapped counters and dates."""
    frames, order = _in_order_of_counter(frames)
    if not order:
        frames, order = in_order_of_dates(frames)
    return frames, rest, order


def _refuse_videos(source: Path | str, files: Sequence[Path]) -> None:
    """Raise SourceError if there are videos in place of images."""
    if videos := sorted(path.name for path in files if is_video(path)):
        unread = Counter(path.suffix.lower() for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
        counts = [f"{count} {suffix}" for suffix, count in unread.most_common()]
        also = f"; {first_few(counts, 3)} are not read, convert them to JPEG" if counts else ""
        raise SourceError(
            f"{source}: there are videos and no images, {first_few(videos, 2)}; give one of them, or all to "
            f"`segue batch`{also}"
        )


def _refuse_folders(source: Path, files: Sequence[Path]) -> None:
    """Raise SourceError if there are folders of images in place of images."""
    folders = [path for path in sorted(files) if path.is_dir()]
    if names := [path.name for path in folders if any(map(is_image, _visible_files(path)))]:
        raise SourceError(
            f"{source}: there are no images here but folders of them, {first_few(names, 2)}; give one of "
            "them, or all to `segue batch`"
        )


def _visible_files(folder: Path) -> list[Path]:
    """Visible files of a folder; none if it cannot be read."""
    with suppress(OSError):
        return [path for path in folder.iterdir() if not is_hidden(path.name)]
    return []


def _of_one_kind(source: Path | str, images: list[Path]) -> tuple[list[Path], list[Path]]:
    try:
        return one_kind(images)
    except ValueError as error:
        raise SourceError(
            f"{source}: {error}, so that frames cannot be distinguished from the files beside them; "
            "put the images into a folder of their own, or give a pattern such as '*.jpg'"
        ) from None


def open_folder(folder: Path, fps: float | None) -> Reader:
    """Open the images or DICOM files of a folder, and report skipped files."""
    images, left, order = _images_and_rest(folder)
    _report(folder, images, left, order)
    if videos := sorted(path.name for path in _visible_files(folder) if is_video(path)):
        count = f"{len(videos)} video{'s' * (len(videos) > 1)}"
        notice(f"{folder}: {len(images)} images are the frames; {count} left out ({first_few(videos, 2)})")
    if images and not is_image(images[0]):
        return DicomReader(images, name_of_source(folder), str(folder), fps)
    return ImageReader(images, name_of_source(folder), str(folder), fps)


def _report(source: Path | str, images: Sequence[Path], left: Sequence[Path], order: str) -> None:
    for text in filter(None, (order, series_of(images))):
        notice(f"{source}: {text}")
    if left:
        notice(
            f"{source}: {len(images)} {images[0].suffix} images are the frames; {len(left)} files of the "
            f"same names are left out ({first_few((path.name for path in left), 2)})"
        )


def open_pattern(pattern: str, fps: float | None) -> ImageReader:
    """Open the images of a glob pattern, named by its last literal folder."""
    images, left, order = _matched(pattern)
    _report(pattern, images, left, order)
    return ImageReader(images, name_of_source(Path(pattern)), pattern, fps)


def name_of_source(path: Path) -> str:
    """Name of the video in a file, image folder or pattern."""
    if path.is_file():
        return path.stem
    if path.is_dir():
        return path.resolve().name
    above = user_path(path).parents
    folder_with_name = next(folder for folder in above if folder.is_dir() or not glob.has_magic(folder.name))
    return folder_with_name.name or "images"


def is_source(place: str | Path) -> bool:
    """Whether a file or folder exists, or a pattern matches images."""
    return exists(Path(place)) or bool(match_images(os.fspath(place)))


def match_images(pattern: str) -> list[Path]:
    """Images that match a glob pattern, in natural order, selected as in a folder."""
    return _matched(pattern)[0]


def _matched(pattern: str) -> tuple[list[Path], list[Path], str]:
    paths = [
        path for path in map(Path, matching_paths(pattern)) if path.is_file() and not is_hidden(path.name)
    ]
    images = [path for path in paths if is_image(path)]
    if not images:
        _refuse_videos(pattern, paths)
        images = paths  # perhaps images whose names have no ending
    images.sort(key=lambda path: natural_key(str(path)))
    if len({path.parent for path in images}) > 1:  # numbers may begin anew in each folder
        return images, [], ""
    return _in_order_of_names(*_of_one_kind(pattern, images))


def _in_order_of_counter(images: list[Path]) -> tuple[list[Path], str]:
    """Sort images by time if the camera's counter wrapped from 9999 to 0001.

    Args:
        images: of one folder, in natural order.

    Returns:
        The images, and the origin of the order; empty if the counter did not wrap.
    """
    counters = [_COUNTER.search(path.stem) for path in images]
    digits = [match[0] for match in counters if match is not None]
    prefixes = {path.stem.removesuffix(each) for path, each in zip(images, digits, strict=False)}
    if len(digits) < max(2, len(images)) or len({*map(len, digits)}) > 1 or len(prefixes) > 1:
        return images, ""
    numbers, last = [*map(int, digits)], 10 ** len(digits[0]) - 1
    steps = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    if numbers[0] > 1 or numbers[-1] != last or max(steps) == 1:
        return images, ""
    place = steps.index(max(steps)) + 1
    behind, first = images[:place], images[place:]
    names = f"the names go from {first[-1].name} on to {behind[0].name}"
    if _are_earlier(first, behind, _exif_time) or _are_earlier(first, behind, _written_time):
        return first + behind, f"{names}, as their times say; {first[0].name} is the first frame"
    return images, f"{names}, but no times say so; {behind[0].name} is the first frame"


def _are_earlier(images: list[Path], later: list[Path], time_of: Callable[[Path], str]) -> bool:
    """Whether all images have a time, and those of the first are before the others."""
    times, later_times = ([*map(time_of, paths)] for paths in (images, later))
    return all(times) and all(later_times) and max(times) < min(later_times)


def _written_time(path: Path) -> str:
    """Time of writing of a file, as sortable text."""
    return f"{path.stat().st_mtime_ns:020d}"


def _exif_time(path: Path) -> str:
    """Time of exposure from EXIF data, as sortable text; empty if unknown."""
    with suppress(DamageError, *IMAGE_ERRORS), _opened(path) as image:
        exif = image.getexif()
        time = exif.get_ifd(_EXIF).get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME)
        return str(time) if time and re.match(r"[0-9]{4}:[0-9]{2}:[0-9]{2} ", str(time)) else ""
    return ""


def read_image(path: Path, scale: Range | None = None) -> Image:
    """Read an image as RGB, (H, W, 3), uint8, upright by EXIF; deeper values use ``scale`` or their range."""
    with _opened_single(path) as image:
        return to_rgb(image, path, scale)


def read_deep_image(path: Path, scale: Range) -> UInt16Array:
    """Read an image as RGB, (H, W, 3), uint16, upright by EXIF: 65535 is white."""
    with _opened_single(path) as image:
        return to_deep_rgb(image, path, scale)


@contextmanager
def _opened_single(path: Path) -> Iterator[PillowImage.Image]:
    """Open a file of one image."""
    with _opened(path) as image:
        if _frames_of(image) > 1:
            raise DamageError(f"{path}: holds {_frames_of(image)} frames; give the file itself as the source")
        yield image


def decode_image(data: bytes, where: str) -> Image:
    """Decode image data to RGB, (H, W, 3), uint8, upright by EXIF."""
    try:
        with _decoding(where), open_image(io.BytesIO(data), where) as image:
            if _frames_of(image) > 1:
                raise SourceError(f"{where}: holds {_frames_of(image)} frames; give one image")
            return to_rgb(image, where)
    except DamageError as error:
        raise SourceError(str(error)) from error


def write_image(path: Path, image: Image) -> None:
    """Write an RGB image, (H, W, 3), uint8, as PNG, creating folders; it appears when complete."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_complete(path, encode_png(image))


def count_frames(path: Path) -> int:
    """Number of frames of an image file: more than 1 for animations and multi-page TIFF files."""
    try:
        with _opened(path) as image:
            return _frames_of(image)
    except DamageError:  # reported when the image is wanted
        return 1


@contextmanager
def _opened(path: Path) -> Iterator[PillowImage.Image]:
    """Open an image file without decoding it; errors of Pillow inside the block become DamageError."""
    with _decoding(str(path)):
        check_file(path, UnusableImageError)
        with open_image(path, str(path)) as image:
            yield image


@contextmanager
def _decoding(where: str) -> Iterator[None]:
    """Convert image errors inside the block to DamageError."""
    try:
        yield
    except SourceError as error:
        damage = DamageError(str(error))
        damage.is_intact = isinstance(error, UnusableImageError)
        raise damage from error
    except IMAGE_ERRORS as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error).split("\n")[0]
        raise DamageError(f"{where}: unreadable image ({reason or type(error).__name__})") from error


def _frames_of(image: PillowImage.Image) -> int:
    # The further images of a JPEG are views for other screens.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def deep_values(image: PillowImage.Image) -> npt.NDArray[Any] | None:
    """Values of more than 8 bits per channel, (H, W) or (H, W, 3), not rotated; None for 8 bits."""
    if image.mode.startswith(("I", "F")):
        return np.array(image)
    bits = image.tag_v2.get(258, (8,)) if isinstance(image, TiffImageFile) else (8,)
    tiles, file = getattr(image, "tile", None), getattr(image, "fp", None)
    raw = str(tiles[0][3]) if image.format == "PNG" and tiles else ""
    if not (";16" in raw or max(bits) > 8) or file is None or image.mode not in ("RGB", "RGBA"):
        return None
    # Pillow keeps the upper 8 of 16 bits of colour.
    file.seek(0)
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), flags)
    if values is None or values.ndim != 3 or values.dtype == np.uint8:
        return None
    return np.ascontiguousarray(values[..., 2::-1])


def to_rgb(image: PillowImage.Image, where: Path | str, scale: Range | None = None) -> Image:
    """Convert an image to upright RGB, (H, W, 3), uint8; alpha is dropped, deep values are scaled."""
    values = deep_values(image)
    if values is None:
        image.load()
        return as_rgb(np.array(ImageOps.exif_transpose(image).convert("RGB")), str(where))
    return as_rgb(_upright((scale or Range.of([values])).to_levels(values, np.uint8), image), str(where))


def to_deep_rgb(image: PillowImage.Image, where: Path | str, scale: Range) -> UInt16Array:
    """Convert an image to upright RGB, (H, W, 3), uint16: 65535 is white."""
    values = deep_values(image)
    if values is None:  # one of 8 bits among others
        return to_rgb(image, where).astype(np.uint16) * np.uint16(257)
    levels = _upright(scale.to_levels(values, np.uint16), image)
    return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, 2)


def _upright(levels: npt.NDArray[LevelKind], image: PillowImage.Image) -> npt.NDArray[LevelKind]:
    """Levels of an image, (H, W, ...), turned as its EXIF data say."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        levels = levels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        levels = levels[::-1]
    if orientation in (2, 3, 6, 7):
        levels = levels[:, ::-1]
    return np.ascontiguousarray(levels)


def range_of(files: Sequence[Path]) -> Range | None:
    """Common range of values of images; None if the first one has 8 bits."""
    step = max(1, -(-len(files) // SAMPLES))
    samples: list[npt.NDArray[Any]] = []
    for path in [*files[::step], *files[-1:]]:
        with suppress(DamageError), _opened(path) as image:
            values = deep_values(image)
            if values is None and not samples:
                return None
            if values is not None:
                samples.append(values)
    return Range.of(samples) if samples else None


def quarter_turns(image: PillowImage.Image) -> int:
    """Counterclockwise quarter turns of EXIF data, ignoring mirroring."""
    return {3: 2, 6: 3, 8: 1}.get(image.getexif().get(_ORIENTATION, 1), 0)


def _whole_pages(image: PillowImage.Image) -> list[int]:
    """Pages of a file without the reduced ones of pyramids and previews."""
    count = _frames_of(image)
    if not (isinstance(image, TiffImageFile) and any(_is_reduced(image, page) for page in range(count)[:2])):
        return [*range(count)]
    return [page for page in range(count) if not _is_reduced(image, page)] or [0]


def _is_reduced(image: TiffImageFile, page: int) -> bool:
    image.seek(page)
    kind = image.tag_v2.get(_SUBFILE, 0)
    return isinstance(kind, int) and bool(kind & 1)


class ImageReader(Reader):
    """Reads still images as the frames of a video."""

    def __init__(self, files: list[Path], name: str, where: str, fps: float | None) -> None:
        if not files:
            raise SourceError(f"{where}: no images here ({_READ})")
        self.name = name
        self.where = where
        self.files = tuple(files)
        self.total = len(files)
        self.fps = fps or DEFAULT_FPS
        self._scale = range_of(files)
        self.bits = 8 if self._scale is None else 16
        if self._scale is not None and (self._scale.black, self._scale.white) != (0, 65535):
            notice(f"{where}: {self._scale}")
        with suppress(DamageError):  # reported when the frame is wanted, as the caller chose
            self.size = read_image(files[0], self._scale).shape[:2]
            with _opened(files[0]) as image:
                self.turns = quarter_turns(image)
        stems = tuple(path.stem for path in files)
        # Two images that differ only in folder or ending must not share one mask file.
        self.names = stems if len(set(stems)) == len(stems) else None

    @property
    def count(self) -> int:
        return len(self.files)

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        first = start if isinstance(start, int) else 0
        for index in range(first, len(self.files)):
            yield self._image(index)

    def load(self, index: int, cancel: CancelToken | None = None) -> SourceImage:
        self._check(index)
        return self._image(index)

    def _image(self, index: int) -> SourceImage:
        time = index / (self.fps or DEFAULT_FPS)
        file, scale = self.files[index], self._scale
        deep = None if scale is None else partial(read_deep_image, file, scale)
        return SourceImage(index, time, partial(read_image, file, scale), deep)


class AnimationReader(Reader):
    """Reads an animated WebP or PNG file, or the pages of a TIFF file, with their times."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self._path = path
        self.name = path.stem
        self.where = str(path)
        self._fps = fps or DEFAULT_FPS
        self.files = (path,)
        self._restart()
        _ANIMATIONS.add(self)
        try:
            with _opened(path) as image:
                self._pages = self._pages_of_frames(image)
                self.total = len(self._pages)
                self._scale = self._range(image)
                self.bits = 8 if self._scale is None else 16
                self.size = self._page(image, 0, self._to_rgb).shape[:2]
                self.fps = 1 / self._duration(image)
        except DamageError as error:
            raise SourceError(str(error)) from error

    def _restart(self) -> None:
        """Drop the open file; a fork leaves its parent's file open, since they share the position."""
        self._lock = threading.Lock()
        self._shelf = ExitStack()
        self._open: PillowImage.Image | None = None
        self._at = 0

    @property
    def count(self) -> int:
        return self.total or 0

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        time = 0.0
        with _opened(self._path) as image:
            for index in range(self.count):
                yield SourceImage(
                    index, time, partial(self._page, image, index, self._to_rgb), self._deep(index)
                )
                time += self._duration(image, index)

    def load(self, index: int, cancel: CancelToken | None = None) -> SourceImage:
        self._check(index)
        load = partial(self._repeated, index, self._to_rgb)
        return SourceImage(index, self._times[index], load, self._deep(index))

    def _deep(self, index: int) -> Callable[[], UInt16Array] | None:
        scale = self._scale
        if scale is None:
            return None
        return partial(self._repeated, index, lambda image: to_deep_rgb(image, self._path, scale))

    def _to_rgb(self, image: PillowImage.Image) -> Image:
        return to_rgb(image, self._path, self._scale)

    def times(self) -> list[float]:
        return list(self._times)

    def close(self) -> None:
        with self._lock:
            self._shelf.close()
            self._open = None

    @cached_property
    def _times(self) -> list[float]:
        return [image.time for image in self.images()]

    def _repeated(
        self, index: int, convert: Callable[[PillowImage.Image], npt.NDArray[LevelKind]]
    ) -> npt.NDArray[LevelKind]:
        with self._lock:
            if self._open is None or index < self._at:  # Pillow does not go back in an animated PNG
                self._shelf.close()
                self._open = self._shelf.enter_context(_opened(self._path))
            self._at = index
            return self._page(self._open, index, convert)

    def _range(self, image: PillowImage.Image) -> Range | None:
        """Range of values of all pages, for more than 8 bits."""
        samples: list[npt.NDArray[Any]] = []
        for index in range(0, self.count, max(1, -(-self.count // SAMPLES))):
            with suppress(*IMAGE_ERRORS):
                image.seek(self._pages[index][0])
                values = deep_values(image)
                if values is None:
                    return None
                samples.append(values)
        return Range.of(samples) if samples else None

    def _pages_of_frames(self, image: PillowImage.Image) -> list[list[int]]:
        """Pages of each frame: one, or all slices of the first channel of a stack."""
        count, axes = _frames_of(image), StackAxes.of(image)
        pages = axes.pages_of_frames(count)
        if pages is None:
            return [[page] for page in _whole_pages(image)]
        channel = "of the first channel " if axes.channels > 1 else ""
        content = f"the brightest of {len(pages[0])} slices" if len(pages[0]) > 1 else "the page"
        notice(
            f"{self.where}: {count} pages are {len(pages)} frames; each shows {content} {channel}"
            "(save another channel or slice as a file of its own)"
        )
        return pages

    def _page(
        self,
        image: PillowImage.Image,
        index: int,
        convert: Callable[[PillowImage.Image], npt.NDArray[LevelKind]],
    ) -> npt.NDArray[LevelKind]:
        try:
            slices = []
            for page in self._pages[index]:
                image.seek(page)
                slices.append(convert(image))
            return slices[0] if len(slices) == 1 else np.max(slices, axis=0)
        except IMAGE_ERRORS as error:
            reason = str(error).split("\n")[0]
            raise DamageError(f"{self.where}: frame {index} is damaged ({reason})") from error

    def _duration(self, image: PillowImage.Image, index: int | None = None) -> float:
        """Display time of a frame in seconds, by default of the last one read."""
        if index is not None:
            with suppress(*IMAGE_ERRORS):
                image.seek(self._pages[index][0])
                image.load()
        duration = image.info.get("duration", 0)  # milliseconds
        return duration / 1000 if isinstance(duration, (int, float)) and 0 < duration < 1e7 else 1 / self._fps


_ANIMATIONS: WeakSet[AnimationReader] = WeakSet()


def _begin_anew_in_fork() -> None:
    for reader in _ANIMATIONS:
        reader._restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_fork)

"""Read and write index masks as PNG files, with the palette of PASCAL VOC and DAVIS."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from segue.errors import SinkError, SourceError, UnusableImageError
from segue.masks.stacks import StackAxes
from segue.masks.values import (
    DAVIS_PALETTE,
    MAX_ID,
    WHITE,
    ColourIds,
    as_white,
    colour_codes,
    davis_ids,
    is_white,
    of_colours,
    warn_of_void,
    without_void,
)
from segue.utils.allocation import is_prepared
from segue.utils.arrays import IndexMask, whole_mask
from segue.utils.inputs import POINTER, check_file, first_line, is_pointer, user_path


def fold_ids(mask: IndexMask) -> npt.NDArray[np.uint8]:
    """Palette entry of every id; ids beyond 255 start again at 1.

    Args:
        mask: index mask (H, W).

    Returns:
        Palette entries (H, W), uint8; 0 only for the background.
    """
    if mask.dtype == np.uint8:
        return np.asarray(mask, np.uint8)
    if mask.size == 0 or (mask.min() >= 0 and mask.max() <= 255):
        return mask.astype(np.uint8)
    folded = np.where(mask > 0, (mask.astype(np.int64) - 1) % 255 + 1, 0)
    return folded.astype(np.uint8)


StoredMask: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Values of a mask file, (H, W)."""

MAX_PIXELS = 2**28
"""An image with more pixels is refused: no camera makes it, but a damaged header can claim it."""

IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that Pillow may open. By default it tries all formats and passes EPS to Ghostscript."""

IMAGE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, MemoryError),
    Image.DecompressionBombError,
)
"""Errors of Pillow and its codecs for damaged files."""


def read_index_mask(
    path: str | Path | IO[bytes],
    where: str = "",
    *,
    ids: ColourIds | None = None,
    void: Callable[[str], None] | None = warn_of_void,
    page: int | None = None,
    size: tuple[int, int] | None = None,
) -> StoredMask:
    """Read a mask file as an index mask, (H, W), uint8 or (16-bit files) uint16.

    Every part of segue reads mask files so. Values of a grey image are ids, and so are the indices of a
    palette image. One white object on black, 255 or 65535, gets id 1; its edges may be soft and are cut at
    half. Of a colour image, and of a palette image that was made of one, every colour but black is an object;
    colours of :data:`DAVIS_PALETTE` are their ids there. Transparent pixels are background. So is void, with
    a warning: the value 255 beside the ids 1, 2, ..., and beside any others in the palette of DAVIS.

    Args:
        path: image file, of any of the formats BMP, PNG, PPM, TIFF and WebP, or an open file; a JPEG only of
            one white object.
        where: name of an open file in messages.
        ids: ids of further colours, which masks of one video share; new colours are added.
        void: receives the message that 255 is void in the mask; None if it is an id.
        page: number of a page, from 0, of a file of several, such as a stack of TIFF; None is the only one.
        size: height and width of the video; a mask of another size is refused before it is decoded.

    Returns:
        Index mask, (H, W): 0 is background, every other value an id, up to 255 (uint8) or 65535 (uint16).

    Raises:
        SourceError: the file is missing or damaged, has more than 2**28 pixels, several pages or ids outside
            0 to 65535, has another size, or can be read in two ways; the message says both.
    """
    where = where or str(path)
    with _opened(path, where, page=page, size=size) as image:
        return index_values(image, where, {} if ids is None else ids, void=void)


@dataclass(frozen=True, slots=True)
class MaskStack:
    """An open file of masks: its pages in order, without reduced copies.

    Attributes:
        pages: position of each in the file.
        axes: its pages by the axes that the file names, such as ``2 slices at 12 times``; empty for one axis.
    """

    pages: tuple[int, ...]
    axes: str
    _image: Image.Image
    _where: str

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path | IO[bytes], where: str = "") -> Iterator[MaskStack]:
        """Open a file of one or several pages."""
        where = where or str(path)
        with _decoding(where), _image_of(path, where) as image:
            yield cls(tuple(_pages(image)), StackAxes.of(image).text, image, where)

    def read(
        self,
        page: int,
        ids: ColourIds | None,
        void: Callable[[str], None] | None,
        size: tuple[int, int] | None = None,
    ) -> StoredMask:
        """Read the index mask, (H, W), of a page; for the arguments see :func:`read_index_mask`."""
        with _decoding(self._where):
            self._image.seek(self.pages[page])
            check_image_size(self._image, size)
            self._image.load()
        return index_values(self._image, self._where, ids, void=void)


def _pages(image: Image.Image) -> Iterator[int]:
    """Pages of an image file, without reduced copies and views for other screens."""
    count = 1 if image.format in _LOSSY else int(getattr(image, "n_frames", 1))
    for number in range(count):
        if count > 1 and isinstance(image, TiffImageFile):
            image.seek(number)
            if int(image.tag_v2.get(_SUBFILE, 0)) & 1:
                continue
        yield number


def index_values(
    image: Image.Image,
    where: str,
    ids: ColourIds | None = None,
    *,
    void: Callable[[str], None] | None = warn_of_void,
) -> StoredMask:
    """Convert a decoded image to an index mask (H, W), like :func:`read_index_mask`."""
    values, are_indices = _mask_values(image, where, {} if ids is None else ids)
    if not are_indices and values.dtype == np.uint8 and is_white(values):
        return (values > 0).astype(np.uint8)
    palette = image.mode == "P" and bool((_palette(image)[WHITE] == DAVIS_PALETTE[WHITE]).all())
    return values if void is None else without_void(values, where, palette=palette, say=void)


def read_stored_mask(
    file: str | Path | IO[bytes], where: str, size: tuple[int, int] | None = None
) -> StoredMask:
    """Read a mask file like :func:`read_index_mask`, but keep 255, which may be void.

    Args:
        file: path or open file.
        where: name of the file in messages.
        size: height and width that it must have; one of another size is not decoded. None is any.

    Returns:
        Index mask (H, W), uint8 or (16-bit files) uint16; one white object is 255.

    Raises:
        SourceError: as :func:`read_index_mask`, and for colours that are not of :data:`DAVIS_PALETTE`.
    """
    with _opened(file, where, size=size) as image:
        return _mask_values(image, where, None)[0]


def read_levels(
    file: str | Path | IO[bytes],
    where: str,
    max_pixels: int = MAX_PIXELS,
    *,
    size: tuple[int, int] | None = None,
) -> StoredMask:
    """Read the grey levels of a file, (H, W), uint8 or uint16, within a limit of pixels."""
    with _opened(file, where, max_pixels, size=size) as image:
        levels = None if image.format in _LOSSY else _grey_values(image, where)
    if levels is None:
        raise SourceError(f"{where}: mode {image.mode}; give a grey image that is stored without loss")
    return levels


_LOSSY = ("JPEG", "MPO")

_SUBFILE, _PHOTOMETRIC, _WHITE_IS_ZERO = 254, 262, 0
"""Tags of TIFF: whether a page is a smaller copy of another one, and how values are shown."""

_NOISE = 0.1
"""Share of greys in a JPEG of one white object, at its edges."""

_PHOTOGRAPH = 64
"""An image with transparency and more colours is a photograph."""


def open_image(file: str | Path | IO[bytes], where: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image within a limit of pixels, without decoding it."""
    if not isinstance(file, str | Path):
        if is_pointer(file.read(64)):
            raise UnusableImageError(f"{where}: {POINTER}")
        file.seek(0)
    if is_prepared() and Image.MAX_IMAGE_PIXELS is not None:  # orthophotos and slides have more
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)
    Image.preinit()  # else Pillow imports all of its formats at the first that this file's name does not give
    try:
        image = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        whose = f"Pillow takes here ({limit}); raise PIL.Image.MAX_IMAGE_PIXELS, or make it smaller"
        if limit >= MAX_PIXELS:
            whose = f"are taken; make it smaller, {MAX_PIXELS} pixels at most"
        raise UnusableImageError(f"{where}: has more pixels than {whose}") from error
    check_pixels(image.height, image.width, where, max_pixels)
    return image


def check_pixels(height: int, width: int, where: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse implausible image sizes, as of a damaged or hostile header."""
    if height < 1 or width < 1 or height * width > max_pixels:
        raise UnusableImageError(
            f"{where}: images of {width}x{height} are refused; make them smaller, {max_pixels} pixels at most"
        )


class OtherSizeError(SourceError):
    """A mask differs from its video in size; it was not decoded.

    Attributes:
        size: height and width of the mask.
    """

    def __init__(self, message: str, size: tuple[int, int]) -> None:
        super().__init__(message)
        self.size = size


def check_image_size(image: Image.Image, size: tuple[int, int] | None) -> None:
    """Refuse an undecoded mask whose size differs from its video."""
    if size is None or (image.height, image.width) == size:
        return
    turned = "; turn it as the video is" if (image.width, image.height) == size else ""
    message = f"a mask is {image.width}x{image.height}, the video {size[1]}x{size[0]}{turned}"
    raise OtherSizeError(message, (image.height, image.width))


@contextmanager
def _opened(
    file: str | Path | IO[bytes],
    where: str,
    max_pixels: int = MAX_PIXELS,
    page: int | None = None,
    size: tuple[int, int] | None = None,
) -> Iterator[Image.Image]:
    """Open and decode an image or a page; errors of Pillow become SourceError."""
    with _decoding(where), _image_of(file, where, max_pixels) as image:
        pages = [*_pages(image)]
        if page is None and len(pages) > 1:
            raise SourceError(
                f"{where}: holds {stack_text(len(pages), StackAxes.of(image).text)}; give one page"
            )
        if page is not None and not 0 <= page < len(pages):
            raise SourceError(f"{where}: has no page {page}; it has {len(pages)}")
        if getattr(image, "n_frames", 1) > 1:
            image.seek(pages[page or 0])
        check_image_size(image, size)
        image.load()
        yield image


def stack_text(pages: int, axes: str) -> str:
    """Describe a number of pages."""
    return f"{pages} pages{f' ({axes})' if axes else ''}"


_NO_MASKS = {
    b"\x93NUMPY": "a NumPy array; load it in Python and give it as masks=, or save it as PNG",
    b"GIF8": "a GIF; save it as PNG",
}
"""Kinds of files that are no masks but given as such, by their first bytes."""


@contextmanager
def _decoding(where: str) -> Iterator[None]:
    try:
        yield
    except IMAGE_ERRORS as error:
        raise SourceError(f"{where}: {_unreadable_message(where, error)}") from error


def _unreadable_message(where: str, error: BaseException) -> str:
    """Describe a file that is no readable mask, with advice."""
    head = b""
    with suppress(OSError, ValueError), Path(where).open("rb") as file:
        head = file.read(8)
    for magic, advice in _NO_MASKS.items():
        if head.startswith(magic):
            return advice
    return f"not a readable mask image ({first_line(error)})"


def _image_of(file: str | Path | IO[bytes], where: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    if isinstance(file, str | Path):
        file = user_path(file)
        check_file(file, SourceError)
    return open_image(file, where, max_pixels)


def _mask_values(image: Image.Image, where: str, ids: ColourIds | None) -> tuple[StoredMask, bool]:
    """Ids (H, W), a white object as 255, and whether they are palette indices, including 255."""
    if image.format in _LOSSY:
        return _lossy_mask(image, where), False
    if image.mode == "P" and _grey_levels(image) is None:
        return _palette_ids(image, where, ids)
    values, inside = _grey_values(image, where), _opacity(image, where)
    if values is None:
        if image.mode not in ("RGB", "RGBA"):
            raise SourceError(
                f"{where}: a colour image ({image.mode}) is no index mask; save it as indexed or grey PNG"
            )
        return of_colours(np.array(image)[..., :3], inside, where, SourceError, ids), True
    if inside is not None:
        values = values * inside.astype(values.dtype)
    if values.dtype != np.uint8 and values.max(initial=0) <= WHITE:  # ids of a file that has room for more
        return values, False
    white = as_white(values, where, SourceError)
    return (values if white is None else white), False


def _lossy_mask(image: Image.Image, where: str) -> StoredMask:
    """Read a JPEG of one white object; compression would change other ids."""
    values, margin = _grey_values(image, where), WHITE // 8
    greys = 1.0 if values is None else ((values > margin) & (values < WHITE - margin)).mean()
    if values is None or greys > _NOISE or values.max(initial=0) < WHITE - margin:
        raise SourceError(
            f"{where}: a JPEG cannot hold an index mask without loss; save it as PNG "
            "(one white object on black can be a JPEG)"
        )
    return np.asarray((values > WHITE // 2) * np.uint8(WHITE), np.uint8)


def _grey_values(image: Image.Image, where: str) -> StoredMask | None:
    """Values of an image with equal channels or a grey palette; None for other images."""
    if _is_cut_out(image):
        return np.array(image.getchannel("A"), np.uint8)
    if image.mode in ("P", "1", "L"):
        values = np.array(image, np.uint8)
        if image.mode == "L" and _is_inverted(image):
            values = np.invert(values)
        levels = _grey_levels(image)
        return values if levels is None else levels[values]
    if image.mode in ("LA", "La"):
        return np.array(image.getchannel(0), np.uint8)
    if image.mode in ("I", "I;16", "I;16L", "I;16B", "F"):
        values = np.array(image)
        if image.mode == "F" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
            raise SourceError(f"{where}: has values that are no whole numbers; an index mask holds ids")
        if values.min(initial=0) < 0 or values.max(initial=0) > MAX_ID:
            raise SourceError(f"{where}: ids outside 0..{MAX_ID}")
        return values.astype(np.uint16)
    if image.mode in ("RGB", "RGBA"):
        channels = np.array(image)[..., :3]
        if (channels == channels[..., :1]).all():
            return np.array(channels[..., 0], np.uint8)
    return None


def _is_inverted(image: Image.Image) -> bool:
    """Whether Pillow has inverted the values: Fiji stores objects as 255 and shows them black."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _opacity(image: Image.Image, where: str) -> npt.NDArray[np.bool_] | None:
    """Opaque pixels of an image, (H, W); None if its transparency is not a mask."""
    if image.mode not in ("LA", "RGBA"):
        return None
    alpha = np.array(image.getchannel("A"))
    if (alpha == alpha.flat[0]).all() or _is_cut_out(image):
        return None
    inside = alpha > WHITE // 2
    coloured = np.array(image)[..., :-1].any(axis=-1)
    if (coloured & ~inside).any():
        raise SourceError(
            f"{where}: its colours show other objects than its transparency; save it without transparency, "
            "or the transparency alone as a grey PNG"
        )
    return np.asarray(inside)


def _is_cut_out(image: Image.Image) -> bool:
    """Whether transparency is the mask: of a photograph, or of an image of one colour."""
    if image.mode not in ("LA", "RGBA"):
        return False
    alpha = np.array(image.getchannel("A"))
    if (alpha == alpha.flat[0]).all() or not alpha.any():
        return False
    if image.convert("RGB").getcolors(_PHOTOGRAPH) is None:
        return True
    colours = np.array(image)[..., :-1][alpha > 0]
    is_grey = bool((colours[0] == colours[0, 0]).all())
    is_soft = bool(((alpha > 0) & (alpha < WHITE)).any())
    return bool((colours == colours[:1]).all()) and (is_grey or is_soft)


def _palette_ids(image: Image.Image, where: str, ids: ColourIds | None) -> tuple[StoredMask, bool]:
    """Ids of an image with a palette that is not grey, and whether they are indices."""
    indices = np.array(image, np.uint8)
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = _palette(image)
    codes = colour_codes(colours)
    davis_numbers = [davis_ids().get(code) for code in codes[used].tolist()]
    clear = [int(index) for index in used if _transparency(image)[index] == 0]
    if clear and clear != [0]:
        if 0 in used and 0 not in clear:
            raise SourceError(
                f"{where}: index 0 is opaque and index {clear[0]} transparent, so that each may be the "
                "background; save it without transparency"
            )
        return np.where(np.isin(indices, clear), 0, indices).astype(np.uint8), True
    if davis_numbers == used.tolist():
        return indices, True
    # A palette that was made of the colours of the image, or cut to them, has another one at each index.
    by_colour = None not in davis_numbers and len(set(davis_numbers)) == len(davis_numbers)
    is_synthetic = bool(codes[0]) and bool((codes[used] == 0).any())
    if by_colour or is_synthetic:
        return of_colours(colours[indices], None, where, SourceError, ids), True
    return indices, True


def _palette(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Colour of each palette index, (256, 3); black if missing."""
    colours = np.zeros((256, 3), np.uint8)
    stored = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colours[: len(stored)] = stored
    return colours


def _transparency(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Alpha of each palette index, (256,)."""
    alpha = np.full(256, WHITE, np.uint8)
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        alpha[: len(transparency)] = np.frombuffer(transparency, np.uint8)[:256]
    elif isinstance(transparency, int) and 0 <= transparency < 256:
        alpha[transparency] = 0
    return alpha


def _grey_levels(image: Image.Image) -> npt.NDArray[np.uint8] | None:
    """Grey level of each palette entry, (256,), uint8; None if the indices are the values."""
    if image.mode != "P":
        return None
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    levels = _palette(image)[:, 0]
    used = levels[np.unique(np.array(image))]
    is_grey = bool((palette == palette[:, :1]).all()) and len(palette) > 0
    return levels if is_grey and len(np.unique(used)) == len(used) else None


def encode_index_mask(mask: IndexMask, *, wide: bool = False) -> bytes:
    """Encode an index mask, (H, W), as PNG; 16 bits for large ids or ``wide``."""
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if low < 0 or high > MAX_ID:
        raise SinkError(f"id {low if low < 0 else high} does not fit a mask file; ids go from 0 to {MAX_ID}")
    if high > 255 or wide:
        return encode_png(np.asarray(mask, np.uint16))
    return encode_png(np.asarray(mask, np.uint8), DAVIS_PALETTE.tobytes())


def encode_png(values: npt.NDArray[Any], palette: bytes | None = None) -> bytes:
    """Encode grey values, (H, W), uint8 or uint16, palette indices, or RGB, (H, W, 3), uint8, as PNG."""
    image = Image.fromarray(np.ascontiguousarray(values))
    if palette is not None:
        image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_index_mask(path: str | Path, mask: IndexMask) -> None:
    """Write an index mask as PNG with :data:`DAVIS_PALETTE`, or 16-bit grey for ids beyond 255.

    Args:
        path: file to write; an existing one is replaced.
        mask: index mask (H, W), ids from 0 to 65535.

    Raises:
        SinkError: an id is negative or larger than 65535, the mask has fractions, such as probabilities, or
            is not (H, W), or the file cannot be written.
    """
    data = encode_index_mask(whole_mask(mask, str(path), SinkError))
    try:
        user_path(path).write_bytes(data)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written ({error.strerror or error})") from error

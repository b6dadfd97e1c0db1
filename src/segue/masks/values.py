"""Meaning of mask values: object ids, one white object, soft edges, colours.

The same rules hold for mask files and for arrays. Values that have two readings are an error that says both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.utils.arrays import MAX_ID as MAX_ID
from segue.utils.arrays import BoolArray, IndexMask
from segue.utils.notices import warn_caller

WHITE = 255
"""Value of the object in a white mask before it gets its id; also void in DAVIS."""

ColourIds: TypeAlias = "dict[int, int]"
"""Ids by colour, ``red << 16 | green << 8 | blue``, shared by the masks of a video."""

_CDNET = frozenset({50, 85, 170})
"""Labels of CDnet2014 other than 0 and 255; their regions may be thin."""

Values = TypeVar("Values", bound="IndexMask")

_IGNORED = 10000
"""Value of ignored regions in KITTI MOTS, where ids are 1000 * class + number."""

_OF_KITTI = range(1000, 3000)
"""Ids of its classes, cars and pedestrians."""

_MAX_COLOURS = 256
_SLOPES = 0.8
"""Minimum share of grey pixels with both a brighter and a darker neighbour in anti-aliased edges."""

_OBJECTS = 0.5
"""Maximum of this share in separate objects."""

_FEW_COLOURS = 8
"""So many colours may be thin, as small objects are."""


def davis_palette() -> npt.NDArray[np.uint8]:
    """Compute the palette of PASCAL VOC and DAVIS.

    The three lowest bits of an id become the highest bits of red, green and blue, the next three the second
    highest, and so on.

    Returns:
        Colour of every id, (256, 3), uint8, RGB; 0 is black.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for place in range(8):
        level, channel = divmod(place, 3)
        palette[:, channel] |= ((ids >> place & 1) << (7 - level)).astype(np.uint8)
    return palette


DAVIS_PALETTE = davis_palette()
"""Cached result of :func:`davis_palette`; do not write to it."""
DAVIS_PALETTE.setflags(write=False)


def colour_codes(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Encode colours, (..., 3), as ``red << 16 | green << 8 | blue``."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue)


@lru_cache(maxsize=1)
def davis_ids() -> dict[int, int]:
    """Id of each colour of the DAVIS palette."""
    return {code: number for number, code in enumerate(colour_codes(DAVIS_PALETTE).tolist())}


def as_white(
    values: npt.NDArray[np.integer], where: str, error: type[SegueError]
) -> npt.NDArray[np.uint8] | None:
    """Convert a mask of one white object, (H, W), to 0 and 255; None if its values are ids."""
    # Between white and black there may be greys: soft edges, or noise of lossy compression.
    top = int(values.max(initial=0))
    full = WHITE if top <= WHITE else MAX_ID
    if values.dtype.kind == "b" or not full // 2 < top <= MAX_ID or int(values.min(initial=0)) < 0:
        return None
    levels = np.flatnonzero(np.bincount(values.ravel().astype(np.uint16)))
    levels = levels[(levels > 0) & (levels < top)]
    white = np.asarray((values > top // 2) * np.uint8(WHITE), np.uint8)
    if set(levels.tolist()) <= _CDNET and len(levels):
        return None
    if not len(levels):
        return white if top == full else None
    margin = top // 8
    grey = (values > margin) & (values < top - margin)
    if not grey.any():
        return white if (levels >= top - margin).any() else None
    share = float(_slopes(values)[grey].mean())
    if share >= _SLOPES:
        return white
    if share > _OBJECTS:
        raise error(
            f"{where}: has {len(levels) + 1} values from 0 to {top}, many in thin rims. For one object with "
            f"soft edges save 0 and {full} alone (values > {top // 2}); for {len(levels) + 1} objects save "
            "an indexed PNG"
        )
    return None


def _slopes(values: npt.NDArray[np.integer]) -> BoolArray:
    """Pixels with a brighter and a darker neighbour."""
    plane, kernel = values.astype(np.uint16), np.ones((3, 3), np.uint8)
    return np.asarray((cv2.dilate(plane, kernel) > plane) & (cv2.erode(plane, kernel) < plane))


def is_white(values: npt.NDArray[np.integer]) -> bool:
    """Whether all values are 0 or 255, with at least one 255."""
    inside = values == WHITE
    return bool(inside.any() and not values[~inside].any())


class VoidWarning(UserWarning):
    """The value 255 of a mask was read as void; the message names the mask."""


def warn_of_void(text: str) -> None:
    """Warn of void in a mask."""
    warn_caller(text, VoidWarning)


def without_void(
    values: Values, where: str, *, palette: bool = False, say: Callable[[str], None] = warn_of_void
) -> Values:
    """Set void to background: 255 in an index mask if it is void, and 10000 of KITTI MOTS.

    In DAVIS, YouTube-VOS and PASCAL VOC it is, beside ids of objects. Elsewhere 255 may be an id.

    Args:
        values: index mask (H, W).
        where: its name in messages.
        palette: it has the palette of those data sets: 255 is void beside any ids but 254. Otherwise it is
            void beside the ids 1, 2, ... without a gap, up to 253 at most.
        say: receives the message about void pixels.

    Returns:
        Index mask (H, W), of the same type.
    """
    highest = 0 if values.dtype.kind == "b" else int(values.max(initial=0))
    if highest == _IGNORED:
        return _without_ignored(values, where, say)
    if highest != WHITE:
        return values
    ids = np.unique(values[(values > 0) & (values < WHITE)])
    last = len(ids)
    if not last or ids[-1] == WHITE - 1 or not (palette or ids[-1] == last):
        return values
    ids_text = ", ".join(map(str, ids)) if last < 4 else f"{ids[0]} to {ids[-1]}"
    say(
        f"{where}: 255 beside the ids {ids_text} is void, as in DAVIS, YouTube-VOS and PASCAL VOC; "
        "an object needs another id"
    )
    return _without(values, WHITE)


def _without_ignored(values: Values, where: str, say: Callable[[str], None]) -> Values:
    ids = np.unique(values[(values > 0) & (values < _IGNORED)])
    if not len(ids) or ids[0] not in _OF_KITTI or ids[-1] not in _OF_KITTI:
        return values
    say(f"{where}: {_IGNORED} beside the ids {ids[0]} to {ids[-1]} is void, as in KITTI MOTS")
    return _without(values, _IGNORED)


def _without(values: Values, number: int) -> Values:
    result = values.copy()
    result[np.equal(values, number)] = 0
    return result


def of_colours(
    channels: npt.NDArray[np.uint8],
    inside: BoolArray | None,
    where: str,
    error: type[SegueError],
    ids: ColourIds | None,
) -> npt.NDArray[np.uint8]:
    """Ids (H, W) of coloured objects on black, (H, W, 3); pixels outside ``inside`` are background."""
    # Colours of DAVIS's palette are their ids there. Of others nobody knows the ids: they are numbered in
    # ``ids``, and refused without it.
    codes = colour_codes(channels)
    if inside is not None:
        codes[~inside] = 0
    used, places = np.unique(codes, return_inverse=True)
    colours = used.tolist()
    if len(colours) > _MAX_COLOURS:
        raise error(
            f"{where}: a colour image with {len(colours)} colours is no mask; save it as indexed or grey PNG"
        )
    ids_by_colour = {} if ids is None else ids
    if all(code in ids_by_colour or code == 0 for code in colours):
        numbers = [ids_by_colour.get(code, 0) for code in colours]
    elif all(code in davis_ids() for code in colours) and set(ids_by_colour.items()) <= davis_ids().items():
        numbers = [davis_ids()[code] for code in colours]
        ids_by_colour.update(zip(colours, numbers, strict=True))
    elif ids is None and len(colours) == 2 and not colours[0]:
        numbers = [0, WHITE]
    elif ids is None:
        raise error(
            f"{where}: a colour image whose colours are not those of the palette of DAVIS does not say the "
            "ids of its objects; save it as indexed or grey PNG"
        )
    else:
        _check_colours(codes, colours, where, error)
        for code in colours:
            if code and code not in ids:
                ids[code] = max(ids.values(), default=0) + 1
        numbers = [ids.get(code, 0) for code in colours]
    if max(numbers) > WHITE:
        raise error(
            f"{where}: the masks of this video have more than {WHITE} colours; save them as indexed PNG"
        )
    return np.array(numbers, np.uint8)[places].reshape(codes.shape)


def _check_colours(
    codes: npt.NDArray[np.int32], colours: list[int], where: str, error: type[SegueError]
) -> None:
    """Raise an error unless unknown colours are on black and have hard edges."""
    if 0 not in colours:
        red, green, blue = codes[0, 0] >> 16, codes[0, 0] >> 8 & 255, codes[0, 0] & 255
        raise error(
            f"{where}: no pixel is black, so that the background may be an object or the colour "
            f"({red}, {green}, {blue}) of the corner; make the background black, or save an indexed PNG"
        )
    plane = np.searchsorted(colours, codes).astype(np.uint16)
    kernel = np.ones((3, 3), np.uint8)
    solid = np.unique(plane[cv2.dilate(plane, kernel) == cv2.erode(plane, kernel)])
    if len(colours) > _FEW_COLOURS and len(solid) * 2 < len(colours):
        many, few = len(colours) - 1, max(1, len(solid) - 1)
        raise error(
            f"{where}: has {many} colours, most in thin rims. It may show {few} objects with soft edges, or "
            f"{many} objects; save it as indexed PNG, without soft edges"
        )

"""Recognise intact files that are no videos, such as data of other programs."""

from __future__ import annotations

from pathlib import Path

_ARRAY = "give its frames, (T, H, W, 3) of uint8, to segue.track in Python"
_MICROSCOPE = "save it as TIFF or MP4, for example with Fiji"

_CONTENTS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x93NUMPY", "a NumPy array", _ARRAY),
    (0, b"PK\x03\x04", "a zip archive (or an .npz of NumPy)", "unpack it"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _ARRAY),
    (0, b"CDF", "a netCDF file", _ARRAY),
    (0, b"ZISRAWFILE", "a CZI file of a Zeiss microscope", _MICROSCOPE),
    (0, b"\xda\xce\xbe\x0a", "an ND2 file of a Nikon microscope", _MICROSCOPE),
    (0, b"\x70\x00\x00\x00\x2a", "a LIF file of a Leica microscope", _MICROSCOPE),
    (0, b"%PDF-", "a PDF file", "save its pages as PNG"),
    (0, b"PAR1", "a Parquet file", "save the images that it holds"),
    (0, b"SQLite format 3\x00", "an SQLite database", "give the video itself"),
    (4, b"ftypheic", "a HEIC image", "save it as JPEG or PNG"),
    (4, b"ftypavif", "an AVIF image", "save it as JPEG or PNG"),
    (0, b"8BPS", "a Photoshop file", "save it as PNG or TIFF"),
    (0, b"FUJIFILM", "a raw image of a camera", "develop it to TIFF or JPEG"),
)
"""Position and bytes of a file, its kind, and advice. The bytes are published for each format."""


def kind_of_content(path: str) -> str | None:
    """Kind of a file by its first bytes, with advice; None if unknown."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError):
        return None
    for start, magic, name, advice in _CONTENTS:
        if head[start : start + len(magic)] == magic:
            return f"{name}, which is no video; {advice}"
    return None

"""Write results into one zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from segue.errors import SinkError
from segue.utils.files import make_folder, replacing, writing

ZIP = ".zip"
"""Ending of an archive."""

_DATE = (1980, 1, 1, 0, 0, 0)  # equal results are equal files


def write_archive(path: Path, overwrite: bool, write: Callable[[Path], dict[str, Path]]) -> dict[str, Path]:
    """Write results into a folder and archive it; the archive appears when complete.

    Args:
        path: the archive.
        overwrite: replace existing files.
        write: writes into a folder, and gives the file or folder of each format.

    Returns:
        The archive, for each format.

    Raises:
        SinkError: it exists already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise SinkError(f"{path}: exists already; give overwrite=True, or another output")
    with writing(path):
        make_folder(path.parent)
        place = TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    with place as folder:
        paths = write(Path(folder) / path.stem)
        with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((Path(folder) / path.stem).rglob("*")):
                name = file.relative_to(folder).as_posix()
                if file.is_file() and not file.name.endswith(".lock"):
                    with file.open("rb") as content, archive.open(_member(name), "w") as member:
                        while block := content.read(1 << 20):
                            member.write(block)
    return dict.fromkeys(paths, path)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info

"""Files of annotations from anywhere: folders and archives as trees of files, text within limits."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from segue.datasets.json_files import MAX_RATIO, entries
from segue.errors import DatasetError
from segue.masks import StoredMask, read_index_mask
from segue.masks.values import ColourIds
from segue.utils.inputs import check_file, text_of
from segue.utils.naming import is_hidden, natural_key

MAX_MASK_BYTES = 64 << 20
"""Largest mask file in an archive, unpacked."""

MAX_BYTES = 128 << 20
"""Largest JSON or XML file."""

MAX_ENTRY = 16 << 20
"""Characters of one entry of a JSON file, which becomes many objects in memory before it can be checked."""

MAX_ENTRIES = 1_000_000
"""Entries of a JSON file."""

MAX_DEPTH = 5
"""Levels of folders that are searched; links may lead in circles."""


class Tree:
    """The files of a folder or of a zip archive, in natural order, without hidden ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = None if path.is_dir() else zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        if self._archive is None:
            members = [*_below(path)]
        else:
            infos = [info for info in self._archive.infolist() if not info.is_dir()]
            self._members = {info.filename.replace("\\", "/"): info for info in infos}
            members = [*self._members]
        self.names = sorted((name for name in members if not is_hidden(name)), key=natural_key)

    def ending(self, *suffixes: str) -> list[str]:
        """The files with one of these endings, in small letters."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in suffixes]

    def text(self, name: str) -> str:
        """Text of a file."""
        if self._archive is None:
            return read_text(self._path / name)
        info = self._members[name]
        if info.file_size > min(MAX_BYTES, MAX_RATIO * info.compress_size + 2**20):
            raise DatasetError(
                f"{name} unpacks to {info.file_size} bytes, from {info.compress_size}; refused"
            )
        with self._archive.open(info) as file:
            return text_of(file.read(info.file_size + 1))

    def mask(self, name: str, ids: ColourIds, void: Callable[[str], None]) -> StoredMask:
        """Index mask of a file; ``void`` takes the message that 255 is void there."""
        return read_index_mask(self.mask_file(name), name if self._archive else "", ids=ids, void=void)

    def mask_file(self, name: str) -> Path | io.BytesIO:
        """A mask file, to be opened."""
        if self._archive is None:
            return self._path / name
        info = self._members[name]
        if info.file_size > MAX_MASK_BYTES:
            raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
        with self._archive.open(info) as file:
            return io.BytesIO(file.read(MAX_MASK_BYTES + 1))


def _below(root: Path) -> Iterator[str]:
    top = len(root.parts)
    for folder, subfolders, names in os.walk(root, followlinks=True):
        parts = Path(folder).parts[top:]
        if len(parts) >= MAX_DEPTH:
            subfolders.clear()
        yield from ("/".join((*parts, name)) for name in names)


def read_text(path: Path) -> str:
    """Text of a file within the limit."""
    check_file(path, DatasetError, MAX_BYTES)
    return text_of(path.read_bytes())


def json_entries(text: str, where: str) -> Iterator[tuple[str, int, Any]]:
    """Key, place in its list and value of each entry, see :func:`segue.datasets.json_files.entries`."""
    for number, (key, place, value) in enumerate(entries(text, Path(where), longest=MAX_ENTRY)):
        if number > MAX_ENTRIES:
            raise DatasetError(f"has more than {MAX_ENTRIES} entries; import it in parts")
        yield key, place, value

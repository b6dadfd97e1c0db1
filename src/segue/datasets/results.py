"""Results of any program: a folder or zip archive with one folder of masks per sequence."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from io import BytesIO
from itertools import takewhile
from pathlib import Path

from segue.datasets.files import read_mask_file
from segue.datasets.foreground.labels import Labels, read_grey
from segue.errors import DatasetError
from segue.masks import StoredMask
from segue.utils.inputs import check_file, exists, user_path
from segue.utils.naming import composed, first_few, is_hidden, natural_key

MASK_SUFFIXES = frozenset({".png"})
"""Endings of index mask files, which must be stored without loss."""

MAX_MEMBER_BYTES = 2**27
"""A member of an archive that says it unpacks to more is refused."""

_RECORDS = ".segue.jsonl"
_INNER = ("masks", "cdnet")
"""Marks of a folder that segue made in an output: its file of records, and its name."""

MAX_DEPTH = 4
"""Levels of folders that are searched for masks; links may lead in circles."""

_Parts = tuple[str, ...]
_Files = list[tuple[str, str]]


class Results:
    """Masks of many sequences, read when used; made by :func:`open_results`.

    >>> results = open_results("results.zip")
    >>> for name in results.names("bear"):
    ...     mask = results.read("bear", name)

    A sequence is a folder that holds masks. Levels above it, such as ``480p`` or the top folder of an
    archive, do not matter: ``bear`` is found in ``results/480p/bear``, and ``baseline/highway`` where the
    last two levels have these names, the folder or archive itself being the topmost level. The masks of
    ``bear`` may also lie in ``bear/masks`` (or ``highway/cdnet``), as segue writes them, or in any other
    folder inside ``bear``, if there are none in ``bear`` itself and only one such folder.

    Attributes:
        path: the folder or archive.

    Raises:
        DatasetError: by all methods: there is no such sequence or mask, it is there twice, it is damaged, a
            colour image (``read``), or has more than 8 bits a pixel (``read_grey``).
    """

    def __init__(
        self, store: _Store, folders: Mapping[_Parts, _Files], other_folders: Collection[_Parts] = ()
    ) -> None:
        self.path = store.path
        self._other_folders = (
            other_folders  # folders of files of another kind, which are not those of the folder above
        )
        self._store = store
        self._folders = folders
        self._members: dict[str, dict[str, str]] = {}

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences in natural order, without shared parent folders."""
        return tuple(sorted(self._short_names().values(), key=natural_key))

    def _short_names(self) -> dict[_Parts, str]:
        levels = [folder[:-1] for folder in self._folders]
        pairs = zip(min(levels), max(levels), strict=False)  # what these two share, all share
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return {folder: "/".join(folder[shared:]) for folder in self._folders}

    def besides(self, sequences: Collection[str]) -> tuple[str, ...]:
        """Folders of masks that belong to none of these sequences."""
        if len(sequences) == 1 and len(self._folders) == 1:
            return ()
        used = {folder for name in sequences for folder in self._matches(name)}
        names = {folder: name for folder, name in self._short_names().items() if folder not in used}
        return tuple(sorted(names.values(), key=natural_key))

    def __contains__(self, sequence: object) -> bool:
        return isinstance(sequence, str) and bool(self._matches(sequence))

    def names(self, sequence: str) -> tuple[str, ...]:
        """List the masks of a sequence.

        Args:
            sequence: its name.

        Returns:
            File names without ending, in natural order.
        """
        return tuple(self._find(sequence))

    def read(self, sequence: str, name: str, size: tuple[int, int] | None = None) -> StoredMask:
        """Read the stored values of a mask.

        Args:
            sequence: one of :attr:`sequences`.
            name: one of :meth:`names`.
            size: height and width that it must have; None is any.

        Returns:
            Palette indices or grey values (H, W), uint8 or (16-bit files) uint16.

        Raises:
            DatasetError: there is no such mask, or it cannot be read.
            OtherSizeError: it has another size; it is not decoded.
        """
        return read_mask_file(*self._file(sequence, name), size)

    def read_grey(self, sequence: str, name: str, size: tuple[int, int] | None = None) -> Labels:
        """Read a mask as grey values, not as palette indices.

        Args:
            sequence: its name.
            name: name of the mask, see :meth:`names`.
            size: height and width that it must have; None is any.

        Returns:
            Grey values (H, W), uint8.
        """
        return read_grey(*self._file(sequence, name), size)

    def only(self, sequence: str) -> Results:
        """Results of one sequence, for another process."""
        folder = self._folder(sequence)
        return Results(self._store, {folder: self._folders[folder]}, self._other_folders)

    def _file(self, sequence: str, name: str) -> tuple[Path | BytesIO, str]:
        members = self._find(sequence)
        if composed(name) not in members:
            raise DatasetError(f"{self.path}: sequence {sequence} has no mask {name}")
        return self._store.open(members[composed(name)])

    def _find(self, sequence: str) -> dict[str, str]:
        """Files of a sequence by name without extension, in natural order."""
        if sequence not in self._members:
            folder = self._folder(sequence)
            members: dict[str, str] = {}
            for name, member in sorted(self._folders[folder], key=lambda item: natural_key(item[0])):
                stem = composed(name.rpartition(".")[0])
                if stem in members:
                    raise DatasetError(
                        f"{self.path}: {'/'.join(folder)} holds {stem} twice: {members[stem]} and {member}; "
                        "keep one"
                    )
                members[stem] = member
            self._members[sequence] = members
        return self._members[sequence]

    def _folder(self, sequence: str) -> _Parts:
        matches = self._matches(sequence)
        if not matches:
            raise DatasetError(
                f"{self.path} has no results of sequence {sequence}; there are {first_few(self.sequences)}"
            )
        if len(matches) > 1:
            matches_text = first_few("/".join(folder) for folder in matches)
            raise DatasetError(
                f"{self.path} has sequence {sequence} more than once: {matches_text}; keep one"
            )
        return matches[0]

    def alone_as(self, sequence: str) -> Results | None:
        """The only folder of masks as results of a sequence with any name; None if there are several."""
        if len(self._folders) != 1 or not self._folders.keys().isdisjoint(self._other_folders):
            return None
        (files,) = self._folders.values()
        return Results(self._store, {tuple(sequence.split("/")): files})

    def _matches(self, sequence: str) -> list[_Parts]:
        """Folders of a sequence, or folders below one of its name, as other programs write them."""
        parts = tuple(composed(sequence).split("/"))
        exact = [folder for folder in self._folders if folder[-len(parts) :] == parts]
        inside = [folder for folder in self._folders if folder not in self._other_folders]
        return exact or [folder for folder in inside if folder[-len(parts) - 1 : -1] == parts]


def open_results(
    path: Results | Path | str, *, suffixes: Collection[str] = MASK_SUFFIXES, inner: str = "masks"
) -> Results:
    """Open a folder or a ``.zip`` of masks; nothing is unpacked to disk.

    Args:
        path: folder or archive with files ``<sequence>/<frame>.png``, below any levels that they share;
            open results are unchanged.
        suffixes: endings of the files that are masks, in small letters with their dot.
        inner: name of the folder that segue makes in its output for such files.

    Returns:
        The masks by sequence and frame name. They are listed now and read when asked for.

    Raises:
        DatasetError: nothing is there, it is neither folder nor archive, an archive holds an unsafe path, or
            there is no mask.
    """
    if isinstance(path, Results):
        return path
    path = user_path(path)
    if not exists(path):
        raise DatasetError(f"{path} does not exist; results are a folder or a zip archive")
    store: _Store = _Folder(path) if path.is_dir() else _Archive(path)
    folders: dict[_Parts, _Files] = {}
    ours: set[_Parts] = set()
    for parts, member in store.files():
        name = parts[-1]
        if name == _RECORDS and len(parts) > 1:
            ours.add((*map(composed, (store.name, *parts[:-1])),))
        if not is_hidden("/".join(parts)) and os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122  of 100,000 names
            folder = (*map(composed, (store.name, *parts[:-1])),)
            folders.setdefault(folder, []).append((name, member))
    if not folders:
        raise DatasetError(
            f"{path} holds no {' or '.join(sorted(suffixes))} file; results are <sequence>/<frame>.png"
        )
    return Results(store, _without_inner(folders, ours, inner), ours)


def _without_inner(
    folders: Mapping[_Parts, _Files], ours: Collection[_Parts], inner: str
) -> dict[_Parts, _Files]:
    """Replace an output folder by the mask folder that segue made inside it."""
    parents = {folder[:-1] for folder in ours if folder[-1] == inner and folder in folders}
    outer: dict[_Parts, _Files] = {}
    for folder, files in folders.items():
        output = folder[:-1] if folder in ours and folder[-1] in _INNER else None
        if output is None or output in folders:
            outer[folder] = files
        elif folder[-1] == inner:
            outer[output] = files
        elif output not in parents:
            outer[folder] = files
    return outer


class _Folder:
    """A folder of files with the interface of :class:`_Archive`; both are picklable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name

    def files(self) -> Iterator[tuple[_Parts, str]]:
        """Path parts of every file, and its argument for :meth:`open`."""
        top = len(self.path.parts)
        for folder, subfolders, names in os.walk(self.path, followlinks=True):
            parts = Path(folder).parts[top:]
            subfolders.sort()  # in the same order on every file system
            if len(parts) >= MAX_DEPTH:
                subfolders.clear()
            for name in sorted(names):
                yield (*parts, name), "/".join((*parts, name))

    def open(self, member: str) -> tuple[Path | BytesIO, str]:
        """Open a file; returns its stream and its name for messages."""
        path = self.path / member
        return path, str(path)


class _Archive:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem

    def __reduce__(self) -> tuple[type[_Archive], tuple[Path]]:
        return _Archive, (self.path,)

    def files(self) -> Iterator[tuple[_Parts, str]]:
        for info in self._zip.infolist():
            if info.is_dir():
                continue
            parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part != ".")
            if ".." in parts or not all(parts):
                raise DatasetError(f"{self.path}: {info.filename!r} is no safe path; pack the archive anew")
            yield parts, info.filename

    def open(self, member: str) -> tuple[Path | BytesIO, str]:
        where = f"{self.path}/{member}"
        size = self._zip.getinfo(member).file_size
        if size > MAX_MEMBER_BYTES:
            raise DatasetError(f"{where} unpacks to {size} bytes; at most {MAX_MEMBER_BYTES} are taken")
        try:
            data = self._zip.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error) as error:
            raise DatasetError(f"{where} is damaged: {error}") from error
        except (RuntimeError, NotImplementedError) as error:  # a password, or an unknown way of packing
            raise DatasetError(f"{where} cannot be unpacked: {error}; pack it as a plain zip") from error
        return BytesIO(data), where

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        check_file(self.path, DatasetError)
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
            # An unknown version, and names that are not in the encoding that they claim.
            raise DatasetError(f"{self.path} is neither a folder nor a zip archive: {error}") from error
        except OSError as error:
            raise DatasetError(f"{self.path} cannot be read: {error.strerror or error}") from error


_Store = _Folder | _Archive

"""Large JSON files, read entry by entry and validated."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from segue.errors import DatasetError
from segue.utils.inputs import check_file, encoding_of, exists, text_of
from segue.utils.naming import is_hidden

Model = TypeVar("Model", bound=BaseModel)
Checked = TypeVar("Checked")

MAX_BYTES = 2**31
"""Largest text that is read."""

MAX_RATIO = 200
"""A text that unpacks to so many times its packed size is refused; run lengths reach 10."""

CHUNK = 1 << 20
"""Characters that are read at once; a file is never held whole, but for its longest entry."""

JsonEntry = tuple[str, int, Any]
"""Key at the top level, place in its list (-1: the value is no list), and value."""

_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
"""Strings, and the brackets of lists and objects."""

_SPACE = re.compile(r"[ \t\n\r]*")


class Record(BaseModel):
    """Base of records of annotation files: strict types, unknown keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


def read_json_text(path: Path) -> str:
    """Read the text of a JSON file, or of the only one in a zip file."""
    try:
        with _opened(path) as stream:
            return stream.read()
    except _UNREADABLE as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a JSON file, or the only one in a zip file, as a text stream."""
    if not exists(path):
        raise DatasetError(f"no file {path}")
    check_file(path, DatasetError, MAX_BYTES)
    if path.suffix.lower() != ".zip":
        with path.open("rb") as file:
            encoding = encoding_of(file.read(2))
        with path.open(encoding=encoding) as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        members = [
            item
            for item in archive.infolist()
            if item.filename.lower().endswith(".json") and not is_hidden(item.filename)
        ]
        if len(members) != 1:
            raise DatasetError(f"{path} holds {len(members)} .json files; it must hold exactly one")
        size, packed = members[0].file_size, members[0].compress_size
        if size > min(MAX_BYTES, MAX_RATIO * packed + 2**20):
            raise DatasetError(
                f"{path}: {members[0].filename} unpacks to {size} bytes, from {packed}; refused"
            )
        with archive.open(members[0]) as data:
            encoding = encoding_of(data.read(2))
        with archive.open(members[0]) as data, io.TextIOWrapper(data, encoding=encoding) as stream:
            yield stream


def entries(
    source: str | Path, where: Path, longest: int | None = None, chunk: int = CHUNK
) -> Iterator[JsonEntry]:
    """Iterate over the values of a JSON text or file; top-level lists are read entry by entry."""
    # Of a file as much is held as its longest entry takes; entries of a text have a limit.
    try:
        if isinstance(source, str):
            yield from _Reader(source, None, longest).entries()
            return
        with _opened(source) as stream:
            yield from _Reader("", stream, longest, chunk).entries()
    except (json.JSONDecodeError, _InvalidError, RecursionError) as error:
        raise DatasetError(f"{where} is not valid JSON: {error}") from error
    except _UNREADABLE as error:
        raise DatasetError(f"{where} cannot be read: {error}") from error


def read_members(path: Path) -> dict[str, Any]:
    """Read the top level of a JSON file, without lists."""
    return {key: value for key, i, value in entries(path, path) if i < 0}


def validated(model: type[Model], value: Any, where: str) -> Model:
    """Validate ``value`` as a ``model``; the error starts with ``where`` and names the first wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in first["loc"])
        field = field.removeprefix(".") if where.endswith(": ") else field
        raise DatasetError(f"{where}{field}: {first['msg']}") from None


def read_json(model: type[Checked], file: Path, what: str) -> Checked:
    """Read and validate a small JSON file; ``what`` names it in messages."""
    try:
        return TypeAdapter(model).validate_json(text_of(file.read_bytes()))
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} is no {what}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DatasetError(f"{file} is no {what}: {where}: {first['msg']}") from error


class _InvalidError(Exception):
    """Error in a JSON text."""


def _no_number(name: str) -> NoReturn:
    raise _InvalidError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)

_CUT = 16
"""An error within so many characters of the end may come from missing text: every literal is shorter."""


class _Reader:
    """Cursor in a JSON text, which reads more from a stream as needed."""

    def __init__(
        self, text: str, stream: TextIO | None, longest: int | None = None, chunk: int = CHUNK
    ) -> None:
        self._text, self._stream, self._longest, self._chunk = text, stream, longest, chunk
        self._at = self._offset = 0

    def entries(self) -> Iterator[JsonEntry]:
        opening = self._next_character()
        if opening == "[":
            yield from self._items("")
        elif opening == "{":
            for _ in self._elements("}"):
                yield from self._member()
        else:
            raise self._error("Expecting an object or a list")
        if self._next_character():
            raise self._error("Extra data")

    def _member(self) -> Iterator[JsonEntry]:
        if self._next_character() != '"':
            raise self._error("Expecting a name in double quotes")
        key = self._value()
        self._take(":")
        if self._next_character() == "[":
            yield from self._items(key)
        else:
            yield key, -1, self._value()

    def _items(self, key: str) -> Iterator[JsonEntry]:
        for i in self._elements("]"):
            yield key, i, self._value()

    def _elements(self, closing: str) -> Iterator[int]:
        """Count the elements of the list or object that starts here; the caller reads each."""
        self._at += 1
        for i in count():
            if self._next_character() == closing and i == 0:
                break
            yield i
            if self._next_character() == closing:
                break
            self._take(",")
        self._at += 1

    def _more(self) -> bool:
        """Read at least as much again; returns False at the end."""
        if self._stream is None:
            return False
        rest = self._text[self._at :]
        read = self._stream.read(max(self._chunk, len(rest)))
        if not read:
            self._stream = None
            return False
        self._text, self._offset, self._at = rest + read, self._offset + self._at, 0
        return True

    def _value(self) -> Any:
        if self._longest is not None:
            self._check_length(self._longest)
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos + _CUT >= len(self._text)
                if not (cut and self._more()):
                    raise _InvalidError(f"{error.msg} (char {self._offset + error.pos})") from None
                continue
            if end + 2 >= len(self._text) and self._more():  # a number may go on, also behind "e-"
                continue
            self._at = end
            return value

    def _check_length(self, longest: int) -> None:
        """Raise an error unless the list or object ends within this number of characters."""
        if self._text[self._at : self._at + 1] not in ("[", "{"):
            return  # a text or number is not longer in memory
        depth, end = 0, self._at + longest
        for match in _STRUCTURE.finditer(self._text, self._at, end):
            sign = match[0]
            depth += (sign in "[{") - (sign in "]}")
            if depth == 0:
                return
        if end < len(self._text):
            raise _InvalidError(f"an entry has more than {longest} characters")

    def _take(self, expected: str) -> None:
        if self._next_character() != expected:
            raise self._error(f"Expecting {expected!r}")
        self._at += 1

    def _next_character(self) -> str:
        """Skip white space and return the next character."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches anything
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _error(self, message: str) -> _InvalidError:
        return _InvalidError(f"{message} (char {self._offset + self._at})")

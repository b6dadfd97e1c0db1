"""JSON files of several hundred megabytes, taken apart entry by entry and checked against a model."""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from segue.errors import DatasetError
from segue.inputs import check_file, exists
from segue.naming import is_hidden

Model = TypeVar("Model", bound=BaseModel)
Checked = TypeVar("Checked")

MAX_BYTES = 2**31
"""Largest text that is read."""

MAX_RATIO = 200
"""A text that unpacks to so many times its packed size is refused; run lengths reach 10."""

JsonEntry = tuple[str, int, int, Any]
"""Key at the top level, place in its list (-1: the value is no list), where it starts in the text, value."""

_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
"""Strings, and the signs at which lists and objects begin and end."""

_SPACE = re.compile(r"[ \t\n\r]*")


class Record(BaseModel):
    """Base of the records of annotation files: types are not converted, unknown keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


def read_json_text(path: Path) -> str:
    """Text of a JSON file, or of the only one in a zip file."""
    if not exists(path):
        raise DatasetError(f"no file {path}")
    check_file(path, DatasetError, MAX_BYTES)
    try:
        if path.suffix.lower() == ".zip":
            return _text_in_zip(path)
        return path.read_text(encoding="utf-8-sig")
    except _UNREADABLE as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _text_in_zip(path: Path) -> str:
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
        return archive.read(members[0]).decode("utf-8-sig")


def entries(text: str, path: Path, longest: int | None = None) -> Iterator[JsonEntry]:
    """Values of a JSON text one after the other; lists at the top level come entry by entry."""
    try:
        yield from _Reader(text, longest).entries()
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {error}") from error


def entry_at(text: str, start: int) -> Any:
    """The value that starts at ``start``, as given by :func:`entries`."""
    return _DECODER.raw_decode(text, start)[0]


def read_members(path: Path) -> dict[str, Any]:
    """The top level of a JSON file, without lists."""
    return {key: value for key, i, _, value in entries(read_json_text(path), path) if i < 0}


def validated(model: type[Model], value: Any, where: str) -> Model:
    """``value`` as a ``model``; the error starts with ``where`` and names the first wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in first["loc"])
        raise DatasetError(f"{where}{field}: {first['msg']}") from None


def read_json(model: type[Checked], file: Path, what: str) -> Checked:
    """A small JSON file, checked; ``what`` is what it is to be, for messages."""
    try:
        return TypeAdapter(model).validate_json(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DatasetError(f"{file} is no {what}: {where}: {first['msg']}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


class _Reader:
    """A place in a JSON text, moved on value by value."""

    def __init__(self, text: str, longest: int | None = None) -> None:
        self._text, self._at, self._longest = text, 0, longest

    def entries(self) -> Iterator[JsonEntry]:
        opening = self._sign()
        if opening == "[":
            yield from self._items("")
        elif opening == "{":
            for _ in self._elements("}"):
                yield from self._member()
        else:
            raise self._error("Expecting an object or a list")
        if self._sign():
            raise self._error("Extra data")

    def _member(self) -> Iterator[JsonEntry]:
        if self._sign() != '"':
            raise self._error("Expecting a name in double quotes")
        key = self._value()
        self._take(":")
        if self._sign() == "[":
            yield from self._items(key)
        else:
            yield key, -1, self._at, self._value()

    def _items(self, key: str) -> Iterator[JsonEntry]:
        for i in self._elements("]"):
            yield key, i, self._at, self._value()

    def _elements(self, closing: str) -> Iterator[int]:
        """Number of each element of the list or object that starts here; who gets it takes the element."""
        self._at += 1
        for i in count():
            if self._sign() == closing and i == 0:
                break
            yield i
            if self._sign() == closing:
                break
            self._take(",")
        self._at += 1

    def _value(self) -> Any:
        if self._longest is not None:
            self._check_length(self._longest)
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def _check_length(self, longest: int) -> None:
        """See that the list or object that starts here ends within so many characters."""
        if self._text[self._at : self._at + 1] not in ("[", "{"):
            return  # a text or number is not longer in memory
        depth, end = 0, self._at + longest
        for match in _STRUCTURE.finditer(self._text, self._at, end):
            sign = match[0]
            depth += (sign in "[{") - (sign in "]}")
            if depth == 0:
                return
        if end < len(self._text):
            raise ValueError(f"an entry has more than {longest} characters")

    def _take(self, expected: str) -> None:
        if self._sign() != expected:
            raise self._error(f"Expecting {expected!r}")
        self._at += 1

    def _sign(self) -> str:
        """The next sign that is no white space, where it stands from now on."""
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches anything
        return self._text[self._at : self._at + 1]

    def _error(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self._at)

"""JSON files of several hundred megabytes, taken apart entry by entry and checked against a model."""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from segue.datasets.instances import CategoryRecord, add_category
from segue.errors import DatasetError
from segue.inputs import check_file, exists

if TYPE_CHECKING:
    from importlib.abc import Traversable

Model = TypeVar("Model", bound=BaseModel)
Checked = TypeVar("Checked")

MAX_BYTES = 2**31
"""Largest text that is read."""

MAX_RATIO = 200
"""A text that unpacks to so many times its packed size is refused; run lengths reach 10."""

Entry = tuple[str, int, int, Any]
"""Key at the top level, place in its list (-1: the value is no list), where it starts in the text, value."""

_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)

_SPACE = re.compile(r"[ \t\n\r]*")


def read_json_text(path: Path) -> str:
    """Text of a JSON file, or of the only one in a zip file.

    Raises:
        DatasetError: the file is missing or unreadable, or a zip file has not exactly one JSON file.
    """
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
            if item.filename.lower().endswith(".json") and not item.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise DatasetError(f"{path} holds {len(members)} .json files; it must hold exactly one")
        size, packed = members[0].file_size, members[0].compress_size
        if size > min(MAX_BYTES, MAX_RATIO * packed + 2**20):
            raise DatasetError(
                f"{path}: {members[0].filename} unpacks to {size} bytes, from {packed}; refused"
            )
        return archive.read(members[0]).decode("utf-8-sig")


def entries(text: str, path: Path) -> Iterator[Entry]:
    """Values of a JSON text one after the other; lists at the top level come entry by entry.

    A text that is itself a list has the empty key. Only one entry is held at a time.
    """
    try:
        yield from _walk(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {error}") from error


def entry_at(text: str, start: int) -> Any:
    """The value that starts at ``start``, as told by :func:`entries`."""
    return _DECODER.raw_decode(text, start)[0]


def validated(model: type[Model], value: Any, where: str) -> Model:
    """``value`` as a ``model``.

    Raises:
        DatasetError: it does not fit; the message starts with ``where`` and names the first wrong field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in first["loc"])
        raise DatasetError(f"{where}{field}: {first['msg']}") from None


def read_json(model: TypeAdapter[Checked], file: Path | Traversable, what: str) -> Checked:
    """A small JSON file, checked.

    Args:
        model: the form that it must have.
        file: where it is.
        what: what it is to be, for messages.
    """
    try:
        return model.validate_json(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DatasetError(f"{file} is no {what}: {where}: {first['msg']}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _walk(text: str) -> Iterator[Entry]:
    at = _skip(text, 0)
    if text[at : at + 1] == "[":
        at = yield from _items(text, at, "")
    elif text[at : at + 1] == "{":
        at = yield from _members(text, at)
    else:
        raise json.JSONDecodeError("Expecting an object or a list", text, at)
    if _skip(text, at) != len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _members(text: str, at: int) -> Generator[Entry, None, int]:
    """Go through the object that starts at ``at``; gives the place after it."""
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return at + 1
    while True:
        start = at
        key, at = _DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting a name in double quotes", text, start)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':'", text, at)
        at = _skip(text, at + 1)
        if text[at : at + 1] == "[":
            at = yield from _items(text, at, key)
        else:
            start = at
            value, at = _DECODER.raw_decode(text, at)
            yield key, -1, start, value
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return at + 1
        at = _after_comma(text, at)


def _items(text: str, at: int, key: str) -> Generator[Entry, None, int]:
    """Go through the list that starts at ``at``; gives the place after it."""
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    i = 0
    while True:
        start = at
        value, at = _DECODER.raw_decode(text, at)
        yield key, i, start, value
        i += 1
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return at + 1
        at = _after_comma(text, at)


def _after_comma(text: str, at: int) -> int:
    if text[at : at + 1] != ",":
        raise json.JSONDecodeError("Expecting ','", text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """The next place that is no white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text too


def read_class_names(path: Path | str) -> dict[int, str]:
    """Names by number, as ``categories`` of the file has them."""
    path = Path(path)
    names: dict[int, str] = {}
    for key, i, _, value in entries(read_json_text(path), path):
        if key == "categories" and i >= 0:
            where = f"{path}: categories[{i}]"
            add_category(names, validated(CategoryRecord, value, where), where)
    if not names:
        raise DatasetError(f"{path} has no categories; give an annotation file of YouTube-VIS, OVIS or COCO")
    return names

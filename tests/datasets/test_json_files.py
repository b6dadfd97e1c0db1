"""Large JSON files are read entry by entry, wherever the pieces that are read end."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from segue.datasets.ytvis import CocoImages
from segue.errors import DatasetError
from segue.utils.json_files import CHUNK, entries

VALUES: dict[str, Any] = {
    "info": {"year": 2019, "text": 'quotes " \\ \u2028 \U0001f600 é', "none": None, "yes": True},
    "numbers": [0, -1, 1.5, -2.25e-7, 123456789012345678901234567890, [], {}, ""],
    "empty": [],
    "long": ["a" * 300, {"counts": "b" * 500, "size": [4, 6]}, [[1, 2], [3.0, 4.5]]],
    "last": 12,
}


def listed(values: dict[str, Any]) -> list[tuple[str, int, Any]]:
    found: list[tuple[str, int, Any]] = []
    for key, value in values.items():
        found += (
            [(key, i, item) for i, item in enumerate(value)]
            if isinstance(value, list)
            else [(key, -1, value)]
        )
    return found


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
@pytest.mark.parametrize("indent", [None, 2])
def test_entries_are_the_same_wherever_a_piece_ends(chunk: int, indent: int | None, tmp_path: Path) -> None:
    path, packed = tmp_path / "a.json", tmp_path / "a.zip"
    for escaped in (True, False):
        text = json.dumps(VALUES, indent=indent, ensure_ascii=escaped)
        path.write_text(" \n" + text + "\n ", encoding="utf-8")
        assert list(entries(path, path, chunk=chunk)) == listed(VALUES)
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(path, "a.json")
        assert list(entries(packed, packed, chunk=chunk)) == listed(VALUES)
        assert list(entries(text, path)) == listed(VALUES)


@pytest.mark.parametrize(
    "text", ['{"a": [1 2]}', '{"a": tru}', '{"a": "b', '{"a": 1} 2', "[NaN]", '{"a": [1,', "[1]]"]
)
def test_errors_are_found_wherever_a_piece_of_text_ends(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    for chunk in (1, 3, 1000):
        with pytest.raises(DatasetError):
            list(entries(tmp_path / "a.json", tmp_path / "a.json", chunk=chunk))


def test_a_large_file_takes_the_memory_of_its_longest_entry(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    unused = {"text": "x" * 1000}
    values = {
        "images": [{"id": 1, "width": 8, "height": 6, "file_name": "1.jpg"}],
        "licenses": [unused] * (24 * CHUNK // 1000),
        "categories": [{"id": 1, "name": "bear"}],
    }
    path.write_text(json.dumps(values))
    assert path.stat().st_size > 24 * CHUNK
    tracemalloc.start()
    try:
        assert len(CocoImages(path)) == 1
        assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK
    finally:
        tracemalloc.stop()

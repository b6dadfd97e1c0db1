"""A training goes on only with the options and data that it was started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.errors import CheckpointError
from segue_train.origin import origin_of, require_same


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("images/a.png", "images/b.png", "masks/a.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(name.encode())
    return tmp_path / "data"


@pytest.mark.parametrize("form", ["{}", "5@{}", "isd={}", "{0}/images:{0}/masks"])
def test_data_are_the_same_elsewhere_and_others_with_one_file_more(
    data: Path, tmp_path: Path, form: str
) -> None:
    before = origin_of({"data": [form.format(data)]}, {"batch": 4, "start": "any"})
    moved = data.rename(tmp_path / "moved")
    require_same(before, origin_of({"data": [form.format(moved)]}, {"batch": 4, "start": None}))

    (moved / "images/c.png").write_bytes(b"more")

    with pytest.raises(CheckpointError):
        require_same(before, origin_of({"data": [form.format(moved)]}, {"batch": 4}))


def test_a_file_counts_by_its_content_and_options_by_value(tmp_path: Path) -> None:
    (tmp_path / "teacher").write_bytes(b"one")
    options: dict[str, Any] = {"teacher": tmp_path / "teacher", "rate": 0.1, "exclude": "a, b", "seen": None}
    before = origin_of(options)
    require_same(before, origin_of(options))

    for change in ({"rate": 0.2}, {"exclude": "a"}, {"seen": True}, {"more": 1}):
        with pytest.raises(CheckpointError, match=f"started with {next(iter(change))} "):
            require_same(before, origin_of({**options, **change}))
    require_same(before, origin_of({**options, "more": 1}), {"more": "1"})
    with pytest.raises(CheckpointError):
        require_same(before, origin_of({**options, "more": 2}), {"more": "1"})
    (tmp_path / "teacher").write_bytes(b"two")
    with pytest.raises(CheckpointError):
        require_same(before, origin_of(options))

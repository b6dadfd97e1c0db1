"""Parts of an output of a source without an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.video.rotation import part_path, parts_of


@pytest.mark.parametrize("name", ["events.csv", "out"])
def test_parts_are_in_order_of_time_also_those_of_one_second(tmp_path: Path, name: str) -> None:
    made = []
    for time in [*["20261127T093000Z"] * 12, "20261127T093001Z"]:
        path = part_path(tmp_path / name, time)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        made.append(path)
    (tmp_path / "events-mine.csv").touch()
    assert parts_of(tmp_path / name) == made

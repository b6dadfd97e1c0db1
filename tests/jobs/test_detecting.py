"""What a detector finds on the first frame, and the files of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import SourceError
from segue.jobs.detecting import detect_first, write_found
from segue.masks import overlay, read_index_mask
from segue.prompts.selection import Found
from segue.types import Frame, ObjectInfo
from segue.video.images import read_image

MASK = np.zeros((40, 60), np.uint8)
MASK[5:30, 8:40] = 3
MASK[32:38, 45:58] = 4
PICTURE = np.full((40, 60, 3), 90, np.uint8)
DOG = ObjectInfo(3, "dog", 0.756, (8, 5, 40, 30), 800)
THING = ObjectInfo(4, None, 0.5, (45, 32, 58, 38), 78)
FOUND = Found(MASK, (DOG, THING), np.stack([MASK == 3, MASK == 4]))


class Film:
    """A source of some frames that notes whether it was closed."""

    name = "film"

    def __init__(self, count: int) -> None:
        self.frames = [Frame(7 + t, t / 10, PICTURE + t) for t in range(count)]
        self.taken, self.closed = 0, False

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.frames:
            self.taken += 1
            yield frame


def detector(lookahead: int, seen: list[Any]) -> Any:
    """Finds the same on any frames, and notes them."""

    class Detector:
        def __call__(self, *frames: Frame) -> Found:
            seen.append(frames)
            return FOUND

    made = Detector()
    made.lookahead = lookahead  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_detector_sees_the_first_frame_and_those_that_it_compares(lookahead: int) -> None:
    film, seen = Film(5), []
    frame, found = detect_first(film, detector(lookahead, seen))  # type: ignore[arg-type]
    assert frame is film.frames[0]
    assert found is FOUND
    assert seen == [tuple(film.frames[: 1 + lookahead])]
    assert (film.taken, film.closed) == (1 + lookahead, True)


def test_a_film_that_is_too_short_is_refused() -> None:
    with pytest.raises(SourceError, match="film"):
        detect_first(Film(0), detector(0, []))  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="film"):
        detect_first(Film(1), detector(2, []))  # type: ignore[arg-type]
    short = Film(2)
    seen: list[Any] = []
    detect_first(short, detector(2, seen))  # type: ignore[arg-type]
    assert seen == [tuple(short.frames)], "one further frame is enough"


def test_what_was_found_is_a_mask_a_picture_and_a_list(tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("mask.png", "shown.png", "one.json", "two.json")]
    frame = Frame(7, 0.28, PICTURE)
    write_found(frame, FOUND, targets)
    assert np.array_equal(read_index_mask(targets[0]), MASK)
    assert np.array_equal(read_image(targets[1]), overlay(PICTURE, MASK, captions={3: "dog 0.76"}))
    for path in targets[2:]:
        said = json.loads(path.read_text())
        assert (said["frame"], said["time"]) == (7, 0.28)
        assert [(item["id"], item["label"], item["score"]) for item in said["objects"]] == [
            (3, "dog", 0.756),
            (4, None, 0.5),
        ]
        assert said["objects"][0]["box"] == [8, 5, 40, 30]
        assert path.read_bytes().endswith(b"}\n")

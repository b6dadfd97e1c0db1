"""What stands behind the page of ``segue view``: results to look at, or two to compare."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from segue.errors import SegueError
from segue.masks import encode_objects, measure
from segue.types import IndexMask
from segue.video.mask_folder import read_marker
from segue.web import messages
from segue.web.comparing import Measure, OfForeground, OfObjects, foreground_of, measure_of
from segue.web.film import Film
from segue.web.labels import Labels, read_labels
from segue.web.project import COLOURS
from segue.web.server import Send

MATCHED_FRAMES = 24
"""Frames, spread over the film, on which objects of two results are matched."""


def film_of(results: Path) -> Path:
    """The film that results of segue were made of, by their own record."""
    folder = results / "masks" if (results / "masks").is_dir() else results
    source = (read_marker(folder) or {}).get("settings", {}).get("source") if folder.is_dir() else None
    if not isinstance(source, str) or not Path(source).exists():
        raise SegueError(f"{results}: does not say of which film it is; give --film")
    return Path(source)


class ViewDesk:
    """Results that are shown.

    Args:
        film: their film.
        results: see :func:`segue.web.labels.read_labels`.
        against: a second result, or the truth.
        measure: how they are compared; None takes ``foreground`` for labels of CDnet2014, else ``davis``.

    Raises:
        SegueError: one of them cannot be read.
    """

    def __init__(
        self, film: Film, results: Path, against: Path | None = None, measure: str | None = None
    ) -> None:
        self.film = film
        self.send: Send = lambda event: None
        self._names = [results.name, against.name if against else ""]
        self._first = read_labels(results, film.size, film.count, numbers=film.numbers)
        self._second = read_labels(against, film.size, film.count, numbers=film.numbers) if against else None
        self._measure: Measure = OfObjects()
        if self._second and (measure or measure_of(self._second)) == "foreground":
            self._measure = OfForeground(self._second)
            self._first, self._second = foreground_of(self._first), foreground_of(self._second)
        self._ids = self._matched() if self._second else {i: i for i in self._first.names}
        self._scores: dict[int, dict[int, Any]] = {}
        self._ended = threading.Event()

    def open(self) -> None:
        """Begin to score all frames."""
        if self._second:
            threading.Thread(target=self._score_all, daemon=True, name="segue-view-score").start()

    def close(self) -> None:
        self._ended.set()
        self.film.close()

    def upload_path(self, name: str) -> Path | None:
        """Nothing is imported here."""
        return None

    def export_file(self, name: str) -> Path | None:
        """Nothing is exported here."""
        return None

    async def take_in(self, name: str, path: Path) -> str:
        """Nothing is imported here."""
        raise SegueError("results that are only looked at take nothing in")

    async def handle(self, message: messages.AnyMessage) -> dict[str, Any]:
        """Answer a request."""
        if isinstance(message, messages.Hello):
            return await asyncio.to_thread(self._everything)
        if isinstance(message, messages.Look):
            frames = [index for index in message.frames if index < self.film.count]
            return {"frames": await asyncio.to_thread(lambda: [self._frame(index) for index in frames])}
        if isinstance(message, messages.Score) and self._second:
            return {"score": await asyncio.to_thread(self._score, message.frame)}
        if isinstance(message, messages.Settings | messages.Prepare):
            return {}
        raise SegueError("results are only looked at here; use `segue annotate` with --import to change them")

    def _everything(self) -> dict[str, Any]:
        names = dict(self._first.names)
        if self._second:
            names = {self._ids[i]: name for i, name in self._second.names.items()} | names
        objects = [
            {"id": i, "name": name, "colour": COLOURS[n % len(COLOURS)], "visible": True, "locked": True}
            for n, (i, name) in enumerate(sorted(names.items()))
        ]
        timeline = [
            [index, i, "tracked", self._first.score(index, i), extent.area, None, None]
            for index, mask in self._first.frames()
            for i, extent in measure(mask).items()
        ]
        return {
            "mode": "compare" if self._second else "view",
            "film": self.film.describe(),
            "objects": objects,
            "timeline": timeline,
            "names": self._names,
            "settings": {},
        }

    def _mask(self, labels: Labels, index: int) -> IndexMask:
        return labels.masks[index]() if index in labels.masks else np.zeros(self.film.size, np.uint8)

    def _frame(self, index: int) -> dict[str, Any]:
        mask = self._mask(self._first, index)
        extents = measure(mask)
        lengths = encode_objects(mask, extents)
        shown: dict[str, Any] = {
            "frame": index,
            "revision": 0,
            "masks": {i: rle["counts"] for i, rle in lengths.items()},
            "prompts": {},
            "marks": {
                i: ["tracked", self._first.score(index, i), extent.area, None, None]
                for i, extent in extents.items()
            },
        }
        if self._second:
            other = self._mask(self._second, index)
            lengths = encode_objects(other, measure(other))
            shown["other"] = {self._ids[i]: rle["counts"] for i, rle in lengths.items()}
        return shown

    def _matched(self) -> dict[int, int]:
        """Ids of the second result to those of the first: the same where all agree, else by overlap.

        An object without a partner gets an id that the first result does not have.
        """
        assert self._second is not None
        ours, theirs = sorted(self._first.names), sorted(self._second.names)
        if set(theirs) <= set(ours) or set(ours) <= set(theirs):
            return {i: i for i in theirs}
        both, either = np.zeros((len(theirs), len(ours))), np.zeros((len(theirs), len(ours)))
        shared = sorted(set(self._first.masks) & set(self._second.masks))
        for index in shared[:: max(1, len(shared) // MATCHED_FRAMES)]:
            one, two = self._mask(self._first, index), self._mask(self._second, index)
            for row, i in enumerate(theirs):
                for column, j in enumerate(ours):
                    both[row, column] += ((two == i) & (one == j)).sum()
                    either[row, column] += ((two == i) | (one == j)).sum()
        overlap = both / np.maximum(either, 1)
        rows, columns = linear_sum_assignment(-overlap)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        partners = {theirs[r]: ours[c] for r, c in pairs if overlap[r, c] > 0}
        free = iter(range(max(ours, default=0) + 1, 65536))
        return {i: partners.get(i) or next(free) for i in theirs}

    def _frame_scores(self, index: int) -> dict[int, Any]:
        """What the measure says of the second result's objects on a frame, by the first one's ids."""
        if index not in self._scores:
            assert self._second is not None
            one, two = self._mask(self._first, index), self._mask(self._second, index)
            pairs = {mine: (one == mine, two == theirs) for theirs, mine in self._ids.items()}
            self._scores[index] = {
                i: self._measure.look(index, found, truth) for i, (found, truth) in pairs.items()
            }
        return self._scores[index]

    def _score_all(self) -> None:
        assert self._second is not None
        for index in sorted(self._second.masks):
            if self._ended.is_set():
                return
            self._frame_scores(index)

    def _score(self, index: int) -> dict[str, Any]:
        assert self._second is not None
        here = self._frame_scores(index) if index in self._second.masks else {}
        known = [self._scores[i] for i in sorted(self._second.masks) if i in self._scores]
        rows = []
        for i in self._ids.values():
            rows.append(
                {
                    "object": i,
                    "here": self._measure.values([here[i]]) if i in here else None,
                    "all": self._measure.values([scores[i] for scores in known]) if known else None,
                }
            )
        columns = self._measure.columns
        return {"columns": columns, "rows": rows, "done": len(known), "total": len(self._second.masks)}

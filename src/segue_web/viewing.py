"""What stands behind the page of ``segue view``: results to look at, or two to compare."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segue.errors import SegueError
from segue.masks import encode_objects, measure
from segue.types import IndexMask
from segue.video.mask_folder import read_marker
from segue_web import messages
from segue_web.comparing import Comparison
from segue_web.film import Film
from segue_web.labels import read_labels
from segue_web.project import COLOURS
from segue_web.server import Desk


def film_of(results: Path) -> Path:
    """The film that results of segue were made of, by their own record."""
    folder = results / "masks" if (results / "masks").is_dir() else results
    source = (read_marker(folder) or {}).get("settings", {}).get("source") if folder.is_dir() else None
    if not isinstance(source, str) or not Path(source).exists():
        raise SegueError(f"{results}: does not say of which film it is; give --film")
    return Path(source)


class ViewDesk(Desk):
    """Results that are shown, perhaps against a second result or the truth; see :class:`Comparison`."""

    def __init__(
        self, film: Film, results: Path, against: Path | None = None, measure: str | None = None
    ) -> None:
        super().__init__(film)
        self._names = [results.name, against.name if against else ""]
        self._first = read_labels(results, film)
        self._comparison: Comparison | None = None
        if against:
            self._comparison = Comparison(self._first, read_labels(against, film), film.size, measure)
            self._first = self._comparison.first
        self._ended = threading.Event()

    def open(self) -> None:
        """Begin to score all frames."""
        if self._comparison:
            work, compared = self._score_all, (self._comparison,)
            threading.Thread(target=work, args=compared, daemon=True, name="segue-view-score").start()

    def close(self) -> None:
        self._ended.set()
        super().close()

    async def handle(self, message: messages.AnyMessage) -> dict[str, Any]:
        if isinstance(message, messages.Hello):
            return await asyncio.to_thread(self._everything)
        if isinstance(message, messages.Look):
            frames = [index for index in message.frames if index < self.film.count]
            return {"frames": await asyncio.to_thread(lambda: [self._frame(index) for index in frames])}
        if isinstance(message, messages.Score) and self._comparison:
            return {"score": await asyncio.to_thread(self._comparison.score, message.frame)}
        if isinstance(message, messages.Settings | messages.Prepare):
            return {}
        raise SegueError("results are only looked at here; use `segue annotate` with --import to change them")

    def _everything(self) -> dict[str, Any]:
        names = dict(self._first.names)
        if self._comparison:
            others = self._comparison.second.names.items()
            names = {self._comparison.ids[i]: name for i, name in others} | names
        objects = [
            {"id": i, "name": name, "colour": COLOURS[n % len(COLOURS)], "visible": True, "locked": True}
            for n, (i, name) in enumerate(sorted(names.items()))
        ]
        timeline = [
            [index, i, *mark]
            for index, mask in self._first.frames()
            for i, mark in self._marks(index, mask).items()
        ]
        return {
            "mode": "compare" if self._comparison else "view",
            "film": self.film.describe(),
            "objects": objects,
            "timeline": timeline,
            "names": self._names,
            "settings": {},
        }

    def _marks(self, index: int, mask: IndexMask) -> dict[int, list[Any]]:
        """Kind, score, area, weight and agreement by object, as a project has them."""
        extents = measure(mask).items()
        return {i: ["tracked", self._first.score(index, i), extent.area, None, None] for i, extent in extents}

    def _frame(self, index: int) -> dict[str, Any]:
        mask = self._first.mask(index, self.film.size)
        marks = self._marks(index, mask)
        shown = {"frame": index, "revision": 0, "masks": _counts(mask, marks), "prompts": {}, "marks": marks}
        if self._comparison:
            other = self._comparison.second.mask(index, self.film.size)
            counts = _counts(other, measure(other))
            shown["other"] = {self._comparison.ids[i]: text for i, text in counts.items()}
        return shown

    def _score_all(self, comparison: Comparison) -> None:
        for index in sorted(comparison.second.masks):
            if self._ended.is_set():
                return
            comparison.frame_scores(index)


def _counts(mask: IndexMask, ids: Iterable[int]) -> dict[int, str]:
    return {i: rle["counts"] for i, rle in encode_objects(mask, ids).items()}

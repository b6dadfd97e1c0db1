"""A sink: the area of every object on every frame, one line each."""

from __future__ import annotations

from pathlib import Path

from segue.registry import SinkEntry, SinkOptions
from segue.sinks import Sink
from segue.types import Frame, Segmentation


class AreaSink(Sink):
    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, list[str]()

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self._lines += [f"{frame.index},{item.id},{item.area}" for item in segmentation.objects]

    def close(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("\n".join(self._lines) + "\n")


def open_areas(path: Path, options: SinkOptions) -> Sink:
    return AreaSink(path)


AREAS = SinkEntry("areas", "areas.csv", open_areas)

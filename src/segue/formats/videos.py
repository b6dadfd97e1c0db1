"""Videos for readers and writers of formats."""

from __future__ import annotations

import os

from segue.entries.formats import SinkOptions
from segue.errors import SourceError
from segue.formats.labels import Labels
from segue.types import Frame
from segue.utils.inputs import user_path
from segue.video.decoding.damage import DamageError
from segue.video.sources.opening import open_reader


class LabelledVideo:
    """A video file or image folder for readers and writers of formats.

    Args:
        path: the video.

    Attributes:
        name: its name.
        names: name of each image without ending; None of a video file.
        count: number of frames.
        fps: mean frames a second; None where frames have no times.
        size: height and width.
        files: the files that its frames come from.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = user_path(path)
        self._reader = open_reader(self.path)
        reader = self._reader
        self.name, self.names, self.count, self.fps = reader.name, reader.names, reader.count, reader.fps
        self.files = reader.files
        self._times = reader.times()
        self.size: tuple[int, int] = reader.size or self.frame(0).size

    def time(self, index: int) -> float:
        """Seconds from the first frame."""
        return self._times[index]

    def frame(self, index: int) -> Frame:
        """A frame with its image."""
        item = self._reader.load(index)
        try:
            return Frame(index, self.time(index), item.load(), deep=item.deep)
        except DamageError as error:
            raise SourceError(str(error)) from None

    def options(self, labels: Labels, span: range) -> SinkOptions:
        """Options for writers: the video and its labels."""
        files = self._reader.files
        return SinkOptions(
            size=self.size,
            source_size=lambda: self.size,
            names=self.names,
            images=tuple(file.name for file in files) if len(files) == self.count > 1 else None,
            fps=self.fps,
            pixel_aspect=self._reader.pixel_aspect,
            sound=self._reader.sound,
            source=self.name,
            labels=labels,
            span=span,
            count=self.count,
        )

    def close(self) -> None:
        """Close the video."""
        self._reader.close()

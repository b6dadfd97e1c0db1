"""A run that is stopped while a frame is read goes on to the files of a run that was not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.jobs.observer import Observer
from segue.jobs.running import RunCancelledError, open_job, run_open
from segue.jobs.values import ForegroundJob, Model, Outputs, TrackJob, VideoJob, VideoSource
from segue.models.stcn import STCNLite
from segue.prompt_types import MaskPrompt
from segue.types import Frame, Segmentation
from segue.utils.cancel import Cancelled, CancelToken
from segue.video import Source, open_source
from segue.video.decoding.readers import SourceImage
from tests.cli.running import FRAMES, MASKS, contents
from tests.lite import lively_lite

COUNT = 4


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "film").mkdir()
    for number, image in enumerate(FRAMES[:COUNT]):
        Image.fromarray(image).save(tmp_path / f"film/{number}.png")
    return tmp_path / "film"


def each_read(source: Source, call: Callable[[int], None]) -> Source:
    """Call a function while each image of a source is read, with the number of images read so far."""
    read, images = 0, source._reader.images

    def loading(image: SourceImage) -> SourceImage:
        def load() -> np.ndarray:
            nonlocal read
            read += 1
            call(read)
            return image.load()

        return replace(image, load=load)

    def watched(start: int | float = 0) -> Iterator[SourceImage]:
        return map(loading, images(start))

    source._reader.images = watched  # type: ignore[method-assign]
    return source


def track(images: Path, folder: Path, resume: bool, **options: Any) -> TrackJob:
    prompt = MaskPrompt(1, MASKS[3 if options else 0] == 1)
    return TrackJob(
        source=VideoSource(place=str(images)),
        model=Model(name="stcn-lite"),
        prompts=(replace(prompt, frame=3) if options else prompt,),
        options=options,
        device="cpu",
        outputs=Outputs(folder=folder, resume=resume),
    )


def backwards(images: Path, folder: Path, resume: bool) -> TrackJob:
    return track(images, folder, resume, reverse=True)


def two_passes(images: Path, folder: Path, resume: bool) -> ForegroundJob:
    return ForegroundJob(
        source=VideoSource(place=str(images)),
        model=Model(name="median"),
        options={"passes": 2},
        device="cpu",
        outputs=Outputs(folder=folder, resume=resume),
    )


@pytest.mark.parametrize("make", [track, backwards, two_passes])
def test_a_run_that_is_stopped_while_any_frame_is_read_goes_on_to_the_same_files(
    make: Callable[[Path, Path, bool], VideoJob], images: Path, tmp_path: Path, lite: STCNLite
) -> None:
    def run(
        folder: Path, call: Callable[[int], None], token: CancelToken | None = None, resume: bool = False
    ) -> None:
        source = each_read(open_source(images, prefetch=0), call)
        job = make(images, folder, resume)
        if make is not two_passes:
            job = job.model_copy(update={"model": Model.of(lite)})
        run_open(open_job(job, source), cancel=token)

    reads: list[int] = []
    run(tmp_path / "whole", reads.append)
    expected = contents(tmp_path / "whole/masks")
    assert len(expected) == COUNT + 1  # and the marker
    for number in reads:
        token, folder = CancelToken(), tmp_path / f"stopped-{number}"

        def cancel(read: int, token: CancelToken = token, number: int = number) -> None:
            if read == number:
                token.cancel()

        with pytest.raises(RunCancelledError):
            run(folder, cancel, token)
        run(folder, lambda read: None, resume=True)
        assert contents(folder / "masks") == expected, f"stopped at read {number} of {len(reads)}"


class CancelAt(Observer):
    """Cancels a run behind one of all frames of its passes; ``count`` counts them."""

    def __init__(self, number: int | None = None) -> None:
        self.token, self.count_all, self._number = CancelToken(), 0, number

    def count(self, done: int) -> None:
        self.count_all += 1
        if self.count_all == self._number:
            self.token.cancel()

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self.count(0)


@pytest.mark.parametrize("make", [track, backwards, two_passes])
def test_a_run_that_is_stopped_behind_any_frame_goes_on_to_the_same_files(
    make: Callable[[Path, Path, bool], VideoJob], images: Path, tmp_path: Path, lite: STCNLite
) -> None:
    def run(folder: Path, observer: CancelAt, resume: bool = False) -> list[int]:
        read: list[int] = []
        source = open_source(images, start=1, prefetch=0)

        def images_from(start: int | float = 0) -> Iterator[SourceImage]:
            for number in range(int(start), COUNT):
                read.append(number)
                yield source._reader.load(number)

        source._reader.images = images_from  # type: ignore[method-assign]
        job = make(images, folder, resume)
        if make is not two_passes:
            job = job.model_copy(update={"model": Model.of(lite)})
        run_open(open_job(job, source), observer, observer.token)
        return read

    whole = CancelAt()
    run(tmp_path / "whole", whole)
    expected = contents(tmp_path / "whole/masks")
    for number in range(1, whole.count_all + 1):
        observer, folder = CancelAt(number), tmp_path / f"stopped-{number}"
        try:
            run(folder, observer)
        except RunCancelledError:
            assert 0 not in run(folder, CancelAt(), resume=True)
        else:
            assert number == whole.count_all
        assert contents(folder / "masks") == expected, f"stopped behind frame {number}"


@pytest.mark.parametrize("prefetch", [0, 4])
def test_a_source_with_an_end_that_is_stopped_says_so(images: Path, prefetch: int) -> None:
    source = open_source(images, prefetch=prefetch)
    part, frames = source.part(1, 4), iter(source)
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    source.stop()
    with pytest.raises(Cancelled):
        next(frames)
    for stopped in (source, part, source.part(0, 2)):
        with pytest.raises(Cancelled):
            list(stopped)

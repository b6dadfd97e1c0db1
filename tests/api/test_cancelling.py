"""Results that are cancelled or closed by another thread: one error, and a source that can be used again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segue
from segue.api.results import Results
from segue.jobs import RunCancelledError
from segue.models.stcn import STCNLite
from segue.video import Source
from segue.video.decoding.readers import Reader, SourceImage
from segue.video.sources.span import Span
from tests.cli.running import FRAMES, MASKS, contents
from tests.lite import lively_lite

COUNT = 4


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    for number, image in enumerate(FRAMES[:COUNT]):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def source(film: Path) -> Source:
    return segue.open_source(film, prefetch=0)


def calling(source: Source, number: int, call: Callable[[], object]) -> None:
    """Call a function in a thread while an image of a source is read, once."""
    images = source._reader.images
    calls = [call]

    def loading(image: SourceImage) -> SourceImage:
        def load() -> np.ndarray:
            if image.index == number and calls:
                thread = threading.Thread(target=calls.pop())
                thread.start()
                thread.join()
            return image.load()

        return replace(image, load=load)

    def watched(start: int | float = 0) -> Iterator[SourceImage]:
        return map(loading, images(start))

    source._reader.images = watched  # type: ignore[method-assign]


def track(source: Source, lite: STCNLite, **options: Any) -> Results[Any]:
    return segue.track(source, MASKS[0], model=lite, device="cpu", **options)


@pytest.fixture(scope="module")
def undisturbed(
    lite: STCNLite, film: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, dict[str, bytes]]:
    """The files of runs that nothing cancels, forwards and backwards."""
    files = {}
    for reverse in (False, True):
        folder = tmp_path_factory.mktemp("whole")
        saved(segue.open_source(film, prefetch=0), lite, reverse).save(folder, resume=True)
        files[reverse] = contents(folder / "masks")
    return files


def saved(source: Source, lite: STCNLite, reverse: bool) -> Results[Any]:
    """Results that follow two objects from one end of the film to the other."""
    prompts = {COUNT - 1 if reverse else 0: MASKS[0]}
    return segue.track(source, prompts, model=lite, device="cpu", reverse=reverse)


@pytest.mark.parametrize("number", [None, 0, 1, COUNT - 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_saving_that_is_cancelled_raises_its_error(
    source: Source,
    lite: STCNLite,
    undisturbed: dict[bool, dict[str, bytes]],
    tmp_path: Path,
    number: int | None,
    reverse: bool,
) -> None:
    results = saved(source, lite, reverse)
    if number is None:
        results.cancel()
    else:
        calling(source, number, results.cancel)
    with pytest.raises(RunCancelledError):
        results.save(tmp_path / "out")
    assert [frame.index for frame in source] == list(range(COUNT))
    saved(source, lite, reverse).save(tmp_path / "out", resume=True)
    assert contents(tmp_path / "out/masks") == undisturbed[reverse]


@pytest.mark.parametrize("number", [None, 0, 2])
def test_a_loop_that_is_cancelled_raises_its_error(
    source: Source, lite: STCNLite, number: int | None
) -> None:
    results = track(source, lite)
    if number is None:
        results.cancel()
    else:
        calling(source, number, results.cancel)
    with pytest.raises(RunCancelledError):
        list(results)
    assert len(list(track(source, lite))) == COUNT


@pytest.mark.parametrize("prefetch", [0, 4])
def test_a_source_is_used_again_after_a_thread_has_closed_its_results(
    film: Path, lite: STCNLite, prefetch: int
) -> None:
    again = segue.open_source(film, prefetch=prefetch)
    for end in ("close", "cancel"):
        results = track(again, lite)
        calling(again, 2, getattr(results, end))
        taken = []
        try:
            for result in results:
                taken.append(result.index)
        except RunCancelledError:
            assert end == "cancel"
        assert len(taken) <= 2
        assert [frame.index for frame in again] == list(range(COUNT))
        results.cancel()  # of results that have ended
        assert [frame.index for frame in again.part(1, 3)] == [1, 2]
        assert len(list(track(again, lite))) == COUNT


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_the_last_results_stop_too(source: Source, end: str) -> None:
    results = segue.foreground(source, model="median", passes=2)
    assert results.session.lag >= COUNT, "all results come after the last frame"
    taken = []
    try:
        for result in results:
            taken.append(result.index)
            if len(taken) == 2:
                thread = threading.Thread(target=getattr(results, end))
                thread.start()
                thread.join()
    except RunCancelledError:
        assert end == "cancel"
    assert taken == [0, 1]


def test_saving_stops_between_the_last_results(source: Source, tmp_path: Path) -> None:
    def progress(done: int, total: int | None) -> None:
        counts.append(done)
        if done == 2:
            results.cancel()

    counts: list[int] = []
    results = segue.foreground(source, model="median", passes=2, progress=progress)
    assert results.session.lag >= COUNT, "all results come after the last frame"
    with pytest.raises(RunCancelledError):
        results.save(tmp_path / "out")
    assert counts == [1, 2]
    segue.foreground(source, model="median", passes=2).save(tmp_path / "whole")
    segue.foreground(source, model="median", passes=2).save(tmp_path / "out", resume=True)
    assert contents(tmp_path / "out/masks") == contents(tmp_path / "whole/masks")


def test_two_results_share_a_source(source: Source, lite: STCNLite) -> None:
    one, other = track(source, lite), track(source, lite)
    assert (next(one).index, next(other).index) == (0, 0)
    assert next(one).index == 1
    one.cancel()
    with pytest.raises(RunCancelledError):
        next(one)
    other.close()
    assert [frame.index for frame in source] == list(range(COUNT))


class SilentCamera(Reader):
    """A camera that gives no frame before it is interrupted."""

    name = where = "camera"
    once = True
    endless = True

    def __init__(self) -> None:
        self.asked, self.ended = threading.Event(), threading.Event()

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        self.asked.set()
        assert self.ended.wait(60)
        yield from ()

    def interrupt(self) -> None:
        self.ended.set()


@pytest.mark.parametrize("saves", [False, True])
def test_a_camera_that_gives_nothing_is_cancelled(tmp_path: Path, saves: bool) -> None:
    camera = SilentCamera()
    source = Source(camera, Span(), max_size=None, on_damage=None, prefetch=4, warn=print)
    results = segue.foreground(source, model="median")

    def cancel() -> None:
        assert camera.asked.wait(60)
        results.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(RunCancelledError):
        results.save(tmp_path / "out") if saves else next(results)
    thread.join()


def test_results_may_be_closed_by_their_own_callback() -> None:
    def progress(done: int, total: int | None) -> None:
        if done == 2:
            results.close()

    results = segue.foreground(FRAMES, model="median", progress=progress)
    assert len(list(results)) == 2
    with pytest.raises(segue.SegueError, match="closed"):
        list(results)

"""The loop of a run that writes files: interrupted anywhere, it goes on to the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.errors import CheckpointError, PromptError, ResumeError, SourceError
from segue.jobs import frame_loop
from segue.jobs.frame_loop import FIRST_PASS, STATE, FrameRun, first_pass, forget_state
from segue.jobs.opened import Run
from segue.jobs.values import VideoSource
from segue.masks import read_index_mask
from segue.sessions.session import Passes
from segue.sinks import open_sinks
from segue.state import Checkpointable, SessionState, checkpointed
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.cancel import CancelToken
from segue.video import open_source

COUNT = 6
IMAGES = [np.full((4, 5, 3), 10 * number, np.uint8) for number in range(COUNT)]


class Late(Checkpointable):
    """Answers a frame late; each mask says how many frames came before, so that none may be lost."""

    seen: int = checkpointed()
    pending: list[int] = checkpointed()

    def __init__(self, lag: int = 1) -> None:
        self.lag, self.seen, self.pending = lag, 0, []
        self.steps: list[int] = []
        self.after = lambda: None

    def step(self, frame: Frame, prompts: object = None) -> Segmentation | None:
        self.steps.append(frame.index)
        self.seen += 1
        self.pending.append(frame.index)
        self.after()
        return self._result() if len(self.pending) > self.lag else None

    def finish(self) -> Iterator[Segmentation]:
        while self.pending:
            yield self._result()

    def _result(self) -> Segmentation:
        index = self.pending.pop(0)
        mask = np.full((4, 5), 100 * (self.seen - len(self.pending)) + index, np.uint16)
        return Segmentation(index, index / 10, mask, (ObjectInfo(1),))


def opened(
    session: Late,
    frames: Iterable[Frame],
    prompts: Callable[[Frame], Any] = lambda frame: None,
    resume: bool = False,
    endless: bool = False,
) -> Any:
    """A run of some frames."""
    job: Any = SimpleNamespace(outputs=SimpleNamespace(resume=resume))
    source: Any = SimpleNamespace(
        endless=endless,
        original_size=None,
        once=False,
        frame_count=None,
        request=VideoSource(place="squares"),
    )
    run = Run(job, source, session, input_frames=frames)
    run.step = lambda frame: session.step(frame, prompts(frame))
    return run


def taken(
    folder: Path,
    session: Late,
    *,
    resume: bool = False,
    images: Any = None,
    prompts: Callable[[Frame], Any] = lambda frame: None,
    report: Callable[[int], None] = lambda index: None,
    cancel: CancelToken | None = None,
    endless: bool = False,
) -> list[int]:
    """Indices of the frames whose results a run wrote; it raises what the run raises."""
    source = open_source(IMAGES, fps=10)
    outputs = open_sinks(folder, ["png"], source, resume=resume, background=False)
    written: list[int] = []

    def note(frame: Frame, result: Segmentation) -> None:
        assert frame.index == result.index
        written.append(frame.index)
        report(frame.index)

    frames = iter(source) if images is None else images(iter(source))
    with outputs.sink as sink:
        run = opened(session, frames, prompts, resume, endless)
        FrameRun(run, sink, outputs.paths["png"], note).run(cancel)
    return written


def masks(folder: Path) -> list[int]:
    return [int(read_index_mask(path)[0, 0]) for path in sorted((folder / "masks").glob("*.png"))]


@pytest.fixture
def whole(tmp_path: Path) -> list[int]:
    assert taken(tmp_path / "whole", Late()) == list(range(COUNT))
    return masks(tmp_path / "whole")


@pytest.mark.parametrize("stop", range(COUNT))
def test_a_run_that_is_cancelled_goes_on_with_the_next_frame(
    tmp_path: Path, whole: list[int], stop: int
) -> None:
    token, first = CancelToken(), Late()
    first.after = lambda: token.cancel() if len(first.steps) == stop + 1 else None
    with pytest.raises(KeyboardInterrupt):
        taken(tmp_path / "out", first, cancel=token)
    assert first.steps == list(range(stop + 1))
    kept = SessionState.load(tmp_path / "out" / "masks" / STATE).values
    progress = [kept[name] for name in ("next_frame", "waiting", "taken", "done")]
    assert progress == [stop, 1, stop, stop], "the last frame that was taken waits for its result"
    second = Late()
    assert taken(tmp_path / "out", second, resume=True) == list(range(COUNT))
    assert second.steps == list(range(stop + 1, COUNT))
    assert masks(tmp_path / "out") == whole


@pytest.mark.parametrize("broken", [SourceError, PromptError])
def test_results_before_a_failing_frame_are_saved(
    tmp_path: Path, whole: list[int], broken: type[Exception]
) -> None:
    def fail(frame: Frame) -> None:
        if frame.index == 3:
            raise broken("no good")

    with pytest.raises(broken):
        taken(tmp_path / "out", Late(), prompts=fail, endless=broken is PromptError)
    second = Late()
    taken(tmp_path / "out", second, resume=True)
    assert second.steps == [3, 4, 5]
    assert masks(tmp_path / "out") == whole


def test_due_results_are_written_when_a_live_source_breaks_off_or_is_stopped(
    tmp_path: Path,
) -> None:
    written: list[int] = []

    def fail(frame: Frame) -> None:
        if frame.index == 3:
            raise SourceError("the camera is gone")

    taken(tmp_path / "gone", Late(), prompts=fail, endless=True, report=written.append)
    assert written == [0, 1, 2]
    token = CancelToken()
    stopped = taken(
        tmp_path / "stopped",
        Late(),
        cancel=token,
        endless=True,
        report=lambda index: token.cancel() if index == 2 else None,
    )
    assert stopped == [0, 1, 2, 3]


def test_a_run_is_saved_now_and_then_but_saving_takes_a_twentieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    times = SimpleNamespace(monotonic=lambda: clock.now, perf_counter=lambda: clock.now)
    monkeypatch.setattr(frame_loop, "time", times)
    saved: list[int] = []

    class Slow(Late):
        def step(self, frame: Frame, prompts: object = None) -> Segmentation | None:
            clock.now += 10
            return super().step(frame, prompts)

        def state(self, *, copy: bool = True) -> SessionState:
            clock.now += 3
            saved.append(self.seen)
            return super().state(copy=copy)

    session = Slow()
    frames = (Frame(index, index / 10, IMAGES[0]) for index in range(20))
    sink: Any = SimpleNamespace(write=lambda *_: None, flush=lambda: None)
    run = FrameRun(opened(session, frames), sink, tmp_path, lambda *_: None)
    run.run()
    assert (run.steps, run.step_seconds) == (20, 200.0), "without saving"
    # At 30, the first time beyond 20; saved at 33, and not before 60 seconds later.
    assert saved == [3, 10, 17]


def test_a_session_file_that_is_damaged_or_of_other_masks_is_reported(tmp_path: Path) -> None:
    def saved(change: dict[str, Any]) -> None:
        forget_state(tmp_path / "out" / "masks") if (tmp_path / "out").exists() else None
        token, first = CancelToken(), Late()
        first.after = lambda: token.cancel() if len(first.steps) == 4 else None
        with pytest.raises(KeyboardInterrupt):
            taken(tmp_path / "out", first, cancel=token, resume=(tmp_path / "out").exists())
        path = tmp_path / "out" / "masks" / STATE
        state = SessionState.load(path)
        replace(state, values={**state.values, **change}).save(path)

    changes: dict[str, dict[str, Any]] = {"2 masks": {"done": 5}, "damaged": {"taken": None}}
    for named, change in changes.items():
        saved(change)
        with pytest.raises(ResumeError, match=named):
            taken(tmp_path / "out", Late(), resume=True)


class Learning(Checkpointable, Passes):
    """The first of two passes: counts frames."""

    title = "counting"

    number: int = checkpointed(0)

    def __init__(self, count: int = 5) -> None:
        super().__init__()
        self.count, self.learnt = count, list[int]()

    def learning(self) -> Iterator[int]:
        while self.number < self.count:
            self.number += 1
            self.learnt.append(self.number)
            yield self.number

    def second(self) -> Iterator[Frame]:
        raise AssertionError("the first pass alone is tested")


def test_a_first_pass_goes_on_where_it_was_cancelled(tmp_path: Path) -> None:
    token, first, reported = CancelToken(), Learning(), []

    def report(number: int) -> None:
        reported.append(number)
        if number == 2:
            token.cancel()

    with pytest.raises(KeyboardInterrupt):
        first_pass(first, folder=tmp_path, resume=False, report=report, cancel=token)
    assert reported == first.learnt == [1, 2]
    second = Learning()
    first_pass(second, folder=tmp_path, resume=True, report=reported.append)
    assert second.learnt == [3, 4, 5]
    assert reported == [1, 2, 3, 4, 5]
    third = Learning()
    first_pass(third, folder=tmp_path, resume=True, report=reported.append)
    assert third.learnt == [], "it is complete, and saved"
    anew = Learning()
    first_pass(anew, folder=tmp_path, resume=False, report=reported.append)
    assert anew.learnt == [1, 2, 3, 4, 5]
    first_pass(Learning(), folder=None, resume=False, report=reported.append)
    SessionState({}, {}).save(tmp_path / FIRST_PASS)
    with pytest.raises(CheckpointError):
        first_pass(Learning(), folder=tmp_path, resume=True, report=reported.append)
    forget_state(tmp_path)
    assert list(tmp_path.iterdir()) == []

"""What a run writes and reports, whatever its session: cameras, parts, classes, strips, passes before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.entries.events import EventSettings
from segue.errors import PromptError, SinkError, SourceError
from segue.events.sink import Event
from segue.events.zones import Zone
from segue.inference.cpu.features import has_int8
from segue.jobs import read_job, writing
from segue.jobs.observer import Observer
from segue.jobs.opened import Run
from segue.jobs.running import RunCancelledError, run, run_open
from segue.jobs.values import ForegroundJob, InstancesJob, Model, Outputs, TrackJob, VideoJob, VideoSource
from segue.masks import read_index_mask
from segue.options import RuntimeObject
from segue.prompt_types import BoxPrompt
from segue.sessions.session import Passes
from segue.sinks.outputs import default_folder
from segue.state import Checkpointable, SessionState, checkpointed
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils import files
from segue.utils.cancel import CancelToken
from segue.utils.files import locked
from segue.video import Source, open_source
from segue.video.decoding.readers import Reader, SourceImage
from segue.video.sources.images import write_image
from segue.video.sources.span import Span
from tests.kills import dies_at

IMAGES = np.random.default_rng(3).integers(0, 256, (5, 12, 16, 3)).astype(np.uint8)


class Camera(Reader):
    """Gives ten images a second and is lost after the last one, or ends there."""

    name = where = "camera 7"
    endless = True  # type: ignore[assignment]
    once = True
    works_ahead = False

    def __init__(self, breaks: bool = False) -> None:
        self._breaks = breaks
        self.interrupted = False

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        for index, image in enumerate(IMAGES):
            yield SourceImage(index, index / 10, lambda image=image: image)
        if self._breaks:
            raise SourceError("camera 7: lost")

    def interrupt(self) -> None:
        self.interrupted = True


def camera(breaks: bool = False, max_size: int | None = None) -> Source:
    return Source(
        Camera(breaks),
        Span.of(None, None, 1, None),
        max_size=max_size,
        on_damage="stop",
        prefetch=0,
        warn=lambda text: None,
        request=VideoSource(place="7"),
    )


class Squares:
    """A session that finds one object on each frame, which moves to the right; it explains itself."""

    lag, precision = 0, None

    def __init__(self) -> None:
        self.label: str | None = "koi"
        self.explains = False
        self.explanation: Any = None
        self.saved: list[int] = []
        self.steps: list[int] = []

    def explain(self) -> None:
        self.explains = True

    def step(self, frame: Frame, prompts: object = None) -> Segmentation:
        self.steps.append(frame.index)
        mask = np.zeros(frame.image.shape[:2], np.uint8)
        mask[2:8, frame.index : frame.index + 4] = 3
        if self.explains:
            self.explanation = frame.image
        box = (frame.index, 2, frame.index + 4, 8)
        return Segmentation(frame.index, frame.time, mask, (ObjectInfo(3, self.label, 0.5, box, 24),))

    def finish(self) -> Iterator[Segmentation]:
        return iter(())

    def state(self, *, copy: bool = True) -> SessionState:
        return SessionState({}, {})

    def restore(self, state: SessionState) -> None: ...


class Recorder(Observer):
    """Notes what it receives; ``stops`` cancels the run at that frame."""

    def __init__(self, stops: int | None = None) -> None:
        self.calls: list[Any] = []
        self.events: list[Event] = []
        self.token, self._stops = CancelToken(), stops

    def notice(self, text: str) -> None:
        self.calls.append(("notice", text))

    def ready(self, source: Source, zones: Any) -> None:
        self.calls.append(("ready", source.name, [zone.name for zone in zones]))

    def begin(self, what: str, total: int | None) -> None:
        self.calls.append(("begin", what, total))

    def count(self, done: int) -> None:
        self.calls.append(("count", done))

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        assert frame.index == result.index
        self.calls.append((result.index, note))
        if result.index == self._stops:
            self.token.cancel()

    def event(self, event: Event) -> None:
        self.events.append(event)

    def end(self, frames: int, seconds: float) -> None:
        assert seconds > 0
        self.calls.append(("end", frames))

    def written(self, name: str, path: Path) -> None:
        self.calls.append((name, path.name))


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for index, image in enumerate(IMAGES):
        write_image(tmp_path / "video" / f"{index}.png", image)
    return tmp_path / "video"


def foreground(source: object, output: Path | None = None, **fields: Any) -> ForegroundJob:
    outputs = fields.pop("outputs", {})
    return ForegroundJob(
        source=VideoSource(place=str(source)),
        model=Model(name="median"),
        outputs=Outputs(**{"folder": output, "formats": ("png",), **outputs}),
        **fields,
    )


def opened(job: VideoJob, source: Source, frames: Any = None, **fields: Any) -> Any:
    """A run of squares; ``fields`` stand for what a kind of job refines."""
    ready = Run(job, source, Squares(), input_frames=frames)
    ready.note = lambda result: f"{result.mask.max()} seen"
    ready.events = EventSettings(fields.pop("zones", ()))
    for name, value in fields.items():
        setattr(ready, name, value)
    return ready


def test_an_observer_is_told_everything_in_order_and_the_outcome_says_the_same(video: Path) -> None:
    observer = Recorder()
    ready = opened(
        foreground(video, video.parent / "out"),
        open_source(video),
        total=4,
        notice="look",
        zones=(Zone.parse("door=0,0 4,4"),),
        at_end=lambda: {"background": video / "empty.png"},
    )
    written = run_open(ready, observer)
    assert observer.calls == [
        ("notice", "look"),
        ("ready", "video", ["door"]),
        ("begin", "frames", 4),
        *((index, "3 seen") for index in range(5)),
        ("end", 5),
        ("png", "masks"),
        ("background", "empty.png"),
        ("notice", "door: 0 to the right, 0 to the left"),
    ]
    assert written == {"png": video.parent / "out/masks", "background": video / "empty.png"}
    quiet = Recorder()
    run_open(opened(foreground(video, video.parent / "more"), open_source(video)), quiet)
    assert quiet.calls[:2] == [("ready", "video", []), ("begin", "frames", 5)], "there is no notice"


@pytest.mark.parametrize(
    ("kind", "model", "reason"),
    [
        (ForegroundJob, "median", "has no network"),
        (ForegroundJob, "mustan-lite", "is not faster here with less than float32"),
        (TrackJob, "stcn-lite", "is not faster here with less than float32"),
        (InstancesJob, "msstsvis-lite", "is not faster here with less than float32"),
        (InstancesJob, "nanodet+stcn-lite", "is not faster here with less than float32"),
    ],
)
def test_fast_says_where_it_changes_nothing(
    video: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, model: str, reason: str
) -> None:
    monkeypatch.setenv("SEGUE_CPU_WITHOUT", "vnni,bfloat16,amx")
    observer = Recorder()
    prompts = {"prompts": (BoxPrompt(1, (2, 2, 8, 8)),)} if kind is TrackJob else {}
    job = kind(
        source=VideoSource(place=str(video)),
        model=Model(name=model),
        outputs=Outputs(folder=video.parent / "out", formats=("png",)),
        fast=True,
        device="cpu",
        **prompts,
    )
    run(job, observer)
    notices = [call[1] for call in observer.calls if call[0] == "notice"]
    assert f"--fast does not change {model}: it {reason}" in notices


@pytest.mark.skipif(not has_int8(), reason="no 8-bit integers here")
@pytest.mark.parametrize("model", ["mustan-lite", "median"])
def test_fast_says_nothing_where_it_is_faster(video: Path, model: str) -> None:
    observer = Recorder()
    job = foreground(video, video.parent / "out", fast=True, device="cpu")
    run(job.model_copy(update={"model": Model(name=model)}), observer)
    said = any("--fast" in call[1] for call in observer.calls if call[0] == "notice")
    assert said == (model == "median")


def test_results_go_where_the_source_is_called_if_nobody_says(video: Path) -> None:
    assert default_folder(open_source(video).name) == Path("segue-out/video")
    written = run_open(opened(foreground(video), open_source(video)))
    assert written == {"png": Path("segue-out/video/masks")}
    record = video.parent / "segue-out/video/job.json"
    assert read_job(record).kind == "foreground"
    assert len(record.read_text().splitlines()) > 20, "people read it too"
    with pytest.raises(SinkError):
        run_open(opened(foreground(video), open_source(video)))
    again = foreground(video, outputs={"overwrite": True})
    assert len(list(run_open(opened(again, open_source(video)))["png"].glob("*.png"))) == 5


def test_events_of_zones_go_to_their_file_the_observer_and_snapshots(video: Path) -> None:
    observer = Recorder()
    events, shots = video.parent / "said" / "events.csv", video.parent / "shots"
    events.parent.mkdir()
    job = foreground(video, video.parent / "out", events=events, snapshots=shots)
    named: list[Any] = []

    def name_object(image: Any, box: Any) -> tuple[str, float]:
        named.append(box)
        return "koi", 0.75

    zones = (Zone.parse("door=0,0 16,0 16,12 0,12"),)
    ready = opened(job, open_source(video), zones=zones, name_object=name_object)
    ready.session.label = None
    written = run_open(ready, observer)
    assert written["events"] == events
    assert {event.event for event in observer.events} >= {"enter", "zone-enter", "end"}
    assert {event.zone for event in observer.events if event.event == "zone-enter"} == {"door"}
    assert len(events.read_text().splitlines()) == 1 + len(observer.events)
    assert list(shots.iterdir())
    assert named
    assert {event.label for event in observer.events if event.event == "end"} == {"koi"}


@pytest.mark.parametrize("live", [True, False])
def test_zones_masks_and_boxes_are_in_pixels_of_the_camera_and_not_of_reduced_images(
    video: Path, live: bool
) -> None:
    observer = Recorder()
    ready = opened(
        foreground(7 if live else video, video.parent / "out", events=video.parent / "events.csv"),
        camera(max_size=8) if live else open_source(video, max_size=8),
        zones=(Zone.parse("there=9,10 16,10 16,12 9,12"),),  # outside of an image of 8x6
    )
    ready.step = lambda frame: Segmentation(
        frame.index, frame.time, np.pad(np.full((3, 2), 3, np.uint8), ((3, 0), (5, 1))), (ObjectInfo(3),)
    )
    run_open(ready, observer)
    assert read_index_mask(min((video.parent / "out/masks").glob("*.png"))).shape == (12, 16)
    (entered,) = [event for event in observer.events if event.event == "zone-enter"]
    assert (entered.zone, entered.x0, entered.y0, entered.x1, entered.y1) == ("there", 10, 6, 14, 12)


def test_a_camera_that_is_lost_leaves_what_it_gave_complete_and_is_told(tmp_path: Path) -> None:
    observer = Recorder()
    finished: list[int] = []
    ready = opened(
        foreground(7, tmp_path / "out"), camera(breaks=True), at_end=lambda: finished.append(1) or {}
    )
    with pytest.raises(SourceError):
        run_open(ready, observer)
    assert len(list((tmp_path / "out/masks").glob("*.png"))) == 5
    assert (tmp_path / "out/job.json").exists()
    assert observer.calls[-2:] == [("end", 5), ("png", "masks")]
    assert not finished, "the job could not mean what it says"


def test_runs_whose_tables_share_a_store_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.01)
    job = foreground(7, tmp_path / "out", events=tmp_path / "gate.json")
    with locked([tmp_path / "gate.db"]), pytest.raises(SinkError, match="another run"):
        run_open(opened(job, camera()))
    run_open(opened(job, camera()))
    assert (tmp_path / "gate.json").is_file()


@pytest.mark.parametrize("breaks", [False, True])
def test_a_token_that_outlives_a_run_does_not_reach_its_source(
    breaks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, source, stopped = CancelToken(), camera(breaks), list[bool]()
    monkeypatch.setattr(source, "stop", lambda: stopped.append(True))
    with nullcontext() if not breaks else pytest.raises(SourceError):
        run_open(opened(foreground(7, tmp_path / "out"), source), cancel=token)
    token.cancel()
    assert not stopped


def test_a_video_that_breaks_off_leaves_nothing_complete(video: Path) -> None:
    def broken() -> Iterator[Frame]:
        yield Frame(0, 0.0, IMAGES[0])
        raise SourceError("the disk is gone")

    with pytest.raises(SourceError):
        run_open(opened(foreground(video, video.parent / "out"), open_source(video), broken()))
    assert not (video.parent / "out/job.json").exists()


def test_a_camera_writes_parts_with_a_record_and_places_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = iter(("one", "two", "three"))
    monkeypatch.setattr(writing, "part_name", lambda: next(parts))
    job = foreground(
        7,
        tmp_path / "out",
        outputs={"rotate": "0.2s", "formats": ("png", "overlay")},
        events=tmp_path / "events.csv",
        snapshots=tmp_path / "shots",
    )
    run_open(opened(job, camera()))
    for part, indices in (("one", [0, 1]), ("two", [2, 3]), ("three", [4])):
        masks = sorted((tmp_path / "out" / part / "masks").glob("*.png"))
        assert [int(path.stem) for path in masks] == indices
        assert read_job(tmp_path / "out" / part / "job.json").kind == "foreground"
        assert (tmp_path / f"events-{part}.csv").exists()
        assert (tmp_path / "shots" / part).is_dir()
        with open_source(tmp_path / "out" / part / "overlay.mp4") as drawn:
            assert next(iter(drawn)).time < 0.1, "each part begins at 0"
    assert not (tmp_path / "out/job.json").exists()
    assert not (tmp_path / "events.csv").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a child process")
def test_the_next_run_removes_what_a_killed_one_has_left_of_its_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "part_name", lambda: "20261121T205300Z")
    job = foreground(
        7,
        tmp_path / "out",
        outputs={"rotate": "0.2s", "formats": ("png", "overlay")},
        events=tmp_path / "events.csv",
        snapshots=tmp_path / "shots",
    )

    def hidden() -> list[str]:
        names = [path.name for path in tmp_path.rglob(".*") if path.suffix in (".lock", ".partial")]
        return sorted(names)

    number = 20
    while not {".lock", ".partial"} <= {Path(name).suffix for name in hidden()}:
        number += 3
        assert dies_at(number, tmp_path, lambda: run_open(opened(job, camera())))
    others = [tmp_path / ".notes.csv.1a2b3c4d.partial", tmp_path / ".notes.csv.lock"]
    for path in others:
        path.touch()
    run_open(opened(job, camera()))
    assert hidden() == sorted(path.name for path in others)


@pytest.mark.parametrize(
    ("live", "outputs", "kind", "message"),
    [
        (False, {"rotate": "10min"}, SourceError, "has an end; --rotate is for cameras"),
        (True, {"resume": True}, SourceError, "what a live source gave is gone"),
        (True, {"rotate": "soon"}, SourceError, "--rotate.*a time above 0"),
    ],
)
def test_outputs_that_a_source_cannot_have_are_refused_before_writing(
    live: bool, outputs: dict[str, Any], kind: type[Exception], message: str, video: Path
) -> None:
    source = camera() if live else open_source(video)
    with pytest.raises(kind, match=message):
        run_open(opened(foreground("7" if live else video, video.parent / "out", outputs=outputs), source))
    assert not (video.parent / "out").exists()


@pytest.mark.parametrize(
    ("formats", "saves", "hint"),
    [
        (("png",), True, "--resume to go on"),
        (("png",), False, "--resume to go through it again"),
        (("coco",), True, "without the format png there is nothing to resume from"),
    ],
)
def test_an_interrupted_run_says_how_to_go_on(
    formats: tuple[str, ...], saves: bool, hint: str, video: Path
) -> None:
    def saved(job: VideoJob, saves: bool) -> Any:
        ready = opened(job, open_source(video))
        ready.session.restorable = saves
        return ready

    observer = Recorder(stops=2)
    job = foreground(video, video.parent / "out", outputs={"formats": formats})
    with pytest.raises(RunCancelledError, match=hint):
        run_open(saved(job, saves), observer, observer.token)
    state = video.parent / "out/masks/.segue.session.safetensors"
    assert state.exists() == (saves and "png" in formats)
    if "png" in formats:
        going_on = foreground(video, video.parent / "out", outputs={"resume": True})
        ready = saved(going_on, saves)
        assert len(list(run_open(ready)["png"].glob("*.png"))) == 5
        assert ready.session.steps == ([3, 4] if saves else [0, 1, 2, 3, 4])
        assert not state.exists(), "the run is complete"


def test_images_in_memory_cannot_be_gone_on_with(tmp_path: Path) -> None:
    plain = foreground("x", tmp_path / "out")
    job = plain.model_copy(update={"source": VideoSource(place=None, frames=RuntimeObject(type="list"))})
    observer = Recorder(stops=2)
    with pytest.raises(RunCancelledError):
        run_open(opened(job, open_source(list(IMAGES))), observer, observer.token)
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    resumed = job.model_copy(update={"outputs": job.outputs.model_copy(update={"resume": True})})
    with pytest.raises(SinkError):
        run_open(opened(resumed, open_source(list(IMAGES))))


class Twice(Checkpointable, Passes):
    """Looks at all frames before they are segmented."""

    title = "looking"

    _done: int = checkpointed(0)

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def learning(self) -> Iterator[int]:
        while self._done < 5:
            self._done += 1
            yield self._done

    def second(self) -> Iterator[Frame]:
        assert self._done == 5
        yield from self._source


def test_a_pass_that_goes_before_is_counted_cancelled_and_gone_on_with(video: Path) -> None:
    class Impatient(Recorder):
        def count(self, done: int) -> None:
            super().count(done)
            if done == 2:
                self.token.cancel()

    observer = Impatient()
    job = foreground(video, video.parent / "out")
    source = open_source(video)
    with pytest.raises(RunCancelledError):
        run_open(opened(job, source, Twice(source)), observer, observer.token)
    assert observer.calls == [("ready", "video", []), ("begin", "looking", 5), ("count", 1), ("count", 2)]
    later, source = Recorder(), open_source(video)
    going_on = foreground(video, video.parent / "out", outputs={"resume": True})
    passes = Twice(source)
    passes.total = 7
    run_open(opened(going_on, source, passes), later)
    assert later.calls[1:6] == [
        ("begin", "looking", 7),
        *(("count", done) for done in (3, 4, 5)),
        ("begin", "frames", 5),
    ]
    assert not list((video.parent / "out").rglob("*.safetensors"))


def test_errors_at_the_end_of_a_job_leave_its_results(video: Path) -> None:
    def refuse() -> dict[str, Path]:
        raise PromptError("there is a prompt for frame 9")

    with pytest.raises(PromptError):
        run_open(opened(foreground(video, video.parent / "out"), open_source(video), at_end=refuse))
    assert read_index_mask(video.parent / "out/masks/4.png").max() == 3


def test_a_source_without_frames_is_refused(video: Path) -> None:
    job: VideoJob = foreground(video, video.parent / "out")
    with pytest.raises(SourceError):
        run_open(opened(job, open_source(video), iter(())))

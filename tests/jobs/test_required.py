"""Jobs that write the results of some frames only."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from segue.errors import PromptError
from segue.jobs import run
from segue.jobs.running import RunCancelledError
from segue.jobs.values import Model, Outputs, TrackJob, TrackOptions, VideoSource
from segue.masks import read_index_mask
from segue.prompt_types import MaskPrompt
from segue.sessions import TrackSession
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from tests.clips import clip

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FRAMES, MASKS = clip(5, 11, 48, 64, 2)


def job_of(tmp_path: Path, folder: str, required: tuple[int, ...]) -> TrackJob:
    (tmp_path / "video").mkdir(exist_ok=True)
    for index, image in enumerate(FRAMES):
        Image.fromarray(image).save(tmp_path / "video" / f"{index:05d}.png")
    return TrackJob(
        source=VideoSource(place=str(tmp_path / "video")),
        model=Model(name="stcn-lite"),
        outputs=Outputs(folder=tmp_path / folder, formats=("png",), resume=True),
        device="cpu",
        prompts=MaskPrompt.each(MASKS[0], 0),
        required=required,
        options=TrackOptions(mem_every=3, include_last=False),
    )


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: read_index_mask(path).tobytes() for path in sorted(folder.rglob("0*.png"))}


def test_a_run_with_gaps_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job_of(tmp_path, "whole", (0, 5, 10)))
    whole = masks(tmp_path / "whole")
    assert list(whole) == ["00000.png", "00005.png", "00010.png"]
    skip, step = TrackSession.skip, TrackSession.step
    for stop in (2, 5, 6, 7):  # passed over, a result, memory alone, the frame behind it
        token = CancelToken()

        def cancels(frame: Frame, stop: int = stop, token: CancelToken = token) -> None:
            if frame.index == stop:
                token.cancel()

        def skipped(session: TrackSession, frame: Frame) -> None:
            skip(session, frame)
            cancels(frame)

        def stepped(session: TrackSession, frame: Frame, *said: object, **how: object) -> Segmentation:
            cancels(frame)
            return step(session, frame, *said, **how)  # type: ignore[arg-type]

        job = job_of(tmp_path, f"broken-{stop}", (0, 5, 10))
        with monkeypatch.context() as patched:
            patched.setattr(TrackSession, "skip", skipped)
            patched.setattr(TrackSession, "step", stepped)
            with pytest.raises(RunCancelledError):
                run(job, cancel=token)
        assert len(masks(tmp_path / f"broken-{stop}")) == (1 if stop < 5 else 2)
        run(job)
        assert masks(tmp_path / f"broken-{stop}") == whole, stop


def test_a_result_of_a_frame_that_the_video_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="frame 11"):
        run(job_of(tmp_path, "out", (0, 11)))

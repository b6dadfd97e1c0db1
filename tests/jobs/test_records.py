"""What a job may replace, and what its record says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import PromptError
from segue.jobs.record import identified, record, write_record
from segue.jobs.values import ForegroundJob, Model, Outputs, TrackJob, VideoSource
from segue.prompt_types import BoxPrompt
from segue.utils.redaction import add_secret


def track(**fields: Any) -> TrackJob:
    plain = {"source": VideoSource(place="videos/dog.mp4"), "model": Model(name="stcn-lite")}
    return TrackJob(**{**plain, **fields})


def foreground(**fields: Any) -> ForegroundJob:
    plain = {"source": VideoSource(place="videos/dog.mp4"), "model": Model(name="median")}
    return ForegroundJob(**{**plain, **fields})


def test_a_record_says_nothing_of_places_and_passwords(tmp_path: Path) -> None:
    job = foreground(
        source=VideoSource(place="rtsp://me:secret@camera/1?token=abc", start=3),
        device="cuda:1",
        notify="https://me:secret@example.org/hook?key=abc",
        roi="s3://me:secret@bucket/roi.png",
        outputs=Outputs(folder="out", formats=("png",), overwrite=True, side_by_side=True, rotate="90s"),
    )
    found = record(job)
    assert found["device"] is None
    assert found["outputs"] == {
        "formats": ["png"],
        "side_by_side": True,
        "sound": True,
        "whole": False,
        "rotate": "90s",
    }
    assert found["source"]["start"] == 3
    assert "secret" not in json.dumps(found)
    assert found["source"]["place"].startswith("rtsp://")
    assert [text.startswith("https://") for text in found["notify"]] == [True]
    (tmp_path / "video.mp4").write_bytes(b"video")
    here = str(tmp_path / "video.mp4")
    fetched = identified(track(source=VideoSource(place=here, origin="s3://key:secret@bucket/video.mp4")))
    assert fetched.source.identity is not None
    source = record(fetched)["source"]
    assert source["identity"] is None
    assert source["place"] == source["origin"]
    assert "video.mp4" in source["place"]
    assert "secret" not in source["place"]
    plain = record(track())
    assert plain["source"]["place"] == "videos/dog.mp4"
    assert plain["source"]["origin"] is None


def test_a_record_shows_no_secret_wherever_it_stands(tmp_path: Path) -> None:
    add_secret("a/b secret")
    job = foreground(
        source=VideoSource(place="rtsp://camera/user=admin&password=geheim&channel=1"),
        notify="https://hooks.example.org/a%2Fb%20secret",
        zones=("door a/b secret=0,0 9,0 9,9",),
    )
    write_record(job, tmp_path, {})
    path = tmp_path / "job.json"
    text = path.read_text()
    assert "geheim" not in text
    assert "secret" not in text
    assert text.count("***") == 4
    assert "channel=1" in text
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Images of 40 rows and 60 columns."""
    from segue.video.sources.images import write_image

    for t in range(3):
        write_image(tmp_path / "video" / f"{t:03d}.png", np.full((40, 60, 3), t, np.uint8))
    return tmp_path / "video"


def test_invalid_prompts_raise_prompt_errors(video: Path) -> None:
    with pytest.raises(PromptError, match=r"prompts\.0\.box\.box\[2\] is nan"):
        segue.track(video, {0: [BoxPrompt(1, (0, 0, float("nan"), 5))]})

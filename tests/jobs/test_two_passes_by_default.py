"""Videos in files are gone through twice by networks that gain by it, unless something else is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segue
from segue.errors import SegueError
from segue.models.mustan_lite import MustanLite
from segue.sessions.foreground.two_passes import TwoPasses

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    for index, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{index:03d}.png")
    return tmp_path


def twice(source: Any, model: Any = None, scene: Any = "median", **options: Any) -> bool:
    model = MustanLite().eval() if model is None else model
    return isinstance(segue.foreground(source, model=model, scene=scene, **options).frames, TwoPasses)


def test_files_are_gone_through_twice(video: Path) -> None:
    assert twice(video)
    assert twice(video, passes=2)
    assert not twice(video, passes=1)


@pytest.mark.parametrize(
    ("given", "followed"),
    [
        ({"passes": 1}, True),
        ({"passes": 2}, True),
        ({"passes": 1, "follow_camera": "never"}, False),
        ({"passes": 1, "scene": IMAGES[0]}, False),
        ({"passes": 1, "model": "median"}, False),
    ],
)
def test_a_camera_that_pans_is_followed_by_default(
    video: Path, given: dict[str, Any], followed: bool
) -> None:
    others = {name: given.pop(name) for name in ("scene", "model") if name in given}
    model = others.get("model", MustanLite().eval())
    scene = others.get("scene", "median")
    session = segue.foreground(video, model=model, scene=scene, **given).session
    assert ("follow" in session._stages.names) == followed


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("mog2", {"scene": IMAGES[0]}),
        ("difference", {"scene": IMAGES[0]}),
        ("median", {"shadows": True}),
        ("mog2", {"flow": "dis"}),
        ("mustan-lite", {"flow": "dis"}),
        ("mog2", {"detector": "maskrcnn"}),
        ("mog2", {"detector_classes": "person"}),
    ],
)
def test_an_option_without_effect_is_refused(video: Path, model: str, given: dict[str, Any]) -> None:
    with pytest.raises(SegueError, match="flow" if "flow" in given else next(iter(given))):
        segue.foreground(video, model=model, **given)


def test_the_default_gives_what_two_passes_give(video: Path) -> None:
    model = MustanLite().eval()
    usual, asked = (
        [result.mask for result in segue.foreground(video, model=model, device="cpu", **options)]
        for options in ({}, {"passes": 2})
    )
    assert len(usual) == len(asked) == 3
    assert all(np.array_equal(one, other) for one, other in zip(usual, asked, strict=True))

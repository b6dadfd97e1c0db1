"""The stages that a foreground session runs: by its model, its camera and its passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from segue.errors import ArgumentError, SegueError
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.video_scenes import LearntBackground
from segue.sessions.foreground.segmenters.base import NetworkSegmenter, Segmenter
from segue.sessions.foreground.stages.align import Alignment
from segue.sessions.foreground.stages.average import MotionAverage
from segue.sessions.foreground.stages.base import Stage, StageList
from segue.sessions.foreground.stages.blur import ReferenceBlur
from segue.sessions.foreground.stages.contrast import Contrast
from segue.sessions.foreground.stages.exposure import Exposure
from segue.sessions.foreground.stages.follow import CameraFollower
from segue.sessions.foreground.stages.lights import Lights
from segue.sessions.foreground.stages.rain import Precipitation
from segue.sessions.foreground.stages.shadows import Shadows
from segue.types import FollowCamera
from segue.utils.inputs import check_choice

STAGES: dict[str, Callable[[Segmenter], Stage]] = {
    "align": lambda segmenter: Alignment(),
    "exposure": lambda segmenter: Exposure(),
    "blur": lambda segmenter: ReferenceBlur(),
    "shadows": lambda segmenter: Shadows(segmenter.threshold),
    "lights": lambda segmenter: Lights(segmenter.threshold),
    "rain": lambda segmenter: Precipitation(segmenter.threshold),
    "contrast": lambda segmenter: Contrast(),
}
"""Stages that a model asks for, see :class:`segue.models.base.ForegroundCapabilities`, outermost first."""

NAMES = ("follow", "average", *STAGES)
"""All stages: the first two belong to a camera that pans, and to two passes."""

OF_THE_SCENE = ("exposure", "blur", "contrast")
"""Stages without effect on models that do not look at the empty scene."""


def stages_for(
    segmenter: Segmenter,
    background: Background,
    follow: FollowCamera | None = None,
    without: Collection[str] = (),
) -> StageList:
    """The stages of a session, outermost first."""
    left_out = checked(without)

    def select() -> Iterator[Stage]:
        twice = isinstance(background, LearntBackground) and background.of_this_video
        if twice:
            yield CameraFollower(segmenter.offsets, always=True, segmenter=segmenter)
        elif follow not in (None, "never") and not background.collects:
            yield _follower(segmenter, follow)
        for name, make in STAGES.items():
            if name in segmenter.stages and (segmenter.uses_background or name not in OF_THE_SCENE):
                yield make(segmenter)
            if name == "align" and twice:
                yield MotionAverage()

    return StageList(stage for stage in select() if stage.name not in left_out)


def checked(without: Collection[str]) -> frozenset[str]:
    """Names of stages to leave out, if there are such stages."""
    if isinstance(without, str):
        raise ArgumentError(f"without: give a list of names, [{without!r}]")
    if unknown := sorted(set(without) - set(NAMES)):
        raise ArgumentError(f"without: no stage {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return frozenset(without)


def followed(follow: FollowCamera | None, without: Collection[str]) -> FollowCamera:
    """How the camera is followed."""
    follow = follow or "never"
    check_choice("follow_camera", follow, FollowCamera, ArgumentError)
    return "never" if "follow" in checked(without) else follow


def _follower(segmenter: Segmenter, follow: FollowCamera | None) -> CameraFollower:
    if not isinstance(segmenter, NetworkSegmenter):
        raise SegueError(
            "follow_camera is for networks: mog2, knn, median and difference need a still camera"
        )
    return CameraFollower(segmenter.offsets, always=follow != "auto")

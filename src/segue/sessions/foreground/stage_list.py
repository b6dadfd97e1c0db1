"""Select the stages of a foreground session by model, camera and passes."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from segue.errors import ArgumentError, SegueError
from segue.registry import STAGES, StageEntry
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.video_scenes import LearntBackground
from segue.sessions.foreground.segmenters.base import NetworkSegmenter, Segmenter
from segue.sessions.foreground.stages.average import MotionAverage
from segue.sessions.foreground.stages.base import Stage, StageList
from segue.sessions.foreground.stages.entries import checked
from segue.sessions.foreground.stages.follow import CameraFollower
from segue.types import FollowCamera
from segue.utils.inputs import check_choice


def stages_for(
    segmenter: Segmenter,
    background: Background,
    follow: FollowCamera | None = None,
    without: Collection[str] = (),
    extra: Collection[str] = (),
) -> StageList:
    """Stages of a session, outermost first: those of its model, and further ones by name."""
    left_out = checked(without)
    requested = {*segmenter.stages, *(STAGES.find(name).name for name in extra)}

    def select() -> Iterator[Stage]:
        twice = isinstance(background, LearntBackground) and background.of_this_video
        if twice:
            yield CameraFollower(segmenter.offsets, always=True, segmenter=segmenter)
        elif follow not in (None, "never") and not background.collects:
            yield _follower(segmenter, follow)
        for name in STAGES.names:
            if name in requested and name not in left_out:
                yield from _built(STAGES.find(name), segmenter)
            if name == "align" and twice:
                yield MotionAverage()

    return StageList(stage for stage in select() if stage.name not in left_out)


def _built(entry: StageEntry, segmenter: Segmenter) -> Iterator[Stage]:
    """Build the stage of an entry, unless it would have no effect."""
    if entry.of_scene and not segmenter.uses_background:
        return
    stage = entry.build(segmenter)
    if not isinstance(stage, Stage) or stage.name != entry.name:
        raise ArgumentError(f"stage {entry.name}: its entry builds {stage!r}; give a Stage of that name")
    yield stage


def followed(follow: FollowCamera | None, without: Collection[str]) -> FollowCamera:
    """Camera mode of a session."""
    follow = follow or "never"
    check_choice("follow_camera", follow, FollowCamera, ArgumentError)
    return "never" if "follow" in checked(without) else follow


def _follower(segmenter: Segmenter, follow: FollowCamera | None) -> CameraFollower:
    if not isinstance(segmenter, NetworkSegmenter):
        raise SegueError(
            "follow_camera is for networks: mog2, knn, median and difference need a still camera"
        )
    return CameraFollower(segmenter.offsets, always=follow != "auto")

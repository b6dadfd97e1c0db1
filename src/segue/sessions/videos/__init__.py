"""Sessions of videos whose frames can be tracked in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segue.sessions.track import TrackSession
    from segue.sessions.videos.session import VideoSession
    from segue.video import Source


def open_video_session(
    session: TrackSession,
    source: Source,
    frames: Sequence[int],
    size: tuple[int, int],
    *,
    keep_corrections: bool = True,
) -> VideoSession:
    """Open a video with the network of a session.

    Args:
        session: has the network, its schedule, its prompter and their options.
        source: the video, whose frames can be read in any order.
        frames: indices of its frames, ascending.
        size: height and width of the frames.
        keep_corrections: corrected frames keep their masks, overriding the schedule of a network
            that takes prompts itself.

    Returns:
        A session without objects.
    """
    from segue.sessions.videos.masks import MaskVideoSession
    from segue.sessions.videos.prompted import PromptedVideoSession

    if PromptedVideoSession.takes(session):
        return PromptedVideoSession(session, source, frames, size, keep_corrections=keep_corrections)
    return MaskVideoSession(session, source, frames, size)

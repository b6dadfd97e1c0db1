"""Video of a project: path and content digest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segue.errors import SegueError
from segue.utils.notices import notice
from segue.video.sources.identity import content_digest, has_content

SourceRecord = Mapping[str, str]
"""``path`` of a video and ``digest`` of its content, which earlier versions did not save."""


def source_record(video: Path) -> SourceRecord:
    """Record of a video for a project."""
    return {"path": str(video.absolute()), "digest": content_digest(video)}


def check_source(folder: Path, recorded: SourceRecord | None, video: Path) -> None:
    """Raise SegueError unless a project belongs to a video.

    The digest decides; a project of an earlier segue without one is of the video at its path.
    """
    if recorded is None:
        notice(f"{folder}: an earlier segue made this project and saved no video; it is taken for {video}")
        return
    same_path = Path(recorded["path"]).resolve() == video.resolve()
    if "digest" not in recorded:
        if not same_path:
            _refuse(folder, f"of {recorded['path']}, made by an earlier segue, which saved no digest of it")
    elif not has_content(video, recorded["digest"]):
        changed = f"of {video} as it was before it changed"
        _refuse(folder, changed if same_path else f"of another video, {recorded['path']}")


def _refuse(folder: Path, of: str) -> None:
    raise SegueError(
        f"{folder}: a project {of}; choose another folder with --project, or give --adopt if the masks fit "
        "this video, too"
    )

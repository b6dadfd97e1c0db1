"""Convert decoded frames in the calling thread."""

from __future__ import annotations

from typing import Any

from av.video.reformatter import VideoReformatter

ONE_THREAD: dict[str, Any] = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
"""Arguments with which PyAV converts a frame in the thread that asks. Newer versions else begin threads for
each frame, which takes ten times as long at 240p, and a fork that frees a frame waits for them for ever."""

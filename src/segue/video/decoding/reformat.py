"""Convert decoded frames in the calling thread."""

from __future__ import annotations

from typing import Any

from av.video.reformatter import VideoReformatter

ONE_THREAD: dict[str, Any] = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
"""Arguments for converting a frame with PyAV in the calling thread. Newer versions otherwise start threads
for each frame, which takes ten times as long at 240p, and a fork that frees a frame waits for ever."""

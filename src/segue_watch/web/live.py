"""States and newest images of cameras for open pages."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import Field

from segue.utils.extras import requires_extra
from segue_watch.camera import Camera
from segue_watch.web.metrics import states_of
from segue_web.server.messages import Count, PageRequest, ShortText

with requires_extra("web"):
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool

    from segue_web.server.hub import Answer, Hub, Page, call

MAX_REQUESTS = 8
"""Maximum number of requests of a page that are answered at once."""

MAX_PAGES = 32
"""Maximum number of open pages; each holds a connection, of which programs need some, too."""

MAX_WAITING = 16 << 20
"""Maximum bytes that wait for a page; one that does not read them is disconnected."""

NEXT_SECONDS = 2.0
"""Maximum seconds that a request waits for the next image."""

PAUSE = 0.02
"""Minimum seconds between two answers with images of a page."""

STATES_SECONDS = 1.0
"""Seconds between two states of the cameras that pages get."""

WIDTHS = 160, 320, 640, 1280
"""Widths of live images; each is encoded once for all viewers."""

Seen = Annotated[dict[ShortText, Count], Field(max_length=1000)]
"""Number of the last frame that a page has, by camera."""


class LiveCameras:
    """Publishes the states of cameras, and sends their newest images on request.

    Args:
        cameras: cameras; each iteration gives the current ones.

    Attributes:
        hub: open pages; its ``changed`` is to be called when a camera has a new frame.
    """

    def __init__(self, cameras: Iterable[Camera]) -> None:
        self._cameras = cameras
        self._ordered = asyncio.Lock()  # pages get states in the order in which they were computed
        self.hub = Hub(self._answer, max_pages=MAX_PAGES, max_requests=MAX_REQUESTS, max_waiting=MAX_WAITING)

    async def publish_states(self) -> None:
        """Publish the states of all cameras; an error is printed, as the next ones follow."""
        if not self.hub.pages:
            return
        try:
            self.hub.publish({"event": "states", **await self._states()})
        except Exception as error:
            traceback.print_exception(error)

    @asynccontextmanager
    async def life(self, _: Starlette) -> AsyncIterator[None]:
        """Publish states regularly while the page is served."""
        publishing = asyncio.create_task(self._publish_regularly())
        yield
        publishing.cancel()

    async def _publish_regularly(self) -> None:
        while True:
            await asyncio.sleep(STATES_SECONDS)
            await self.publish_states()

    async def _answer(self, request: PageRequest, _: Page) -> Answer | Mapping[str, Any]:
        functions: dict[str, Callable[..., Any]] = {"states": self._states, "images": self._images}
        answer: Answer | Mapping[str, Any] = await call(functions, request.op, request.model_extra or {})
        return answer

    async def _states(self) -> dict[str, Any]:
        async with self._ordered:
            return {"states": await run_in_threadpool(states_of, self._cameras)}

    async def _images(self, seen: Seen, camera: ShortText = "", width: Count = 0) -> Answer:
        """Newest images of one camera or, without a name, of all, as soon as there is a new one.

        ``width``: least width in pixels; 0 for full size. The data are the JPEGs, one after the other.
        """
        await asyncio.sleep(PAUSE)
        await self.hub.wait_for(lambda: self._unseen(seen, camera), NEXT_SECONDS)
        encoded_width = next((each for each in WIDTHS if each >= width), None) if width else None
        heads, images = [], []
        for each in self._unseen(seen, camera):
            number, image = await run_in_threadpool(each.numbered_image, encoded_width)
            if image:
                heads.append({"camera": each.name, "frame": number, "bytes": len(image)})
                images.append(image)
        return Answer({"images": heads}, b"".join(images) if images else None)

    def _unseen(self, seen: Mapping[str, int], name: str) -> list[Camera]:
        """Cameras with a frame that a page does not have."""
        return [
            camera
            for camera in self._cameras
            if name in ("", camera.name) and camera.num_frames not in (0, seen.get(camera.name, 0))
        ]

"""Page of a running job: shows the newest frame, compressed once for all viewers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segue.events.deliveries import Notifiers
from segue.events.table import Event
from segue.events.zones import Zone
from segue.jobs.observer import Observer
from segue.masks import encode_objects, measure, resize_mask
from segue.types import Frame, Segmentation
from segue.utils.extras import requires_extra
from segue.utils.system import lower_thread_priority
from segue.video import Source
from segue.video.decoding.readers import ConnectionChange
from segue_web.colours import palette
from segue_web.server.hub import Answer, Hub, Page, call
from segue_web.server.kit import LocalServer, local_application
from segue_web.server.messages import Count, PageRequest

with requires_extra("web"):
    from starlette.applications import Starlette

if TYPE_CHECKING:
    from typing import Self

MAX_SIDE = 1280
"""Longer side of the images of the page; larger frames are reduced."""

QUALITY = 80  # of JPEG, in percent

PAUSE = 0.04
"""Seconds between two images of a page, at least."""

EVENTS = 100
"""Last events that are kept; a page that is opened later gets these."""

MAX_PAGES = 16
"""Pages that may be open at once."""

MAX_MESSAGE_BYTES = 200
"""Most bytes of a message of a page, which says no more than what it has."""


@dataclass(frozen=True)
class _Done:
    """Newest frame of a run and its result."""

    number: int  # in the run, from 1
    frame: Frame
    result: Segmentation
    full: tuple[int, int]  # size of the source, which zones refer to

    @cached_property
    def encoded(self) -> tuple[dict[str, Any], bytes]:
        """Message for pages: objects and JPEG."""
        frame, result = self.frame, self.result
        scale = min(1.0, MAX_SIDE / max(frame.size))
        height, width = (max(1, round(side * scale)) for side in frame.size)
        image = frame.image
        if scale < 1:
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        mask = resize_mask(result.mask, (height, width))
        extents = measure(mask)
        quality = (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
        coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        about = {
            "index": result.index,
            "time": result.time,
            "size": (height, width),
            "full": self.full,
            "masks": {number: rle["counts"] for number, rle in encode_objects(mask, extents).items()},
            "boxes": {number: extent.box for number, extent in extents.items()},
            "labels": {item.id: item.label for item in result.objects if item.label},
        }
        return about, coded[1].tobytes()


class LivePage(Observer):
    """Serves the page of a running job, and forwards progress to another observer."""

    patience = 1.0
    """Maximum seconds between two messages to a page without a new image."""

    farewell = 2.0
    """Seconds for which the end of a run waits until all pages know of it."""

    def __init__(
        self, observer: Observer, *, port: int = 0, browser: bool = False, events: bool = True
    ) -> None:
        self._observer, self._has_events = observer, events
        self._about: dict[str, Any] = {}
        self._source: Source | None = None
        self._what, self._count = "", 0
        self._delay: float | None = None
        self._total: int | None = None
        self._times: deque[float] = deque(maxlen=50)
        self._done: _Done | None = None
        self._events: list[tuple[int, dict[str, Any]]] = []  # made anew with each: pages read it meanwhile
        self._event_count = 0
        self._ended = ""
        self._hub = Hub(self._answer, max_pages=MAX_PAGES, max_requests=1)
        self._encoder = ThreadPoolExecutor(1, "segue-page-image", lower_thread_priority)
        self._server = LocalServer(self.make_app, port, browser, MAX_MESSAGE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._ended = "The run finished." if kind is None else f"The run has ended: {error or 'interrupted'}"
        self._hub.changed()
        until = time.monotonic() + self.farewell
        while self._hub.pages and time.monotonic() < until:
            time.sleep(PAUSE)
        self._server.stop()
        self._encoder.shutdown()

    # What the run says

    def ready(self, source: Source, zones: Sequence[Zone]) -> None:
        zone_values = [asdict(zone) | {"line": zone.is_line} for zone in zones]
        self._about = {
            "name": source.name,
            "live": source.endless,
            "zones": zone_values,
            "colours": palette(),
        }
        self._about["events"] = self._has_events
        self._source = source
        self._server.start()
        self._observer.ready(source, zones)

    def notice(self, text: str) -> None:
        self._observer.notice(text)

    def begin(self, what: str, total: int | None) -> None:
        self._what, self._total, self._count = what, total, 0
        self._times.clear()
        self._observer.begin(what, total)

    def count(self, done: int) -> None:
        self._count = done
        self._times.append(time.monotonic())
        self._observer.count(done)

    def looked_at(self, frame: Frame) -> None:
        empty = Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8), ())
        self._publish(frame, empty)
        self._observer.looked_at(frame)

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self._count += 1
        self._times.append(time.monotonic())
        self._publish(frame, result)
        self._observer.frame(frame, result, note)

    def _publish(self, frame: Frame, result: Segmentation) -> None:
        """Publish a frame."""
        number = 1 if self._done is None else self._done.number + 1
        full = self._source.original_size if self._source is not None else None
        self._delay = self._source.delay(frame) if self._source is not None else None
        self._done = _Done(number, frame, result, full or frame.size)
        self._hub.changed()

    def event(self, event: Event) -> None:
        number = self._event_count + 1
        self._events = [*self._events, (number, asdict(event))][-EVENTS:]
        self._event_count = number
        self._hub.changed()
        self._observer.event(event)

    def messages(self, messages: Notifiers) -> None:
        self._observer.messages(messages)

    def connection(self, change: ConnectionChange) -> None:
        self._observer.connection(change)

    def computed(self, frames: int, seconds: float) -> None:
        self._observer.computed(frames, seconds)

    def end(self, frames: int, seconds: float) -> None:
        self._observer.end(frames, seconds)

    def written(self, name: str, path: Path) -> None:
        self._observer.written(name, path)

    # What pages get

    def make_app(self, token: str) -> Starlette:
        """Make the application; all routes are below ``/TOKEN/``."""

        @asynccontextmanager
        async def life(_: Starlette) -> AsyncIterator[None]:
            lower_thread_priority()
            yield

        return local_application(token, "live.html", {"WS /ws": self._hub.talk}, life)

    async def _answer(self, request: PageRequest, _: Page) -> Answer:
        """Answer the one request of pages, which they repeat: the news since what they have."""
        answer: Answer = await call({"next": self._next}, request.op, request.model_extra or {})
        return answer

    async def _next(self, image: Count = 0, event: Count = 0, about: bool = True) -> Answer:
        """News of the run, as soon as there is a new image or event, or after :attr:`patience`.

        ``image`` and ``event``: numbers of the last ones that the page has; ``about``: whether it needs the
        description of the run.
        """
        await asyncio.sleep(PAUSE)
        await self._hub.wait_for(lambda: self._has_news(image, event), self.patience)
        ended, done = self._ended, self._done  # in this order, so that the end comes with the last frame
        news: dict[str, Any] = {
            "run": self._run(),
            "events": [each for each in self._events if each[0] > event],
            "ended": ended,
        }
        if about:
            news["about"] = self._about
        if done is None or done.number <= image:
            return Answer(news, is_last=bool(ended))
        loop = asyncio.get_running_loop()
        # once for all pages
        values, coded = await loop.run_in_executor(self._encoder, getattr, done, "encoded")
        return Answer(news | {"image": {"number": done.number, **values}}, coded, is_last=bool(ended))

    def _has_news(self, image: int, event: int) -> bool:
        is_new = self._done is not None and self._done.number > image
        return is_new or self._event_count > event or bool(self._ended)

    def _run(self) -> dict[str, Any]:
        times = list(self._times)  # the run may begin anew at any time
        rate = (len(times) - 1) / max(times[-1] - times[0], 1e-6) if len(times) > 1 else None
        return {
            "what": self._what,
            "done": self._count if times else 0,
            "total": self._total,
            "rate": rate,
            "age": time.monotonic() - times[-1] if times else None,
            "delay": self._delay if times else None,
            "dropped": self._source.dropped if self._source is not None else 0,
        }

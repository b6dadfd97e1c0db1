"""A page whose server is the test: it answers when the test wants it to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

from segue.masks import encode_rle
from segue_web.server.kit import STATIC
from tests.segue_web.pages.page import WAIT, becomes, drawn, place_of, says

SECRET = "/s3cret/"
HEIGHT, WIDTH, FRAMES = 240, 432, 9
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

Message = dict[str, Any]

SETTLE = "settle"
"""A request that the page is made to send; messages come in order, so that its answer is the last one."""


class Files(ThreadingHTTPServer):
    """The files of the page, and the same image for each frame."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self.server_address[1]}{SECRET}"
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        self.image = cv2.imencode(".jpg", image)[1].tobytes()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()


class Answers(BaseHTTPRequestHandler):
    """Lets the browser keep what it was given, which it does not where playwright answers its requests."""

    protocol_version = "HTTP/1.1"
    server: Files

    def do_GET(self) -> None:
        name = self.path.removeprefix(SECRET).partition("?")[0]
        if name.startswith("frame/"):
            kind, body = "image/jpeg", self.server.image
        else:
            path = STATIC / (name.removeprefix("static/") or "index.html")
            kind, body = KINDS[path.suffix], path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=3600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def progress(job: str, what: str, objects: list[int], done: int = 1) -> str:
    """What a page hears of a tracking or an export that runs."""
    counts: dict[str, Any] = {"done": done, "total": 8, "rate": 1.0}
    return json.dumps({"event": "progress", "job": job, "what": what, "objects": objects, **counts})


class Desk:
    """A page, and the project behind it as the test has it: objects, revisions, and masks of frames.

    What is asked is answered at once, but for the requests in ``held``, which wait for :meth:`answer`.
    """

    def __init__(self, page: Any, address: str) -> None:
        self.address = address
        self.held: set[str] = set()
        self.waiting: list[Message] = []
        self._asked: list[Message] = []
        self.revision = 0
        self.objects: list[int] = []
        self.undo: str | None = None
        self.schema: Message = {}
        self.known: dict[int, Message] = {}
        self.reviewed = False
        self.queue: list[Message] = []
        self.user = ""
        self.frames = FRAMES
        self.looks: dict[int, Message] = {}
        self.errors: list[str] = []
        self.send: Callable[[str], None] = lambda _: None
        self.page = page
        self.page.set_viewport_size({"width": 1360, "height": 820})
        self.page.emulate_media(reduced_motion="reduce", color_scheme="light")
        self.page.set_default_timeout(WAIT)
        self.page.on("pageerror", self._fail)
        self.page.route_web_socket(re.compile("/ws$"), self._connect)

    def _fail(self, error: Any) -> None:
        self.errors.append(str(error))

    def leave(self) -> None:
        """Make the page one for the next test, which goes on with nothing that is unfinished here."""
        self.page.evaluate(
            """import('./static/drafts.js').then(({ saveDrafts }) => {
              removeEventListener('pagehide', saveDrafts);
              sessionStorage.clear();
            })"""
        )
        self.page.goto("about:blank")
        self.page.remove_listener("pageerror", self._fail)

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.wait_for_selector("body[data-mode=annotate]")
        becomes(self.page, "import('./static/frames.js').then(({ frameImages }) => frameImages.bitmaps.size)")
        self.settle()

    def _connect(self, route: Any) -> None:
        self.send = route.send
        route.on_message(self._hear)

    def _hear(self, text: str) -> None:
        message = json.loads(text)
        if message["op"] == SETTLE:
            self.send(json.dumps({"id": message["id"]}))
            return
        self._asked.append(message)
        if message["op"] in self.held:
            self.waiting.append(message)
        else:
            self.answer(message)

    def answer(self, message: Message, **fields: Any) -> None:
        """Answer with what is known now, and with these."""
        known: Message = {}
        if message["op"] == "hello":
            video = {"name": "pond", "width": WIDTH, "height": HEIGHT, "frames": self.frames, "fps": 25}
            video |= {"pixel_aspect": 1, "times": None}
            known = {
                "mode": "annotate", "video": video, "objects": self.about(),
                "timeline": self.timeline(), "history": {"undo": self.undo, "redo": None}, "settings": {},
                "detectors": ["motion"], "running": None, "folder": "p",
                "schema": self.schema,
                "formats": [
                    {
                        "id": name,
                        "group": "Data sets",
                        "name": name.upper(),
                        "text": "one file",
                        "suffix": "",
                        "known_only": False,
                        "opacity": opacity,
                        "bits": 8,
                        "premultiplied": True,
                    }
                    for name, opacity in (("coco", "none"), ("exr", "with colours"))
                ],
                "revision": self.revision,
            }  # fmt: skip
            known |= {"queue": self.queue, "user": self.user}
        elif message["op"] == "review":
            known = {"flaws": []}
        elif message["op"] == "outline":
            known = {"polygons": []}
        elif message["op"] == "look":
            known = {"frames": [self.look(frame) for frame in message["frames"]]}
        self.send(json.dumps({"id": message["id"], **known, **fields}))

    def about(self) -> list[Message]:
        shown = {"colour": "#f2495c", "visible": True, "locked": False, "category": "", "group": ""}
        shown |= {"attributes": {}, "frame_attributes": {}}
        return [{"id": i, "name": f"Object {i}", **shown, **self.known.get(i, {})} for i in self.objects]

    def timeline(self) -> list[list[Any]]:
        return [[f, int(i), *m] for f, look in self.looks.items() for i, m in look["marks"].items()]

    def look(self, frame: int) -> Message:
        nothing: Message = {"masks": {}, "prompts": {}, "marks": {}}
        return nothing | self.looks.get(frame, {}) | {"frame": frame, "revision": self.revision}

    def change(
        self, frame: int, *objects: int, kind: str = "given", label: str = "click", **fields: Any
    ) -> None:
        """Give these objects a mask on a frame, and say so to the page."""
        plane = np.zeros((HEIGHT, WIDTH), np.bool_)
        plane[40:60, 40:60] = True
        self.revision += 1
        self.undo = label
        new = [i for i in objects if i not in self.objects]
        self.objects += new
        masks = {str(i): encode_rle(plane)["counts"] for i in objects}
        marks = {str(i): [kind, 1.0, 400, self.reviewed] for i in objects}
        self.looks[frame] = {"masks": masks, "marks": marks, **fields}
        event: Message = {"event": "changed", "revision": self.revision, "frames": [self.look(frame)]}
        if new:
            event["objects"] = self.about()
        self.send(json.dumps(event | {"history": {"undo": self.undo, "redo": None}}))

    def tell_objects(self) -> None:
        """Say to the page what is known of the objects, as of a new revision."""
        self.revision += 1
        self.send(json.dumps({"event": "changed", "revision": self.revision, "objects": self.about()}))

    def next(self, op: str) -> Message:
        """Wait for a held request of this kind; others stay."""
        for _ in range(WAIT // 10):
            for message in self.waiting:
                if message["op"] == op:
                    self.waiting.remove(message)
                    return message
            self.page.wait_for_timeout(10)
        raise AssertionError(f"the page does not ask to {op}")

    def next_asked(self, op: str, place: int = 0) -> Message:
        """Wait for a request of this kind, the first one or a later one."""
        for _ in range(WAIT // 10):
            found = [message for message in self._asked if message["op"] == op]
            if len(found) > place:
                return found[place]
            self.page.wait_for_timeout(10)
        raise AssertionError(f"the page does not ask to {op}")

    def asked(self, *ops: str) -> list[Message]:
        """The requests of these kinds so far, also those that were still on their way."""
        self.settle()
        return [message for message in self._asked if message["op"] in ops]

    def ops(self, *wanted: str) -> list[str]:
        return [message["op"] for message in self.asked(*wanted)]

    def settle(self) -> None:
        """Let the page hear all that was sent before, and draw it; and hear all that it has asked for."""
        self.page.evaluate(f"import('./static/link.js').then(({{ request }}) => request('{SETTLE}'))")
        drawn(self.page)

    def here(self, text: str) -> None:
        says(self.page, text)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the video is in the window."""
        return place_of(self.page, x, y)

    def click(self, x: float, y: float) -> None:
        box = self.page.locator("#canvas").bounding_box()
        self.page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)

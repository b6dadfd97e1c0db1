"""Track a video backwards first, for the frames before the first prompts.

Each object is followed backwards from the frame of its first prompt to the first frame of the video. Frames
are read in chunks, forwards, so that memory does not grow with the video; what is found is kept as run
lengths, a few hundred bytes for an object on a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from segue.errors import PromptError, SourceDamageError, SourceError
from segue.models.base import FramePrompts
from segue.prompt_types import Prompt, RemovePrompt
from segue.sessions.session import Passes
from segue.sessions.track import TrackSession
from segue.sessions.videos.corrections import composite, to_rle
from segue.sessions.videos.provenance import StoredObject
from segue.state import Checkpointable, checkpointed
from segue.types import Frame, Image, Segmentation
from segue.video import Source

PromptsByFrame = Mapping[int, "Sequence[Prompt] | FramePrompts"]


class ReversePass(Checkpointable, Passes):
    """Backward pass that runs before the forward pass.

    Attributes:
        index: of the frame whose prompts are read or that is taken backwards; None in the pass forwards.
    """

    title: ClassVar[str] = "backwards"
    _session: TrackSession = checkpointed()
    _found: dict[int, list[StoredObject]] = checkpointed(dict)  # by frame
    _next: int | None = checkpointed(None)  # frame that comes next; None before the first one
    _done: bool = checkpointed(False)

    def __init__(
        self, session: TrackSession, source: Source, prompts: Callable[[Frame], PromptsByFrame]
    ) -> None:
        super().__init__()
        self._session, self._source, self._prompts = session, source, prompts
        self.index: int | None = None

    def next_image(self) -> Image | None:
        """Image after the current frame; None after the last frame."""
        if self.index is not None:
            with suppress(SourceError):
                return self._source.frame(self.index + self._source.request.stride).image
        return None

    def learning(self) -> Iterator[int]:
        """Track backwards; see :class:`segue.sessions.session.Passes`."""
        first = next(iter(self._source))
        self._source.close()
        self.index = first.index
        plan = first_prompts(self._prompts(first))
        plan.pop(first.index, None)
        if plan and not self._done:
            try:
                yield from self._follow(first, plan)
            except SourceDamageError:  # the pass forwards meets it, too: only what comes before it counts
                last = self._last_before_damage(first.index, max(plan))
                self._session.reset()
                self._found, self._next = {}, None
                yield from self._follow(first, {i: prompts for i, prompts in plan.items() if i <= last})
        self._session.reset()
        self._done, self.latest, self.index = True, None, None

    def _follow(self, first: Frame, plan: Mapping[int, Sequence[Prompt]]) -> Iterator[int]:
        """Track backwards from the last prompt."""
        stride, top = self._source.request.stride, max(plan, default=first.index)
        self.total = (top - first.index) // stride + 1
        begin = top if self._next is None else self._next
        if begin < first.index:  # a run that goes on was stopped after the last frame
            return
        for frame in self._backwards(first, begin, plan):
            self.index = frame.index
            later = {item.id for index, prompts in plan.items() if index > frame.index for item in prompts}
            with self.changing(f"frame {frame.index}"):
                result = self._session.step(frame, plan.get(frame.index))
                self._found[frame.index] = to_rle(result, later)
                self._next = frame.index - stride
            self.latest = frame
            yield (top - frame.index) // stride + 1

    def _last_before_damage(self, first: int, top: int) -> int:
        """Index of the last readable frame."""
        last = first
        with suppress(SourceDamageError):
            for frame in self._source.part(first, top + 1):
                last = frame.index
        return last

    def second(self) -> Iterator[Frame]:
        yield from self._source  # from when the first frame is asked for: the pass before closes the source

    def complete(self, result: Segmentation) -> Segmentation:
        """Add the objects tracked backwards to a result of the forward pass."""
        return composite(result, self._found.get(result.index, ()))

    def _backwards(self, first: Frame, top: int, plan: Mapping[int, Any]) -> Iterator[Frame]:
        """Yield frames backwards; raise if a prompted frame is missing."""
        prompted = {index for index in plan if index <= top}
        frames = self._source.walk(top, first.index)
        while True:
            try:
                frame = next(frames, None)
            except SourceError as error:
                if not prompted or isinstance(error, SourceDamageError):
                    raise
                raise PromptError(f"there is a prompt for frame {max(prompted)}, but {error}") from None
            last_index = first.index if frame is None else frame.index
            if missing := [index for index in prompted if index > last_index]:
                raise PromptError(f"prompted frame {max(missing)} is not in the source")
            if frame is None:
                return
            prompted.discard(frame.index)
            yield frame


def first_prompts(plan: PromptsByFrame) -> dict[int, list[Prompt]]:
    """Prompts of each object on its first prompted frame."""
    prompted_ids: set[int] = set()
    by_frame: dict[int, list[Prompt]] = {}
    for index in sorted(plan):
        prompts = plan[index]
        if isinstance(prompts, FramePrompts):  # of the frame that is the first anyway
            prompted_ids |= {*prompts.ids}
            continue
        new = [item for item in prompts if item.id not in prompted_ids and not isinstance(item, RemovePrompt)]
        if new:
            by_frame[index] = new
            prompted_ids |= {item.id for item in new}
    return by_frame

"""Video models of Hugging Face transformers (extra ``hf``) on a stream: SAM 2, EdgeTAM, SAM 3."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from segue.errors import CheckpointError, SegueError
from segue.models.base import FramePrompts, Schedule, Setup, TrackCapabilities, Tracker, TrackOutput
from segue.models.hub import VIDEO_MODELS, model_type
from segue.models.sam2.tracker import ObjectClicks, clicks_by_object
from segue.models.transformers_clip import (
    BOOKS,
    POINTER,
    SAVED_OUTPUTS,
    check_schedule,
    follow_video,
    has_books,
    new_session,
    pixels_of,
    run_model,
    with_masks,
)
from segue.models.transformers_folder import import_transformers, loading, require_keys
from segue.registry import PromptKind
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.inputs import kind_of

SCHEDULE = Schedule(mem_every=1, top_k=None, memory_policy="all")
"""Every frame is remembered at the size of the model; other options are in its configuration."""

BOX_CORNERS = (2, 3)
"""Labels of the corners of a box among points."""

SEED_EVERY = 200
"""Frames after which a new inference session starts from the masks, if its attributes cannot be read."""


class TransformersTracker(Checkpointable):
    """Tracks objects with :class:`TransformersVideo`; see :class:`segue.models.base.Tracker`.

    It calls the public methods of processor and model. Their inference session keeps all frames; entries that
    the model does not read again are removed from its :data:`BOOKS`. With a version of transformers without
    these, a new session starts from the last masks now and then.
    """

    prompts: frozenset[PromptKind] = frozenset({"box", "point"})
    state_fields: ClassVar[dict[str, Any]] = {"_seen": 0, "_kept": ...}
    _seen: int
    _since_seed: int = checkpointed(0, later=True)  # after what is kept, which begins a new inference session

    def __init__(self, network: TransformersVideo, setup: Setup) -> None:
        check_schedule(setup.schedule, SCHEDULE)
        self._model, self._processor, self._setup = network.model, network.processor, setup
        self.device = setup.device
        config = network.model.config
        pointers: int = getattr(config, "max_object_pointers_in_encoder", 16)
        self._reads = max(pointers, getattr(config, "num_maskmem", 7))  # frames back
        self._prompted: int = getattr(config, "max_cond_frame_num", 4)
        self.reset()

    def reset(self) -> None:
        self._session: Any = self._new_session()
        self._last: tuple[Tensor, Tensor] | None = None
        self.restart()

    def _reset_transient_state(self) -> None:
        self.reset()

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self._session.obj_ids))

    @property
    def requires_update(self) -> bool:
        return bool(self._session.obj_ids)

    @property
    def has_books(self) -> bool:
        """Whether the inference session exposes its memory."""
        return has_books(self._session)

    def skip(self) -> None:
        self._seen += 1

    def forget(self, ids: Collection[int]) -> None:
        stay = [i for i in self.ids if i not in ids]
        if len(stay) == len(self.ids):
            return
        if not stay:
            self._session, self._last = self._new_session(), None
        elif self.has_books:
            self._session = self._rebuilt({i: self._records(i) for i in stay})
        else:
            self._seed(stay)

    def peek(self, image: Image) -> TrackOutput:
        original = self._session
        if self.has_books:
            copied = self._rebuilt({i: self._records(i) for i in self.ids})
        else:
            copied = copy.deepcopy(original)
        try:
            self._session = copied
            return self._output(self._run(self._pixels(image)), image)
        finally:
            self._session = original

    def step(self, image: Image, prompts: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        clicks = clicks_by_object(prompts.prompts if prompts is not None else (), self.ids)
        pixels = self._pixels(image)
        with self.changing("the inference session"):
            output = self._output(self._segment(pixels, prompts, clicks, image.shape[:2]), image)
            if self.has_books:
                self._prune()
            else:
                self._remember(pixels, output)
            self._seen += 1
        return output

    def _segment(
        self,
        pixels: Tensor,
        prompts: FramePrompts | None,
        clicks: Mapping[int, ObjectClicks],
        size: tuple[int, ...],
    ) -> Any:
        """Segment all objects on an image, given its prompts."""
        session, output = self._session, None
        corrected = {i for i, object_clicks in clicks.items() if object_clicks.box is None} & set(
            session.obj_ids
        )
        if corrected or (session.obj_ids and prompts is None):
            output = self._run(pixels)  # clicks correct what is seen of a known object
        if prompts is not None and prompts.masked:
            masks = [prompts.plane(i).cpu() for i in prompts.masked]
            self._processor.add_inputs_to_inference_session(
                session, self._seen, [*prompts.masked], input_masks=masks, original_size=size
            )
            output = self._run(pixels)
        if clicks:
            points, labels = zip(*map(_points, clicks.values()), strict=True)
            self._processor.add_inputs_to_inference_session(
                session,
                self._seen,
                [*clicks],  # the model takes objects off the list that it is given
                input_points=[[*points]],
                input_labels=[[*labels]],
                original_size=size,
            )
            output = self._run(pixels)
        return output or self._run(pixels)

    @property
    def _kept(self) -> Any:
        """Records of all objects; without access to the session, ids and last masks."""
        ids = list(self._session.obj_ids)
        return {i: self._records(i) for i in ids} if self.has_books else (ids, self._last)

    @_kept.setter
    def _kept(self, saved: Any) -> None:
        if isinstance(saved, dict):
            self._session = self._rebuilt(saved)
        elif saved[0]:
            ids, self._last = saved
            self._seed(sorted(ids))

    def _new_session(self) -> Any:
        return new_session(self._processor, self._setup)

    def _pixels(self, image: Image) -> Tensor:
        """Preprocess an image for the model, (3, S, S)."""
        return pixels_of(self._processor, image, self._setup)

    def _run(self, pixels: Tensor) -> Any:
        """Run the model on the image."""
        return run_model(self._model, self._session, frame=pixels, frame_idx=self._seen)

    def _output(self, output: Any, image: Image) -> TrackOutput:
        """Masks of all objects, in order of ids."""
        low: Tensor = output.pred_masks.float().flatten(0, 1)
        order = sorted(range(len(output.object_ids)), key=lambda k: output.object_ids[k])
        return with_masks(self.ids, low[order][None], (image.shape[0], image.shape[1]))

    def _records(self, i: int) -> dict[str, dict[int, dict[str, Tensor]]]:
        """Records of an object by kind and frame."""
        outputs = self._session.output_dict_per_obj[self._session.obj_id_to_idx(i)]
        return {
            kind: {
                frame: {name: record[name] for name in SAVED_OUTPUTS if isinstance(record.get(name), Tensor)}
                for frame, record in frames.items()
            }
            for kind, frames in outputs.items()
        }

    def _rebuilt(self, records: Mapping[int, Mapping[str, Mapping[int, dict[str, Tensor]]]]) -> Any:
        """Create a session of objects from their records."""
        session = self._new_session()
        for i, kinds in records.items():
            outputs = session.output_dict_per_obj[session.obj_id_to_idx(i)]
            for kind, frames in kinds.items():
                outputs[kind].update({frame: dict(parts) for frame, parts in frames.items()})
        return session

    def _prune(self) -> None:
        """Remove records that no later frame reads; prompted frames keep their pointer."""
        session = self._session
        for name in BOOKS[1:]:
            for book in getattr(session, name).values():
                book.clear()
        session.processed_frames.clear()
        for outputs in session.output_dict_per_obj.values():
            for kind, frames in outputs.items():
                prompted = kind == "cond_frame_outputs"
                latest = sorted(frames)[-self._prompted :] if self._prompted > 0 else [*frames]
                for frame in [*frames]:
                    if not prompted and frame < self._seen + 2 - self._reads:
                        del frames[frame]
                        continue
                    keep = SAVED_OUTPUTS if not prompted or frame in latest else (POINTER,)
                    for part in [part for part in frames[frame] if part not in keep]:
                        del frames[frame][part]

    def _remember(self, pixels: Tensor, output: TrackOutput) -> None:
        """Keep the last image and masks, from which a long session is restarted."""
        assert output.probabilities is not None
        best = output.probabilities.argmax(0)
        self._last = pixels, torch.stack([best == k for k in range(1, len(output.ids) + 1)])
        self._since_seed += 1
        if self._since_seed >= SEED_EVERY:
            self._seed(self.ids)

    def _seed(self, ids: Sequence[int]) -> None:
        """Start a new session of some objects from their last masks."""
        assert self._last is not None
        pixels, masks = self._last
        if len(masks) != len(ids):
            masks = masks[[self.ids.index(i) for i in ids]]
        self._session, self._since_seed = self._new_session(), 0
        self._last = pixels, masks
        self._processor.add_inputs_to_inference_session(
            self._session, self._seen, [*ids], input_masks=[*masks.cpu()]
        )
        self._run(pixels.to(self._setup.device))


def _points(clicks: ObjectClicks) -> tuple[list[list[float]], list[int]]:
    """Points and labels of an object, corners of its box first."""
    corners = [] if clicks.box is None else [[*clicks.box[:2]], [*clicks.box[2:]]]
    marks = [*corners, *(map(list, clicks.positive)), *(map(list, clicks.negative))]
    labels = [*BOX_CORNERS[: len(corners)], *(1 for _ in clicks.positive), *(0 for _ in clicks.negative)]
    return marks, labels


class TransformersVideo(nn.Module):
    """A video model of transformers as a network for sessions.

    Args:
        model: ``Sam2VideoModel``, ``EdgeTamVideoModel``, ``Sam3TrackerVideoModel`` or another of their
            interface.
        processor: the processor of its folder, such as ``Sam2VideoProcessor``.

    Raises:
        SegueError: they have another interface.

    Example:
        >>> from transformers import Sam2VideoModel, Sam2VideoProcessor
        >>> name = "facebook/sam2.1-hiera-tiny"
        >>> parts = Sam2VideoModel.from_pretrained(name), Sam2VideoProcessor.from_pretrained(name)
        >>> segue.track("dog.mp4", box=(120, 80, 310, 260), model=TransformersVideo(*parts))
    """

    schedule: Schedule = SCHEDULE
    tracker: type[Tracker] = TransformersTracker
    fuses = False
    """Its layers read each other's weights: none is replaced by a faster one."""

    def __init__(self, model: nn.Module, processor: Any) -> None:
        super().__init__()
        if not hasattr(model, "memory_encoder"):
            raise SegueError(f"model: {kind_of(model)}; give a video model of the family of SAM 2")
        for name in ("init_video_session", "add_inputs_to_inference_session"):
            if not hasattr(processor, name):
                raise SegueError(f"processor: {kind_of(processor)}; give the processor of a video model")
        self.model, self.processor = model, processor

    @property
    def capabilities(self) -> TrackCapabilities:
        """Capabilities: whole videos if the inference session exposes its memory."""
        return TrackCapabilities(
            video=follow_video if has_books(self.processor.init_video_session()) else None
        )


def read_video_model(folder: Path) -> TransformersVideo:
    """Load the network of a transformers folder, without executing code in it."""
    library = import_transformers()
    kind = model_type(folder / "config.json")
    if kind not in VIDEO_MODELS:
        raise CheckpointError(
            f"{folder}: model_type is {kind!r}; video models are {', '.join(sorted(VIDEO_MODELS))}"
        )
    names = VIDEO_MODELS[kind]
    missing = [name for name in names if not hasattr(library, name)]
    if missing:
        raise CheckpointError(f"{folder}: transformers {library.__version__} has no {missing[0]}; upgrade it")
    safely = {"local_files_only": True, "trust_remote_code": False}
    with loading(library, folder):
        model, report = getattr(library, names[0]).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **safely
        )
        processor = getattr(library, names[1]).from_pretrained(folder, **safely)
    require_keys(folder, report)
    return TransformersVideo(model.eval(), processor)

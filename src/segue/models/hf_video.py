"""Video models of Hugging Face transformers as networks of a session (extra ``hf``)."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from segue.errors import CheckpointError, SegueError
from segue.extras import missing_packages
from segue.inputs import check_file, parse_json
from segue.models.base import FramePrompts, Schedule, Setup, Tracker, TrackOutput
from segue.models.sam2.objects import POINTERS
from segue.models.sam2.pictures import film_picture, points_on_square, square_mask
from segue.models.sam2.tracker import clicks_by_object, merged
from segue.models.sam2.values import ABSENT
from segue.naming import first_few
from segue.registry import PromptKind
from segue.types import Image

VideoClass = Literal["Sam2Video", "EdgeTamVideo"]
"""Prefixes of the classes of transformers."""

MODEL_TYPES: dict[str, VideoClass] = {"sam2_video": "Sam2Video", "edgetam_video": "EdgeTamVideo"}
"""Their names in ``config.json``."""

SCHEDULE = Schedule(mem_every=1, top_k=None, memory_policy="all")
"""Every frame is remembered at the size of the model; other options are in its configuration."""

CONFIG = "config.json"
SAFELY = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
"""How transformers reads a folder."""

KINDS = ("cond_frame_outputs", "non_cond_frame_outputs")
KEPT = ("maskmem_features", "maskmem_pos_enc", "object_pointer")
"""The part of a record that later frames read."""


class HFVideoTracker:
    """Follows objects with :class:`HFVideo`; see :class:`segue.models.base.Tracker` for the methods."""

    prompts: frozenset[PromptKind] = frozenset({"box", "point"})

    def __init__(self, network: HFVideo, setup: Setup) -> None:
        for item in fields(SCHEDULE):
            if getattr(setup.schedule, item.name) != getattr(SCHEDULE, item.name):
                raise SegueError(f"models of transformers have no {item.name}; leave it out")
        self._model = copy.deepcopy(network.model).to(setup.device, setup.dtype).eval()
        self._setup = setup
        self._side: int = network.side
        self.reset()

    def reset(self) -> None:
        self._sessions: dict[int, Any] = {}
        self._frames: dict[int, Tensor] = {}
        self._cache: Any = None
        self._seen = 0

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self._sessions))

    @property
    def requires_update(self) -> bool:
        return bool(self._sessions)

    def skip(self) -> None:
        self._seen += 1

    def forget(self, ids: Collection[int]) -> None:
        for i in set(ids) & self._sessions.keys():
            del self._sessions[i]

    def peek(self, image: Image) -> TrackOutput:
        self._load(image)
        found = {}
        for i, session in self._sessions.items():
            found[i] = self._run(session, remember=False)
            self._take_back(session)
        return self._output(self.ids, found, image)

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        clicks = clicks_by_object(given.prompts if given is not None else (), self._sessions)
        masked = () if given is None else given.masked
        self._load(image)
        found: dict[int, tuple[Tensor, float]] = {}
        begun = {i: self._session(i) for i in (*clicks, *masked) if i not in self._sessions}
        sessions = {**self._sessions, **begun}
        for i, session in sessions.items():
            if i in masked:
                assert given is not None
                mask = square_mask(given.mask == i, self._side)
                session.add_mask_inputs(0, self._seen, mask)
                session.obj_with_new_inputs = [i]
            elif i in clicks:
                own = clicks[i]
                if i not in begun and own.box is None:  # a correction of what is found
                    self._run(session, remember=False)
                size = image.shape[0], image.shape[1]
                points, labels = points_on_square(
                    own.positive, own.negative, own.box, size, self._side, self._setup.device
                )
                inputs = {"point_coords": points[None], "point_labels": labels[None].int()}
                session.add_point_inputs(0, self._seen, inputs)
                session.obj_with_new_inputs = [i]
            elif not predict:
                continue
            found[i] = self._run(session, remember=True)
        ids = tuple(sorted(sessions))
        output = self._output(ids, found, image)
        self._sessions = sessions
        for session in sessions.values():
            self._prune(session)
        self._seen += 1
        return output

    def _session(self, i: int) -> Any:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        device = self._setup.device
        session = Sam2VideoInferenceSession(
            video=None,
            inference_device=device,
            inference_state_device=device,
            video_storage_device=device,
            dtype=self._setup.dtype,
        )
        session.obj_id_to_idx(i)
        session.processed_frames = self._frames
        if self._cache is None:
            self._cache = session.cache
        session.cache = self._cache
        return session

    def _load(self, image: Image) -> None:
        picture = film_picture(image, self._side)[0].to(self._setup.device, self._setup.dtype)
        self._frames.clear()
        self._frames[self._seen] = picture
        if self._cache is not None:
            self._cache.clear_all()

    def _run(self, session: Any, *, remember: bool) -> tuple[Tensor, float]:
        found = self._model(session, frame_idx=self._seen, run_mem_encoder=remember)
        return found.pred_masks.float(), float(found.object_score_logits.reshape(-1)[0])

    def _take_back(self, session: Any) -> None:
        session.output_dict_per_obj[0]["non_cond_frame_outputs"].pop(self._seen, None)
        session.frames_tracked_per_obj[0].pop(self._seen, None)

    def _prune(self, session: Any) -> None:
        outputs = session.output_dict_per_obj[0]
        for frame in [t for t in outputs["non_cond_frame_outputs"] if t < self._seen + 2 - POINTERS]:
            del outputs["non_cond_frame_outputs"][frame]
        for kind in KINDS:
            for record in outputs[kind].values():
                record.pop("pred_masks", None)
        for held in (
            session.frames_tracked_per_obj,
            session.point_inputs_per_obj,
            session.mask_inputs_per_obj,
        ):
            held[0].clear()

    def _output(
        self, ids: tuple[int, ...], found: dict[int, tuple[Tensor, float]], image: Image
    ) -> TrackOutput:
        side = self._side // 4
        nothing = torch.full((1, 1, side, side), ABSENT, device=self._setup.device)
        low = torch.cat(
            [found[i][0].view(1, 1, *found[i][0].shape[-2:]) if i in found else nothing for i in ids], 1
        )
        size = image.shape[0], image.shape[1]
        return TrackOutput(ids, merged(low, size), low, partial(merged, size=size))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors: dict[str, Tensor] = {}
        listed: list[list[Any]] = []
        for i, session in self._sessions.items():
            for kind in KINDS:
                for frame, record in session.output_dict_per_obj[0][kind].items():
                    names = [name for name in KEPT if record.get(name) is not None]
                    listed.append([i, kind, frame, names])
                    tensors |= {f"{i}.{kind}.{frame}.{name}": record[name] for name in names}
        return tensors, {"seen": self._seen, "records": listed, "ids": list(self._sessions)}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self.reset()
        self._seen = int(values["seen"])
        self._sessions = {int(i): self._session(int(i)) for i in values["ids"]}
        for i, kind, frame, names in values["records"]:
            record = {
                name: tensors[f"{i}.{kind}.{frame}.{name}"].to(self._setup.device, copy=True)
                for name in names
            }
            self._sessions[int(i)].output_dict_per_obj[0][kind][int(frame)] = record


class HFVideo(nn.Module):
    """A video model of transformers as a network of a session.

    Args:
        model: ``Sam2VideoModel``, ``EdgeTamVideoModel`` or another of their interface.

    Raises:
        SegueError: it has another interface.

    Example:
        >>> from transformers import Sam2VideoModel
        >>> network = HFVideo(Sam2VideoModel.from_pretrained("facebook/sam2.1-hiera-tiny"))
        >>> segue.track("dog.mp4", {0: [segue.BoxPrompt(1, (120, 80, 310, 260))]}, model=network)
    """

    schedule: Schedule = SCHEDULE
    tracker: ClassVar[type[Tracker]] = HFVideoTracker

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        side = getattr(getattr(model, "prompt_encoder", None), "input_image_size", None)
        if side is None:
            side = getattr(getattr(model, "config", None), "image_size", None)
        if not isinstance(side, int) or not hasattr(model, "num_maskmem"):
            raise SegueError(
                f"{type(model).__name__} is no video model of the family of SAM 2 in transformers"
            )
        # No submodule: its layers read each other's weights, which preparing for inference would replace.
        self._held, self.side = (model,), side

    @property
    def model(self) -> nn.Module:
        """The model of transformers."""
        return self._held[0]

    def state_dict(self, *arguments: Any, **named: Any) -> dict[str, Any]:  # type: ignore[override]
        """The weights of the model by name, by which sessions know it."""
        return self.model.state_dict(*arguments, **named)


def fresh(kind: VideoClass) -> HFVideo:
    """A network of a kind as transformers makes it by default, with random weights."""
    library = import_transformers()
    return HFVideo(getattr(library, f"{kind}Model")(getattr(library, f"{kind}Config")()))


def read_folder(kind: VideoClass, path: Path) -> HFVideo:
    """The network that a folder of transformers holds; nothing in the folder is unpickled or run."""
    library = import_transformers()
    folder, found = model_type(path)
    if MODEL_TYPES.get(str(found)) != kind:
        raise CheckpointError(
            f"{folder / CONFIG}: model_type is {found!r}, which is no {kind}Model of transformers"
        )
    with loading(library, folder):
        made = getattr(library, f"{kind}Model").from_pretrained(folder, **SAFELY)
    return HFVideo(complete(folder, made, ("missing_keys", "unexpected_keys", "mismatched_keys")))


def import_transformers() -> Any:
    """The package of transformers."""
    if missing := missing_packages("hf"):
        raise CheckpointError(f"models of transformers need {missing}")
    import transformers

    return transformers


def model_type(path: Path) -> tuple[Path, object]:
    """A folder of transformers, or that of one of its files, and the ``model_type`` of its configuration."""
    folder = path if path.is_dir() else path.parent
    config = folder / CONFIG
    check_file(config, CheckpointError)
    try:
        described = parse_json(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{config}: cannot be read ({error})") from None
    return folder, described.get("model_type") if isinstance(described, dict) else None


@contextmanager
def loading(library: Any, folder: Path) -> Iterator[None]:
    """Inside, transformers shows no progress, and what it runs into is a CheckpointError."""
    logging = library.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # whatever the library runs into with a foreign folder
        raise CheckpointError(f"{folder}: transformers cannot load it ({error})") from error
    finally:
        if shown:
            logging.enable_progress_bar()


def complete(folder: Path, made: tuple[Any, Mapping[str, Any]], kinds: Sequence[str]) -> Any:
    """The model of what transformers made of a folder, if its report names no key of these kinds."""
    model, report = made
    for what in kinds:
        if names := sorted(map(str, report[what])):
            raise CheckpointError(f"{folder}: {len(names)} {what.replace('_', ' ')}: {first_few(names, 10)}")
    return model

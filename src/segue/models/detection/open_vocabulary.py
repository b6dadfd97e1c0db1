"""Open-vocabulary detectors of Hugging Face transformers (extra ``hf``): boxes, or masks, for phrases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segue.errors import CheckpointError
from segue.models.detection.boxes import suppress
from segue.models.detection.detections import Detections
from segue.models.hub import model_type
from segue.models.transformers_folder import import_transformers, loading, require_keys
from segue.types import Image
from segue.utils.arrays import FloatingArray

SAME_BOX = 0.5
"""IoU above which the weaker of two boxes of a phrase is removed; some models return several."""

PhraseDetections = Detections[FloatingArray, Sequence[str | None]]
"""Objects with phrases as labels, as arrays."""

MIN_SCORE = 0.05
"""Minimum score of boxes in post-processing."""

MIN_CONCEPT = 0.2
"""Minimum score of masks, which need memory."""

CONCEPTS = ("sam3", "sam3_video")
"""``model_type`` of SAM 3, whose image model takes one phrase at a time and returns masks."""


def read_model(folder: Path, types: frozenset[str] | None = None) -> tuple[Any, Any]:
    """Load the model and processor of a folder: ``config.json``, safetensors, tokenizer, preprocessor.

    Nothing in the folder is unpickled or run.
    """
    library = import_transformers()
    folder = folder if folder.is_dir() else folder.parent
    kind = model_type(folder / "config.json")
    if types is not None and kind not in types:
        raise CheckpointError(f"{folder}: model_type is {kind!r}, not {' or '.join(sorted(types))}")
    name, prepares = "AutoModelForZeroShotObjectDetection", "AutoProcessor"
    if kind in CONCEPTS:
        name, prepares = "Sam3Model", "Sam3Processor"
    model_class = getattr(library, name, None)
    if model_class is None:
        raise CheckpointError(f"{folder}: transformers {library.__version__} has no {name}; upgrade it")
    safely = {"local_files_only": True, "trust_remote_code": False}
    with loading(library, folder):
        model, report = model_class.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **safely
        )
        processor = getattr(library, prepares).from_pretrained(folder, **safely)
    require_keys(folder, report)
    return model, processor


def ask_phrases(
    model: Any, processor: Any, phrases: Sequence[str], device: torch.device
) -> Callable[..., PhraseDetections]:
    """Create a function that detects phrases in an image, for :class:`segue.prompts.detectors.BoxDetector`.

    Only SAM 3 gives masks.
    """
    model = model.to(device).eval()
    ask = _concepts if model.config.model_type in CONCEPTS else _zero_shot

    @torch.inference_mode()
    def find(image: Image, rules: object = None) -> PhraseDetections:
        return ask(model, processor, list(phrases), np.ascontiguousarray(image), device)

    return find


def _zero_shot(
    model: Any, processor: Any, phrases: list[str], image: Image, device: torch.device
) -> PhraseDetections:
    inputs = processor(images=image, text=[phrases], return_tensors="pt").to(device)
    detections = processor.post_process_grounded_object_detection(
        model(**inputs),
        threshold=MIN_SCORE,
        target_sizes=[image.shape[:2]],
        text_labels=[phrases],
    )[0]
    numbers = [_phrase(label, phrases) for label in detections["text_labels"]]
    keep = torch.tensor([number is not None for number in numbers], dtype=torch.bool)
    labels = torch.tensor([number for number in numbers if number is not None], dtype=torch.int64)
    boxes, scores = detections["boxes"].float().cpu()[keep], detections["scores"].float().cpu()[keep]
    keep_indices = suppress(boxes, scores, labels, SAME_BOX)
    return Detections(
        boxes[keep_indices].double().numpy(),
        scores[keep_indices].double().numpy(),
        [phrases[i] for i in labels[keep_indices]],
    )


def _phrase(label: str, phrases: Sequence[str]) -> int | None:
    """Phrase that equals a label or shares most words with it: Grounding DINO returns parts."""
    if label in phrases:
        return phrases.index(label)
    words = set(label.lower().split())
    shared = [len(words & set(phrase.lower().split())) for phrase in phrases]
    return shared.index(max(shared)) if max(shared) else None


def _concepts(
    model: Any, processor: Any, phrases: list[str], image: Image, device: torch.device
) -> PhraseDetections:
    inputs = processor(images=image, return_tensors="pt").to(device)
    features = model.get_vision_features(pixel_values=inputs["pixel_values"])
    boxes: list[Tensor] = []
    scores: list[Tensor] = []
    masks: list[Tensor] = []
    labels: list[str] = []
    for phrase in phrases:
        text_inputs = processor(text=phrase, return_tensors="pt").to(device)
        instances = processor.post_process_instance_segmentation(
            model(vision_embeds=features, **text_inputs),
            threshold=MIN_CONCEPT,
            target_sizes=[image.shape[:2]],
        )[0]
        boxes.append(instances["boxes"].float().cpu())
        scores.append(instances["scores"].float().cpu())
        masks.append(instances["masks"].bool().cpu())
        labels += [phrase] * len(instances["scores"])
    planes = torch.cat([part.reshape(-1, *image.shape[:2]) for part in masks])
    return Detections(
        torch.cat(boxes).double().numpy(),
        torch.cat(scores).double().numpy(),
        labels,
        planes.float().numpy(),
    )

"""Open-vocabulary detectors that are published on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segue.utils.extras import missing_packages


@dataclass(frozen=True, slots=True)
class Released:
    """Weights on the Hugging Face Hub: repository, size, terms, and default score."""

    name: str
    repository: str
    megabytes: int
    licence: str
    types: frozenset[str]
    score: float

    def folder(self) -> Path | None:
        """Folder of the model in the user's cache, if it was downloaded."""
        if missing_packages("hf"):
            return None
        from huggingface_hub import try_to_load_from_cache

        paths = [
            try_to_load_from_cache(self.repository, name) for name in ("config.json", "model.safetensors")
        ]
        return Path(str(paths[0])).parent if all(isinstance(path, str) for path in paths) else None

    @property
    def how_to_get(self) -> str:
        """Commands that install and download the model, with its size and terms."""
        missing = missing_packages("hf")
        install = f"{missing.partition(': ')[2]}; " if missing else ""
        size = f"{self.megabytes} MB" if self.megabytes < 1000 else f"{self.megabytes / 1000:.1f} GB"
        return f"{install}hf download {self.repository} ({size}, {self.licence})"


OWLV2 = Released(
    "owlv2",
    "google/owlv2-base-patch16-ensemble",
    620,
    "Apache-2.0",
    frozenset({"owlv2", "owlvit"}),
    0.2,
)
GROUNDING_DINO = Released(
    "grounding-dino",
    "IDEA-Research/grounding-dino-tiny",
    689,
    "Apache-2.0",
    frozenset({"grounding-dino", "mm-grounding-dino"}),
    0.3,
)
SAM3 = Released("sam3", "facebook/sam3", 3362, "SAM License", frozenset({"sam3", "sam3_video"}), 0.5)

RELEASED = (SAM3, GROUNDING_DINO, OWLV2)
"""Detectors of ``segue.detector`` by name, best first; sizes are of weights in float32."""


def licence_of(name: str) -> str:
    """Terms of a detector's weights after a comma; empty for other models."""
    return next((f", {model.licence}" for model in RELEASED if model.name == name), "")

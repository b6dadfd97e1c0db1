"""Options of the commands that find objects by themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from segue.errors import PromptError
from segue.prompts.detectors import Detector
from segue.sessions.detecting import DEFAULT, DETECTORS, detector

NAMES = ", ".join(DETECTORS)


class FeatureChoice(str, Enum):
    """What of the last attention tells patches apart."""

    keys = "keys"
    queries = "queries"
    values = "values"


class RefineChoice(str, Enum):
    """What draws a discovered mask to the edges."""

    crf = "crf"
    grabcut = "grabcut"
    none = "none"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the user wants found.

    Attributes:
        name: the detector; None is the one that comes with segue.
        weights: its weight file.
        classes: labels separated by commas.
        score: least score.
        max_objects: most objects of a frame.
        features: what LOST compares.
        refine: what draws the masks of LOST to the edges.
    """

    name: str | None = None
    weights: Path | None = None
    classes: str | None = None
    score: float | None = None
    max_objects: int | None = None
    features: FeatureChoice | None = None
    refine: RefineChoice | None = None

    @property
    def asked(self) -> bool:
        """Whether anything is said of it."""
        return any(value is not None for value in asdict(self).values())

    def detector(self, device: str | None) -> Detector:
        """The detector, which runs on ``device``.

        Raises:
            PromptError, CheckpointError: as described there.
        """
        return detector(
            self.name or DEFAULT,
            weights=self.weights,
            classes=self._classes(),
            score=self.score,
            max_objects=self.max_objects,
            features=self.features.value if self.features else None,
            refine=self.refine.value if self.refine else None,
            device=device,
        )

    def settings(self) -> dict[str, Any]:
        """All that the masks depend on, as JSON values."""
        values = asdict(self)
        return {**values, "name": self.name or DEFAULT, "weights": str(self.weights)}

    def announce(self) -> None:
        """Say what is looked for where the user did not choose."""
        if self.name is None:
            typer.echo("looking for what moves (detector motion; --with chooses another)", err=True)

    def _classes(self) -> list[str] | None:
        if self.classes is None:
            return None
        names = [name.strip() for name in self.classes.split(",") if name.strip()]
        if not names:
            raise PromptError(f"classes {self.classes!r}: give names separated by commas, such as person,car")
        return names

"""Labelled films for networks that learn from them directly: listed, divided, some of them left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from segue.datasets.cdnet import unseen_folds
from segue.datasets.foreground import ForegroundSequence
from segue.errors import DatasetError
from segue.naming import first_few
from segue.training.foreground_material import LAYOUTS

RENDERED = ("isd",)
"""Layouts of films that no camera took."""


@dataclass(slots=True)
class Films:
    """The films of a training.

    Attributes:
        real, rendered: what is learned from.
        left_out: scenes that are kept from it, for an honest score.
    """

    real: list[ForegroundSequence] = field(default_factory=list)
    rendered: list[ForegroundSequence] = field(default_factory=list)
    left_out: list[ForegroundSequence] = field(default_factory=list)

    @property
    def sources(self) -> list[list[ForegroundSequence]]:
        """Films to learn from, by kind."""
        return [films for films in (self.real, self.rendered) if films]


def gather_films(folders: Iterable[str], *, exclude: Collection[str] = (), fold: int | None = None) -> Films:
    """List the films of ``LAYOUT=FOLDER``, with a name of :data:`LAYOUTS`.

    Args:
        folders: as above.
        exclude: names of scenes to leave out, or of categories of scenes.
        fold: leave out the scenes of this fold of CDnet 2014, 0 to 3.

    Raises:
        DatasetError: a folder does not hold what its layout says, nothing is left to learn from, or no scene
            has a name that is to be left out.
    """
    films, unknown, folds = Films(), set(exclude), unseen_folds()
    for text in folders:
        layout, _, folder = text.partition("=")
        if layout not in LAYOUTS or not folder:
            raise DatasetError(f"--data {text}: give LAYOUT=FOLDER, with LAYOUT one of {', '.join(LAYOUTS)}")
        for film in LAYOUTS[layout][0](Path(folder)):
            names = {film.key, film.name, film.category}
            if not names.isdisjoint(exclude) or (fold is not None and folds.get(film.key) == fold):
                films.left_out.append(film)
                unknown -= names
            elif layout in RENDERED:
                films.rendered.append(film)
            else:
                films.real.append(film)
    if unknown:
        raise DatasetError(f"no scene or category {first_few(sorted(unknown))} to leave out")
    if not films.sources:
        raise DatasetError("no films to train on; see --data and what is left out")
    return films

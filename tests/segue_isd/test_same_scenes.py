"""A data set of a seed is the same in every version, so that scores on it can be compared.

``python -m tests.segue_isd.test_same_scenes`` writes the numbers anew, after a change that is meant.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue_isd.presets import COMMON, HARD
from segue_isd.render.textures import Textures
from segue_isd.scene.casting import CastOptions
from segue_isd.scene.scene import build_scene, scene_seed
from segue_isd.scene.templates import TEMPLATES
from tests.fingerprint import fingerprint

NUMBERS = Path(__file__).with_name("same_scenes.json")
CROWDED = replace(HARD, cast=CastOptions(people=(3, 5), bags=1.0, extras=1.0, camouflage=0.5))


def scene_of(template: str) -> list[float]:
    """The fingerprint of two moments of a common scene and of a crowded one."""
    place = [*TEMPLATES].index(template)
    scenes = [
        build_scene(scene_seed(3, place), 10, (48, 64), options, [template]) for options in (COMMON, CROWDED)
    ]
    return fingerprint(
        [moment for scene in scenes for moment in (scene.moment(0), scene.moment(9), scene.empty())]
    )


def textures() -> dict[str, list[float]]:
    """The fingerprint of each texture."""
    return {name: fingerprint(image[::2, ::3]) for name, image in Textures(np.random.default_rng(5)).items()}


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_scene_of_a_seed_is_what_it_was(template: str) -> None:
    known = json.loads(NUMBERS.read_text("utf-8"))
    np.testing.assert_allclose(scene_of(template), known["scenes"][template], rtol=1e-6, atol=1e-6)


def test_the_textures_of_a_seed_are_what_they_were() -> None:
    known, found = json.loads(NUMBERS.read_text("utf-8"))["textures"], textures()
    assert found.keys() == known.keys()
    for name, image in found.items():  # a level may be rounded otherwise by another processor
        np.testing.assert_allclose(image, known[name], rtol=1e-4, atol=100, err_msg=name)


if __name__ == "__main__":
    found = {"scenes": {name: scene_of(name) for name in TEMPLATES}, "textures": textures()}
    NUMBERS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")

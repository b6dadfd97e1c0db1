"""The renderer agrees with closed-form rays, and its maps with each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.datasets.foreground.labels import MOTION, UNKNOWN
from segue_isd.render.maps import Maps, labels
from segue_isd.render.renderer import Renderer
from segue_isd.render.textures import Textures
from segue_isd.scene.camera import looking
from segue_isd.scene.lights import Gains, Light, Lighting
from segue_isd.scene.parts import Part, Shape, Surface, box, chained, placed, scaled
from segue_isd.scene.scene import Moment, Stage
from tests.segue_isd.rays import cast, pixel_rays

pytestmark = pytest.mark.usefixtures("opengl")

SIZE = (120, 160)
LAMP = Light(np.array([2.0, 2.2, 2.9]), np.array([0.0, 0.0, -1.0]), (6.0, 6.0, 6.0), 1.2, softness=0.0)
LIGHTING = Lighting("neon", (LAMP,), (0.05,) * 3, (0.1,) * 3, 1.5)
VIEW = looking(np.array([2.0, 2.4, 0.4]), np.array([2.4, 0.3, 2.3]), 0.8)
GREY = Surface((0.7, 0.7, 0.7), "plain", 1.0)


def _walls(floor: Surface = GREY) -> list[Part]:
    return [
        box((4.4, 4.4, 0.2), (2, 2, -0.2), floor),
        box((4.4, 4.4, 0.2), (2, 2, 3.0), GREY),
        box((4.4, 0.2, 3.0), (2, 4.1, 0), GREY),
        box((4.4, 0.2, 3.0), (2, -0.1, 0), GREY),
        box((0.2, 4.4, 3.0), (-0.1, 2, 0), GREY),
        box((0.2, 4.4, 3.0), (4.1, 2, 0), GREY),
    ]


def _things() -> list[Part]:
    shapes = [
        Part(Shape.BOX, chained(placed(0.9, 2.0, 0.3, 0.4), scaled((0.5, 0.4, 0.6))), GREY),
        Part(Shape.BALL, scaled((0.3, 0.2, 0.35), (1.6, 2.9, 0.35)), GREY),
        Part(Shape.CYLINDER, scaled((0.2, 0.25, 0.7), (2.3, 2.0, 0.0)), GREY),
        Part(Shape.TUBE, chained(placed(3.0, 2.3, 0.3, 0.3), scaled((0.16, 0.12, 0.8))), GREY, taper=0.6),
        Part(Shape.TUBE, chained(placed(2.9, 3.1, 0.25), scaled((0.1, 0.1, 0.5))), GREY, taper=1.7),
    ]
    return [replace(part, id=number) for number, part in enumerate(shapes, start=1)]


def _stage(parts: list[Part], mirror: np.ndarray | None = None, still_camera: bool = True) -> Stage:
    textures = Textures(np.random.default_rng(0))
    return Stage(parts, textures, LIGHTING, np.array([4.0, 4.0, 3.0]), mirror, still_camera)


def _moment(parts: list[Part], next_parts: list[Part] | None = None) -> Moment:
    return Moment(VIEW, VIEW, parts, next_parts or parts, Gains((1.0,), 1.0, 1.0), 0.0, 0.1, np.zeros((0, 4)))


@pytest.fixture(scope="module")
def exact() -> Renderer:
    return Renderer(SIZE, exact=True)


@pytest.fixture(scope="module")
def smooth() -> Renderer:
    return Renderer(SIZE)


@pytest.fixture(scope="module")
def seen(exact: Renderer) -> Maps:
    exact.set_stage(_stage(_walls()))
    return exact.render(_moment(_things()))


def test_ids_are_those_of_closed_form_rays(seen: Maps) -> None:
    parts = _walls() + _things()
    _, which = cast(parts, *pixel_rays(VIEW, SIZE))
    ids = np.array([part.id for part in parts])[which].reshape(SIZE)
    assert set(np.unique(ids)) == {0, 1, 2, 3, 4, 5}
    assert (seen.ids != ids).mean() <= 0.005


def test_depth_is_that_of_closed_form_rays(seen: Maps) -> None:
    parts = _walls() + _things()
    depth, which = cast(parts, *pixel_rays(VIEW, SIZE))
    same = seen.ids == np.array([part.id for part in parts])[which].reshape(SIZE)
    error = np.abs(seen.depth - depth.reshape(SIZE)) / depth.reshape(SIZE)
    assert (error[same] < 1e-3).mean() > 0.998


def test_smooth_borders_are_unknown_and_insides_foreground(smooth: Renderer) -> None:
    smooth.set_stage(_stage(_walls()))
    maps = smooth.render(_moment(_things()))
    truth = labels(maps)
    partial = (maps.coverage > 0) & (maps.coverage < 255)
    assert partial.any()
    assert (truth[partial] == UNKNOWN).all()
    assert (truth[maps.coverage == 255] == MOTION).all()


def test_a_frame_is_the_same_whatever_was_rendered_before(smooth: Renderer) -> None:
    smooth.set_stage(_stage(_walls()))
    first = smooth.render(_moment(_things()))
    smooth.render(_moment([]))
    again = smooth.render(_moment(_things()))
    for name in ("image", "coverage", "normal", "shadow", "depth", "ids", "flow"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))

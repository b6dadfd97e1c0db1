"""The renderer agrees with closed-form rays, and its maps with each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue_isd import renderer as renderer_module
from segue_isd.camera import looking
from segue_isd.lights import Gains, Light, Lighting
from segue_isd.maps import FOREGROUND, MIRRORED, SHADOW, UNKNOWN, Maps, labels
from segue_isd.meshes import FINE, mesh
from segue_isd.parts import Part, Shape, Surface, bounds, box, chained, numbered, placed, scaled
from segue_isd.presets import HARD
from segue_isd.renderer import Renderer
from segue_isd.scene import Moment, Stage, build_scene
from segue_isd.shaders import GRID
from segue_isd.textures import paint_textures
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
    textures = paint_textures(np.random.default_rng(0))
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


def test_shadows_are_where_foreground_hides_the_lamp(seen: Maps) -> None:
    origins, ways = pixel_rays(VIEW, SIZE)
    depth, which = cast(_walls() + _things(), origins, ways)
    background = (which < len(_walls())).reshape(SIZE)
    spots = origins + 0.999 * depth[:, None] * ways
    blocked, _ = cast(_things(), spots, LAMP.place - spots)
    hidden = (blocked < 1).reshape(SIZE)
    lit = hidden[background].mean()
    assert 0.02 < lit < 0.5
    found = labels(seen) == SHADOW
    below = np.zeros(SIZE, bool)  # the lamp's cone and the ceiling beside it need not be dark
    below[spots.reshape(*SIZE, 3)[..., 2] < 0.01] = True
    assert (found != hidden)[background & below].mean() < 0.02


def test_normals_of_the_floor_point_up(seen: Maps) -> None:
    floor = seen.normal[-1, SIZE[1] // 2].astype(float) / 127.5 - 1
    np.testing.assert_allclose(VIEW.pose[:, :3].T @ floor, (0, 0, 1), atol=0.02)


def test_smooth_borders_are_unknown_and_insides_foreground(smooth: Renderer) -> None:
    smooth.set_stage(_stage(_walls()))
    maps = smooth.render(_moment(_things()))
    truth = labels(maps)
    partial = (maps.coverage > 0) & (maps.coverage < 255)
    assert partial.any()
    assert (truth[partial] == UNKNOWN).all()
    assert (truth[maps.coverage == 255] == FOREGROUND).all()


def test_without_foreground_there_is_neither_shadow_nor_foreground(smooth: Renderer) -> None:
    smooth.set_stage(_stage(_walls()))
    maps = smooth.render(_moment([]))
    assert not labels(maps).any()
    assert not maps.flow.any()


def test_a_frame_is_the_same_whatever_was_rendered_before(smooth: Renderer) -> None:
    smooth.set_stage(_stage(_walls()))
    first = smooth.render(_moment(_things()))
    smooth.render(_moment([]))
    again = smooth.render(_moment(_things()))
    for name in ("image", "coverage", "normal", "shadow", "depth", "ids", "flow"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_flow_is_the_projected_motion(exact: Renderer) -> None:
    exact.set_stage(_stage(_walls()))
    now = _things()[:1]
    later = [replace(now[0], pose=chained(placed(0.2, -0.1, 0.05), now[0].pose))]
    maps = exact.render(_moment(now, later))
    rows, columns = np.nonzero(maps.ids == 1)
    depth = maps.depth[rows, columns].astype(float)
    focal = VIEW.focal * SIZE[1]
    middle = np.stack([columns + 0.5 - SIZE[1] / 2, rows + 0.5 - SIZE[0] / 2], axis=1)
    inside = np.column_stack([middle / focal, np.ones(len(rows))]) * depth[:, None]
    moved = inside + VIEW.pose[:, :3] @ (0.2, -0.1, 0.05)
    expected = focal * moved[:, :2] / moved[:, 2:] - middle
    np.testing.assert_allclose(maps.flow[rows, columns], expected, atol=0.01)


def test_a_mirror_that_shows_foreground_is_unknown(exact: Renderer) -> None:
    shining = replace(GREY, mirror=0.95)
    exact.set_stage(_stage(_walls(shining), mirror=np.array([0.0, 0.0, 1.0, 0.0])))
    maps = exact.render(_moment(numbered(_things()[1:2], 7)))
    marked = maps.ids >= MIRRORED
    assert marked.any()
    rows, _ = np.nonzero(marked)
    body, _ = np.nonzero(maps.ids == 7)
    assert rows.mean() > body.mean()  # the reflection is below the thing that stands on the floor
    assert (labels(maps)[marked] == UNKNOWN).all()


def test_a_moving_camera_sees_what_a_still_one_sees(exact: Renderer) -> None:
    exact.set_stage(_stage(_walls(), still_camera=True))
    still = exact.render(_moment(_things()))
    exact.set_stage(_stage(_walls(), still_camera=False))
    moving = exact.render(_moment(_things()))
    np.testing.assert_array_equal(still.ids, moving.ids)
    np.testing.assert_array_equal(still.image, moving.image)


@pytest.mark.parametrize("part", _things(), ids=lambda part: part.shape.name)
def test_bounds_hold_every_corner_of_a_solid(part: Part) -> None:
    vertices, _ = mesh(part.shape, FINE)
    points, far = vertices[:, :3].astype(float), vertices[:, 3] > 0.5
    if part.shape is Shape.TUBE:
        lengths = np.linalg.norm(part.pose[:, :3], axis=0)
        end = 0.5 * (lengths[0] + lengths[1]) / lengths[2]
        points *= np.where(far, part.taper, 1.0)[:, None] * (1, 1, end)
        points[:, 2] += far
    there = points @ part.pose[:, :3].T + part.pose[:, 3]
    low, high = (corner[0] for corner in bounds([part]))
    assert (there >= low - 1e-6).all()
    assert (there <= high + 1e-6).all()
    assert (high - low <= 1.8 * (there.max(axis=0) - there.min(axis=0)) + 0.1).all()


@pytest.mark.parametrize("seed", range(6))
def test_shadows_are_looked_for_wherever_there_are_any(
    smooth: Renderer, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = build_scene(seed, 10, SIZE, HARD)
    smooth.set_stage(scene.stage)
    smooth.render(scene.moment(2))
    marked = smooth.render(scene.moment(5))
    everything = np.ones((GRID, GRID), np.bool_)
    for name in ("_under", "_around"):
        monkeypatch.setattr(renderer_module, name, lambda *_: everything)
    searched = smooth.render(scene.moment(5))
    np.testing.assert_array_equal(marked.image, searched.image)
    np.testing.assert_array_equal(marked.shadow, searched.shadow)

"""Scenes come from their seed alone, and what is in them keeps its rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segue_isd.presets import COMMON, HARD, HELD_OUT, PRESETS, TRAINED, Preset, composed
from segue_isd.render.patterns import SIDE
from segue_isd.render.sensor import Sensor, SensorPlan
from segue_isd.render.textures import Textures
from segue_isd.scene.actors import Bag, Person, Spell
from segue_isd.scene.casting import CastOptions
from segue_isd.scene.figures import Build, dressed
from segue_isd.scene.parts import MOVING_BACKGROUND, Shape, Surface
from segue_isd.scene.paths import Walk
from segue_isd.scene.scene import Scene, SceneOptions, build_scene, scene_seed
from segue_isd.scene.templates import TEMPLATES

SIZE = (48, 64)
LIGHTS = 3  # most that every room of every preset has
BUSY = replace(COMMON, cast=CastOptions(people=(3, 5), bags=1.0, extras=1.0))


def _scene(number: int, template: str = "office") -> Scene:
    return build_scene(scene_seed(3, number), 10, SIZE, BUSY, [template])


def test_the_seed_of_a_scene_is_the_same_on_every_machine() -> None:
    assert scene_seed(1, 0) == 4135518845636292806
    assert scene_seed(1, 1) != scene_seed(1, 0) != scene_seed(2, 0)


def _looks(scene: Scene) -> list[tuple[Shape, bytes, str]]:
    return [(part.shape, part.pose.tobytes(), part.surface.texture) for part in scene.room.parts]


def _ordered(count: int, **order: Any) -> list[Scene]:
    preset = composed(Preset(1, 10, SIZE, BUSY), **{"rooms": None, "lights": None, "still": False} | order)
    return [
        build_scene(
            scene_seed(3, number, preset.order),
            preset.length,
            SIZE,
            preset.options,
            preset.split(number)[1],
            preset.setting(3, number),
        )
        for number in range(count)
    ]


def test_rooms_and_lights_are_shared_in_turn_and_nothing_else() -> None:
    scenes = _ordered(12, rooms=4, lights=2, still=True)
    for place in range(4):
        first, second, third = (scenes[place + 4 * k] for k in range(3))
        assert _looks(first) == _looks(third)
        day = [item for item in _looks(first) if item[2] not in ("street", "night")]
        assert day == [item for item in _looks(second) if item[2] not in ("street", "night")]
        assert first.stage.lighting.name == third.stage.lighting.name != second.stage.lighting.name
        assert first.stage.lighting.lights[0].power == third.stage.lighting.lights[0].power
        assert not np.array_equal(first.camera.place, third.camera.place)  # another angle
        assert len(first.actors) != len(third.actors) or first.begin != third.begin
    assert len({scene.room.template for scene in scenes}) == 4
    assert {scene.room.template for scene in scenes} <= set(TRAINED)
    assert {scene.camera.kind for scene in scenes} == {"static"}
    assert not any(scene.events for scene in scenes)


@pytest.mark.parametrize("options", [COMMON, HARD])
def test_every_room_has_all_lights_that_are_ordered_and_the_set_no_other(options: SceneOptions) -> None:
    preset = composed(Preset(1, 4, SIZE, options), 9, LIGHTS, still=False)
    found, windows = set(), set()
    for place in range(9):
        scenes = [
            build_scene(1, 4, SIZE, preset.options, TRAINED, preset.setting(5, place + 9 * light))
            for light in range(LIGHTS)
        ]
        windows.add(bool(scenes[0].room.windows))
        found.add(tuple(scene.stage.lighting.name for scene in scenes))
    assert windows == {True, False}
    assert [len(set(names)) for names in found] == [LIGHTS]


@pytest.mark.parametrize("template", list(TEMPLATES))
def test_a_scene_of_every_kind_of_room_is_built_twice_alike(template: str) -> None:
    first, again = _scene(1, template), _scene(1, template)
    assert first.room.template == template
    assert first.tags == again.tags
    for a, b in zip(first.moment(3).parts, again.moment(3).parts, strict=True):
        np.testing.assert_array_equal(a.pose, b.pose)
        assert a.surface == b.surface
    assert [light.power for light in first.stage.lighting.lights] == [
        light.power for light in again.stage.lighting.lights
    ]
    assert first.events == again.events
    np.testing.assert_array_equal(first.camera.at(0.1).pose, again.camera.at(0.1).pose)


def test_foreground_ids_count_from_one_and_belong_to_one_actor_each() -> None:
    scene = _scene(5)
    ids = [actor.id for actor in scene.actors]
    assert sorted(ids) == list(range(1, len(ids) + 1))


def test_the_empty_scene_has_background_only() -> None:
    for part in _scene(6).empty().parts:
        assert part.id == 0 or part.id >= MOVING_BACKGROUND


def _owner() -> Person:
    way = Walk(np.array([[1.0, 1.0], [3.0, 1.0]]))
    spells = [
        Spell(0, 2, way),
        Spell(2, 9, None, (3.0, 1.0, 0.0)),
        Spell(9, 11, Walk(np.array([[3.0, 1.0], [3.0, 3.0]]))),
    ]
    wear = dressed(np.random.default_rng(2))
    return Person(1, Build(1.7, 1.0, 1.0), wear, spells, 0.0, np.full(8, 0.5))


def test_a_known_thing_is_background_until_it_is_taken() -> None:
    bag = Bag(2, _owner(), Surface(), changes=4.0, left=False, was_background=True)
    assert bag.parts(3.9)[0].id == 0
    assert bag.parts(4.1)[0].id == 2


def _plan(**changes: object) -> SensorPlan:
    plain = SensorPlan(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 1.0, 1.0, 1.0, 90)
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("contrast", [0.9, 1.3, 1.6])
def test_contrast_keeps_the_order_of_grey_levels_and_most_of_the_shadows(contrast: float) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    out = Sensor(_plan(contrast=contrast), (1, 256), np.random.default_rng(1)).clean(ramp)[0, :, 0]
    assert (np.diff(out.astype(int)) >= 0).all()
    straight = 118 - 118 / contrast
    assert (out == 0).sum() <= max(0.75 * straight, 1)


def test_held_out_rooms_never_appear_in_training() -> None:
    held = {name for names in HELD_OUT.values() for name in names}
    assert held.isdisjoint(TRAINED)
    assert held | set(TRAINED) == set(TEMPLATES)
    splits = [PRESETS["tiny"].split(number)[0] for number in range(100)]
    assert [splits.count(name) for name in ("train", "val", "test")] == [80, 10, 10]


def test_grey_cameras_give_grey_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    out = Sensor(_plan(grey=True, noise=3.0), SIZE, np.random.default_rng(1)).expose(image, 0)
    assert (out == out[..., :1]).all()


def test_textures_are_the_same_in_whatever_order_they_are_read() -> None:
    one, other = (Textures(np.random.default_rng(3)) for _ in range(2))
    names = [*one][::9]
    for name in reversed(names):
        assert other[name].shape == (SIDE, SIDE, 4)
    for name in names:
        np.testing.assert_array_equal(one[name], other[name])
    assert one[names[0]] is one[names[0]], "it is painted once"

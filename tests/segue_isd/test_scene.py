"""Scenes come from their seed alone, and what is in them keeps its rules."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue_isd.actors import Bag, Person, Spell
from segue_isd.casting import CastOptions
from segue_isd.figures import BENDING, SITTING, STANDING, WAVING, Build, dressed, figure, walking
from segue_isd.lights import LightEvent, gains_at
from segue_isd.parts import MOVING_BACKGROUND, Part, Shape, Surface
from segue_isd.paths import Walk, find_way, smooth_way
from segue_isd.pictures import SIDE
from segue_isd.presets import COMMON, HARD, HELD_OUT, LIGHTS, TRAINED, Preset, composed, split_of
from segue_isd.rooms import CELL, furnish
from segue_isd.scene import Scene, SceneOptions, Setting, build_scene, scene_seed
from segue_isd.sensor import Sensor, SensorPlan
from segue_isd.templates import TEMPLATES
from segue_isd.textures import paint_textures

SIZE = (48, 64)
BUSY = replace(COMMON, cast=CastOptions(people=(3, 5), bags=1.0, extras=1.0))


def _scene(number: int, template: str = "office") -> Scene:
    return build_scene(scene_seed(3, number), 10, SIZE, BUSY, [template])


def _lowest(part: Part) -> float:
    """Lowest point of a part, metres."""
    x, y, z = part.pose[2, :3]
    middle = part.pose[2, 3]
    if part.shape is Shape.BOX:
        return float(middle - 0.5 * (abs(x) + abs(y) + abs(z)))
    if part.shape is Shape.BALL:
        return float(middle - np.sqrt(x * x + y * y + z * z))
    lengths = np.linalg.norm(part.pose[:, :3], axis=0)
    end = 0.5 * (lengths[0] + lengths[1]) / lengths[2]
    reach = np.sqrt(x * x + y * y + (end * z) ** 2)
    return float(min(middle - reach, middle + z - part.taper * reach))


def test_the_seed_of_a_scene_is_the_same_on_every_machine() -> None:
    assert scene_seed(1, 0) == 11697333139286761123
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
    scenes = _ordered(24, rooms=4, lights=2, still=True)
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
    assert not any(scene.events or scene.thermal for scene in scenes)


def test_cars_drive_as_often_as_pets_and_robots_come() -> None:
    kinds = [{actor.kind for actor in _scene(number, "parking").actors} for number in range(8)]
    assert [number for number, here in enumerate(kinds) if "car" in here] == [4, 6, 7]
    assert [number for number, here in enumerate(kinds) if "pet" in here] == [0, 2, 3, 4, 6]


def test_a_room_is_the_same_by_day_and_by_night() -> None:
    scenes = _ordered(20, rooms=1)
    assert len({scene.stage.lighting.name for scene in scenes}) > 2
    shapes = {tuple(item[:2] for item in _looks(scene)) for scene in scenes}
    assert len(shapes) == 1
    dark = [any(item[2] == "street" for item in _looks(scene)) for scene in scenes]
    for scene, street in zip(scenes, dark, strict=True):
        assert not (street and scene.stage.lighting.name in ("night", "evening"))


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


def test_a_preset_as_it_is_has_the_scenes_that_it_always_had() -> None:
    preset = Preset(1, 10, SIZE, BUSY)
    assert composed(preset, None, None, still=False).order == ""
    assert preset.setting(3, 7) == Setting()
    orders = {composed(preset, *order, still=True).order for order in ((None, None), (8, None), (8, 2))}
    assert len(orders) == 3


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


def test_frames_may_be_asked_for_in_any_order() -> None:
    scene, other = _scene(2), _scene(2)
    other.moment(7)
    for a, b in zip(scene.moment(2).parts, other.moment(2).parts, strict=True):
        np.testing.assert_array_equal(a.pose, b.pose)


def test_parts_keep_their_order_from_frame_to_frame() -> None:
    scene = _scene(4)
    moments = [scene.moment(i) for i in range(5)]
    kinds = [[(part.shape, part.taper) for part in moment.parts] for moment in moments]
    assert all(kind == kinds[0] for kind in kinds)
    for now, later in itertools.pairwise(moments):
        for a, b in zip(now.next_parts, later.parts, strict=True):
            np.testing.assert_array_equal(a.pose, b.pose)


def test_foreground_ids_count_from_one_and_belong_to_one_actor_each() -> None:
    scene = _scene(5)
    ids = [actor.id for actor in scene.actors]
    assert sorted(ids) == list(range(1, len(ids) + 1))


def test_the_empty_scene_has_background_only() -> None:
    for part in _scene(6).empty().parts:
        assert part.id == 0 or part.id >= MOVING_BACKGROUND


@pytest.mark.parametrize(
    "pose", [STANDING, SITTING, BENDING, WAVING, walking(0.4, 1.0), walking(2.0, 1.6)], ids=str
)
def test_a_figure_stands_on_the_floor(pose: object) -> None:
    parts, hands = figure(Build(1.7, 1.0, 1.0), dressed(np.random.default_rng(1)), pose)  # type: ignore[arg-type]
    lowest = min(_lowest(part) for part in parts)
    assert lowest == pytest.approx(0, abs=0.03)
    assert hands.shape == (2, 3)


@given(height=st.floats(1.2, 2.0), phase=st.floats(0, 6.3), vigour=st.floats(0.35, 1.7))
@settings(max_examples=25, deadline=None)
def test_a_walking_figure_is_as_tall_as_its_build(height: float, phase: float, vigour: float) -> None:
    wear = replace(dressed(np.random.default_rng(0)), hat=None)
    parts, _ = figure(Build(height, 1.0, 1.0), wear, walking(phase, vigour))
    tallest = max(
        float(part.pose[2, 3] + np.linalg.norm(part.pose[2, :3]))
        for part in parts
        if part.shape is Shape.BALL
    )
    assert 0.85 * height < tallest < 1.06 * height


def test_ways_go_around_what_stands_there() -> None:
    plan = np.zeros((20, 20), bool)
    plan[10, 2:18] = True
    cells = find_way(plan, (3, 10), (17, 10))
    assert cells is not None
    assert not any(plan[cell] for cell in cells)
    assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1 for a, b in itertools.pairwise(cells))
    way = Walk(smooth_way(plan, cells))
    straight = 14 * CELL
    assert straight < way.length < 2.2 * straight


def test_there_is_no_way_through_a_closed_wall() -> None:
    plan = np.zeros((10, 10), bool)
    plan[5] = True
    assert find_way(plan, (1, 1), (8, 8)) is None


def test_feet_stay_out_of_the_furniture_of_a_furnished_room() -> None:
    room = furnish(np.random.default_rng(4), "office", 0.3, night=False)
    assert room.taken.any()
    assert not room.taken.all()
    for x, y, _, _ in room.seats:
        assert 0 <= x <= room.size[0]
        assert 0 <= y <= room.size[1]


def _owner() -> Person:
    way = Walk(np.array([[1.0, 1.0], [3.0, 1.0]]))
    spells = [
        Spell(0, 2, way),
        Spell(2, 9, None, (3.0, 1.0, 0.0)),
        Spell(9, 11, Walk(np.array([[3.0, 1.0], [3.0, 3.0]]))),
    ]
    wear = dressed(np.random.default_rng(2))
    return Person(1, Build(1.7, 1.0, 1.0), wear, spells, 0.0, np.full(8, 0.5))


def test_a_bag_that_is_left_stays_where_it_was_put_and_keeps_its_id() -> None:
    bag = Bag(2, _owner(), Surface(), changes=4.0, left=True)
    carried, left, later = (bag.parts(time)[0] for time in (1.0, 5.0, 10.5))
    assert carried.pose[2, 3] > 0.3
    assert left.pose[2, 3] == pytest.approx(0.14)
    np.testing.assert_array_equal(left.pose, later.pose)
    assert {carried.id, left.id, later.id} == {2}


def test_a_known_thing_is_background_until_it_is_taken() -> None:
    bag = Bag(2, _owner(), Surface(), changes=4.0, left=False, known=True)
    assert bag.parts(3.9)[0].id == 0
    assert bag.parts(4.1)[0].id == 2


def test_nobody_is_there_outside_of_the_schedule() -> None:
    assert _owner().parts(20.0)[0].pose[2, 3] < -10


def test_a_switch_dims_its_lamp_and_part_of_the_light_around() -> None:
    event = LightEvent("switch", 0, start=2.0, length=3.0, strength=0.5)
    before, during = (gains_at((event,), 2, time, automatic=0.0) for time in (1.0, 3.0))
    assert before.lights == (1.0, 1.0)
    assert during.lights == (0.5, 1.0)
    assert during.ambient == pytest.approx(1 - 0.5 / 3)


def test_automatic_exposure_answers_a_switch() -> None:
    event = LightEvent("switch", -1, start=2.0, length=10.0, strength=0.5)
    late = gains_at((event,), 1, 8.0, automatic=1.0)
    assert late.exposure * late.ambient == pytest.approx(1.0)


def _plan(**changes: object) -> SensorPlan:
    plain = SensorPlan(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 1.0, 1.0, 1.0, False, 90)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_perfect_sensor_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    sensor = Sensor(_plan(), SIZE, np.random.default_rng(1))
    np.testing.assert_array_equal(sensor.expose(image, 3), image)


@pytest.mark.parametrize("contrast", [0.9, 1.3, 1.6])
def test_contrast_keeps_the_order_of_grey_levels_and_most_of_the_shadows(contrast: float) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    out = Sensor(_plan(contrast=contrast), (1, 256), np.random.default_rng(1)).clean(ramp)[0, :, 0]
    assert (np.diff(out.astype(int)) >= 0).all()
    straight = 118 - 118 / contrast
    assert (out == 0).sum() <= max(0.75 * straight, 1)


def test_noise_depends_on_the_frame_alone_and_has_the_deviation_of_the_plan() -> None:
    image = np.full((*SIZE, 3), 128, np.uint8)
    first, second = (Sensor(_plan(noise=4.0), SIZE, np.random.default_rng(1)) for _ in range(2))
    first.expose(image, 0)
    np.testing.assert_array_equal(first.expose(image, 5), second.expose(image, 5))
    assert (first.expose(image, 5) != first.expose(image, 6)).any()
    assert first.expose(image, 5).astype(float).std() == pytest.approx(4.0, rel=0.1)


def test_grey_cameras_give_grey_pictures() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    out = Sensor(_plan(grey=True, noise=3.0), SIZE, np.random.default_rng(1)).expose(image, 0)
    assert (out == out[..., :1]).all()


def test_textures_are_not_flat_and_differ_from_seed_to_seed() -> None:
    first, second = (paint_textures(np.random.default_rng(seed)) for seed in (1, 2))
    assert first.keys() == second.keys()
    for name, texture in first.items():
        assert texture.shape == (SIDE, SIDE, 4)
        assert texture[..., :3].std() > 1, name
    assert sum(np.array_equal(first[name], second[name]) for name in first) == 0


def test_held_out_rooms_never_appear_in_training() -> None:
    held = {name for names in HELD_OUT.values() for name in names}
    assert held.isdisjoint(TRAINED)
    assert held | set(TRAINED) == set(TEMPLATES)
    splits = [split_of(number)[0] for number in range(100)]
    assert [splits.count(name) for name in ("train", "val", "test")] == [80, 10, 10]


def test_hard_scenes_are_at_night_or_in_the_evening_more_often() -> None:
    def dark(options: tuple[tuple[str, float], ...]) -> float:
        return sum(share for name, share in options if name in ("night", "evening"))

    assert dark(HARD.lightings) > 2 * dark(COMMON.lightings)

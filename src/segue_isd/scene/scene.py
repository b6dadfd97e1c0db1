"""Build a scene from a seed: room, light, camera, actors and sensor, with separate generators."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

from segue.utils.arrays import Float64Array
from segue_isd.render.patterns import Texture
from segue_isd.render.sensor import SensorPlan, draw_sensor
from segue_isd.render.textures import Textures
from segue_isd.scene.actors import Actor
from segue_isd.scene.camera import CameraPath, View, draw_camera
from segue_isd.scene.casting import LEAD, Cast, CastOptions
from segue_isd.scene.lights import Gains, LightEvent, Lighting, draw_events, draw_lighting, gains_at
from segue_isd.scene.moving import Mover
from segue_isd.scene.parts import MOVING_BACKGROUND, Part, numbered
from segue_isd.scene.rooms import Room, darken, furnish
from segue_isd.scene.templates import TEMPLATES


@dataclass(frozen=True)
class Moment:
    """State of a frame: camera, moving parts (always in the same order), and light.

    ``occluders`` (N, 4) are spheres of the foreground that keep ambient light away: centre and radius.
    """

    view: View
    next_view: View
    parts: Sequence[Part]
    next_parts: Sequence[Part]
    gains: Gains
    time: float
    next_time: float
    occluders: Float64Array


@dataclass(frozen=True)
class Stage:
    """Constants of a clip.

    Attributes:
        room: (3,), size in metres; one corner is the origin.
        mirror: plane (a, b, c, d) of the one mirroring surface, ax + by + cz + d > 0 in front, or None.
    """

    parts: Sequence[Part]
    textures: Mapping[str, Texture]
    lighting: Lighting
    room: Float64Array
    mirror: Float64Array | None
    still_camera: bool


DARK = ("night", "evening")
"""Lights with which it is dark outside."""

VERSION = 4
"""Version of the generator; another version gives other scenes for the same seed."""


@dataclass(frozen=True)
class SceneOptions:
    """Scene options of a preset: names with weights, and probabilities in [0, 1]."""

    cast: CastOptions
    lightings: tuple[tuple[str, float], ...]
    cameras: tuple[tuple[str, float], ...]
    liveliness: float  # of each kind of moving background
    events: float  # of changes of the light
    rates: tuple[float, ...]  # frames a second to choose from


Setting = tuple[tuple[int, str] | None, int | None]
"""Settings that a clip shares with others of its data set: seed and kind of the room, and index of the light
in the options, the likeliest first; None for separate ones."""


@dataclass(frozen=True)
class Scene:
    """Complete content of a clip."""

    seed: int
    size: tuple[int, int]  # height and width of the images
    frames: int
    fps: float
    room: Room
    stage: Stage
    camera: CameraPath
    events: tuple[LightEvent, ...]  # of the light
    automatic: float  # how far the exposure follows the light, in [0, 1]
    actors: tuple[Actor, ...]
    movers: tuple[Mover, ...]
    sensor: SensorPlan
    begin: float  # seconds of the actors' day at frame 0
    tags: tuple[str, ...]  # sorted names of what makes the clip hard

    def moment(self, index: int) -> Moment:
        """State at a frame."""
        return self._at(*(self.begin + i / self.fps for i in (index, index + 1)))

    def exposures(self, index: int) -> list[Moment]:
        """States within the exposure of frame ``index``; empty without motion."""
        middle, sensor = self.begin + index / self.fps, self.sensor
        shares = np.linspace(-0.5, 0.5, sensor.exposures) if sensor.exposures > 1 else ()
        times = [middle + sensor.shutter * float(share) for share in shares if share]
        return [self._at(time, time) for time in times]

    def empty(self) -> Moment:
        """First frame without foreground, in full light."""
        moment = self.moment(0)
        stays = [part.id == 0 or part.id >= MOVING_BACKGROUND for part in moment.parts]
        return replace(
            moment,
            parts=list(compress(moment.parts, stays)),
            next_parts=list(compress(moment.next_parts, stays)),
            gains=Gains((1.0,) * len(self.stage.lighting.lights), 1.0, 1.0),
            occluders=np.zeros((0, 4)),
        )

    def exposed(self, factor: float) -> Scene:
        """Copy with a brighter or darker exposure."""
        lighting = replace(self.stage.lighting, exposure=self.stage.lighting.exposure * factor)
        return replace(self, stage=replace(self.stage, lighting=lighting))

    def _at(self, now: float, later: float) -> Moment:
        spheres = [sphere for actor in self.actors for sphere in actor.spheres(now)]
        return Moment(
            view=self.camera.at(now - self.begin),
            next_view=self.camera.at(later - self.begin),
            parts=self._moving(now),
            next_parts=self._moving(later),
            gains=gains_at(self.events, len(self.stage.lighting.lights), now - self.begin, self.automatic),
            time=now,
            next_time=later,
            occluders=np.asarray(spheres, float).reshape(-1, 4),
        )

    def _moving(self, time: float) -> list[Part]:
        parts = [part for actor in self.actors for part in actor.parts(time)]
        for number, mover in enumerate(self.movers):
            parts_of_mover = mover.parts(time)
            if parts_of_mover and parts_of_mover[0].id == MOVING_BACKGROUND:
                parts_of_mover = numbered(parts_of_mover, MOVING_BACKGROUND + number)
            parts += parts_of_mover
        return parts


def scene_seed(root: int, index: int, order: str = "") -> int:
    """Seed of a scene, or of a data set's ``order``, equal on every machine."""
    text = f"segue-synth/{VERSION}/{root}/{index}{order}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def build_scene(
    seed: int,
    frames: int,
    size: tuple[int, int],
    options: SceneOptions,
    templates: Sequence[str] = tuple(TEMPLATES),
    setting: Setting = (None, None),
) -> Scene:
    """Build the scene of a seed, see :func:`scene_seed`, in a room of one of the kinds ``templates``."""
    shared_room, shared_light = setting
    children = np.random.SeedSequence(seed).spawn(8)
    for_choice, for_room, for_light, for_camera, for_actors, for_sensor, for_textures, for_events = (
        np.random.default_rng(child) for child in children
    )
    template = str(for_choice.choice(list(templates)))
    lighting_name = _draw_option(for_choice, options.lightings)
    fps = float(for_choice.choice(options.rates))
    if shared_room is not None:
        shared, template = shared_room
        for_room, for_textures = map(np.random.default_rng, np.random.SeedSequence(shared).spawn(2))
        if shared_light is not None:
            for_light = np.random.default_rng((shared, shared_light))
    room = furnish(for_room, template, options.liveliness)
    if shared_light is not None:
        lighting_name = _condition(options, shared_light)
    if lighting_name in DARK:
        darken(room)
    lighting = draw_lighting(for_light, room, lighting_name)
    length = frames / fps
    camera = draw_camera(for_camera, room, _draw_option(for_camera, options.cameras), size, length)
    cast = Cast(for_actors, room, camera.at(0), size, length, options.cast)
    actors = cast.draw()
    events = draw_events(for_events, lighting, length, options.events)
    sensor = draw_sensor(for_sensor, lighting_name == "night", fps)
    begin = _best_window(for_actors, actors, camera, size, length)
    tags = {camera.kind, lighting_name} | cast.tags
    tags |= {event.kind for event in events} | {mover.kind for mover in room.movers}
    traits = {
        "reflection": room.mirror is not None,
        "low_fps": fps < 8,
        "motion_blur": sensor.exposures > 1,
        "distortion": camera.bend > 0,
    }
    tags |= {name for name, holds in traits.items() if holds}
    stage = Stage(
        room.parts, Textures(for_textures), lighting, room.size, room.mirror, camera.kind == "static"
    )
    return Scene(
        seed=seed,
        size=size,
        frames=frames,
        fps=fps,
        room=room,
        stage=stage,
        camera=camera,
        events=events,
        automatic=float(for_camera.choice([0.0, 0.5, 0.8])),
        actors=tuple(actors),
        movers=tuple(room.movers),
        sensor=sensor,
        begin=begin,
        tags=tuple(sorted(tags)),
    )


def _draw_option(rng: np.random.Generator, options: Sequence[tuple[str, float]]) -> str:
    names, chances = zip(*options, strict=True)
    return str(rng.choice(names, p=np.asarray(chances) / np.sum(chances)))


def _condition(options: SceneOptions, number: int) -> str:
    """Lighting of a number, the most likely of the preset first."""
    lights = sorted(options.lightings, key=lambda item: -item[1])
    return [name for name, _ in lights if name != "day"][number]


def _best_window(
    rng: np.random.Generator,
    actors: Sequence[Actor],
    camera: CameraPath,
    size: tuple[int, int],
    length: float,
) -> float:
    """Start of a time span in which something is usually visible."""
    starts = rng.uniform(1.0, LEAD, 6)
    if rng.random() < 0.1:
        return float(starts[0])
    view = camera.at(0)
    scores = []
    for start in starts:
        score, previous = 0.0, None
        for time in np.linspace(start, start + length, 5):
            spots = [sphere[:3] for actor in actors for sphere in actor.spheres(time)[:1]]
            here = np.asarray(spots, float).reshape(-1, 3)
            inside = view.shows(here, size, 0.5)
            score += float(inside.sum())
            if previous is not None and previous.shape == here.shape:
                score += 2.0 * float((inside & (np.linalg.norm(here - previous, axis=1) > 0.03)).sum())
            previous = here
        scores.append(score)
    return float(starts[int(np.argmax(scores))])

"""The few classes of ``msstsvis-lite`` for the many of the data sets."""

from __future__ import annotations

from collections.abc import Mapping

from segue.models.msstsvis.lite import LITE_NAMES

_ANIMALS = """
animal ape bear bird cat cow deer dog duck eagle earless_seal elephant fish fox frog giant_panda giraffe horse
leopard lizard monkey mouse owl parrot pet poultry rabbit shark sheep snake squirrel tiger turtle whale zebra
"""
_VEHICLES = """
airplane bicycle boat bus car motorbike motorcycle sedan train truck vehicle vehical
"""
"""As YouTube-VIS, OVIS (which writes "vehical"), COCO and ISD call them."""

_CHANNELS = {name: channel for channel, name in LITE_NAMES.items()}


def group_channels(categories: Mapping[int, str]) -> dict[int, int]:
    """Channel of ``msstsvis-lite`` for each category number, by its name.

    What is neither a being nor a vehicle is an object.
    """
    names = {number: name.lower().replace(" ", "_") for number, name in categories.items()}
    # Where there are keyboards, as in COCO, a mouse belongs to one.
    things = {"mouse"} if "keyboard" in names.values() else set()
    return {number: _CHANNELS["object" if name in things else _group(name)] for number, name in names.items()}


def _group(name: str) -> str:
    if name == "person":
        return name
    if name in _ANIMALS.split():
        return "animal"
    return "vehicle" if name in _VEHICLES.split() else "object"

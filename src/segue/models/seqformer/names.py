"""Names of what instances are: the categories of YouTube-VIS, and names kept in a weight file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType


def _numbered(names: str) -> Mapping[int, str]:
    return MappingProxyType(dict(enumerate(names.split(), start=1)))


YOUTUBE_VIS_2019 = _numbered(
    "person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish "
    "train horse turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger "
    "elephant snowboard boat shark mouse frog eagle earless_seal tennis_racket"
)
"""Categories of YouTube-VIS 2019 by number, which are the channels of the published networks."""

YOUTUBE_VIS_2021 = _numbered(
    "airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog "
    "giant_panda giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard "
    "snake snowboard squirrel surfboard tennis_racket tiger train truck turtle whale zebra"
)
"""Categories of YouTube-VIS 2021 by number."""


def names_text(names: Mapping[int, str]) -> str:
    """Class names as they are kept in a weight file; :func:`parse_names` reads them."""
    return json.dumps({str(channel): name for channel, name in names.items()})


def parse_names(text: str, classes: int) -> dict[int, str]:
    """Class names by channel from the text of a weight file.

    Raises:
        ValueError: it is damaged, or names a channel that does not exist.
    """
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ValueError("its class names are damaged")
    names = {int(channel): name for channel, name in found.items()}
    if not all(0 <= channel < classes for channel in names):
        raise ValueError(f"it names classes beyond its {classes} channels")
    return names

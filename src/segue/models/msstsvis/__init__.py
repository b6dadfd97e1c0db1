"""MS-STS VIS (ECCV 2022)."""

from typing import TYPE_CHECKING

from segue.lazy import lazy_names

if TYPE_CHECKING:
    from segue.models.msstsvis.network import MSSTSVIS as MSSTSVIS
    from segue.models.msstsvis.network import Discriminator as Discriminator
    from segue.models.msstsvis.network import Parts as Parts
    from segue.models.msstsvis.network import ReleasedMSSTSVIS as ReleasedMSSTSVIS

_MODULES = {
    "segue.models.msstsvis.network": "MSSTSVIS Discriminator Parts ReleasedMSSTSVIS",
}

__all__ = [
    "MSSTSVIS",
    "Discriminator",
    "Parts",
    "ReleasedMSSTSVIS",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)

"""MS-STS VIS (ECCV 2022)."""

from segue.models.msstsvis.discriminator import Discriminator
from segue.models.msstsvis.network import MSSTSVIS, Parts, ReleasedMSSTSVIS

__all__ = ["MSSTSVIS", "Discriminator", "Parts", "ReleasedMSSTSVIS"]

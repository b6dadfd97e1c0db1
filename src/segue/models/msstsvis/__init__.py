"""MS-STS VIS (ECCV 2022)."""

from segue.models.msstsvis.network import MSSTSVIS, Discriminator, Parts, ReleasedMSSTSVIS

__all__ = ["MSSTSVIS", "Discriminator", "Parts", "ReleasedMSSTSVIS"]

"""Optical flow: providers behind one face, and the flow pictures that HOFAM and STAM look at.

A room of its own, beside ``video`` and ``masks``: sessions need flow to run these networks, training needs it
to make their data, and it knows neither of them.
"""

from segue.flow.files import FlowFiles, read_flow, read_flow_picture
from segue.flow.providers import DIS, RAFT, Farneback, FlowPictures, FlowProvider, flow_provider

__all__ = [
    "DIS",
    "RAFT",
    "Farneback",
    "FlowFiles",
    "FlowPictures",
    "FlowProvider",
    "flow_provider",
    "read_flow",
    "read_flow_picture",
]

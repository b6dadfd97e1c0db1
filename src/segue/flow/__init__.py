"""Optical flow behind one interface, and flow images for HOFAM and STAM.

Sessions need flow to run these networks, training needs it to make their data; this package imports neither.
"""

from segue.flow.files import FlowFiles, read_flow, read_flow_image
from segue.flow.providers import DIS, RAFT, Farneback, FlowImages, FlowProvider, flow_provider
from segue.flow.scene import against_scene

__all__ = [
    "DIS",
    "RAFT",
    "Farneback",
    "FlowFiles",
    "FlowImages",
    "FlowProvider",
    "against_scene",
    "flow_provider",
    "read_flow",
    "read_flow_image",
]

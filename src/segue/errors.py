"""Errors that speak to the person who runs segue.

Every error that a user can cause or repair derives from :class:`SegueError`; the command line prints its
message on one line and exits with code 2. Anything else is a defect of segue and keeps its traceback.
"""

from __future__ import annotations


class SegueError(Exception):
    """Base of all errors with a message for the user: what was wrong, where, and what to do."""


class ArgumentError(SegueError, ValueError):
    """An argument of a function that has the wrong type, layout or range; the message names the argument."""


class SourceError(SegueError):
    """A video, image folder, camera or array that cannot be read."""


class SourceDamageError(SourceError):
    """A frame that cannot be read, where damage stops the run; the frames before it are good."""


class SinkError(SegueError):
    """A result that cannot be written: no permission, full disk, existing output."""


class PromptError(SegueError):
    """A mask, box or point that does not fit the frame or the model."""


class CheckpointError(SegueError):
    """A weight file that is missing, unsafe, damaged or of another network."""


class ResumeError(SinkError, CheckpointError):
    """An interrupted run that cannot be resumed: another source, other weights or settings, damage."""


class DatasetError(SegueError):
    """A data set whose files are missing or do not belong together."""


class TrainingError(SegueError):
    """A training that cannot start or go on: a missing package, unfit settings, a loss that is not finite."""


class FlowError(SegueError):
    """Optical flow that cannot be computed: a provider that is unknown, or that lacks a package or a file."""


class DownloadError(SegueError):
    """A file that cannot be downloaded, or that is not the one that was published."""

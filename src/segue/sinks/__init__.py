"""Write results: masks, videos, run lengths and cut-outs.

A failure to write is a :class:`~segue.errors.SinkError`.
"""
